"""Small plots that paint themselves in napari's theme."""

from napari_cxr.plugin.plots.curves import Curves, Histogram, Line
from napari_cxr.plugin.plots.dot_plots import Intervals, Scatter
from napari_cxr.plugin.plots.image_grid import ImageGrid
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.plots.plot import class_color

__all__ = [
    'Curves',
    'Histogram',
    'ImageGrid',
    'Intervals',
    'Line',
    'Matrix',
    'Scatter',
    'class_color',
]
