"""Small plots that paint themselves in napari's theme."""

from napari_cxr.plugin.plots.curves import Curves
from napari_cxr.plugin.plots.histogram import Histogram
from napari_cxr.plugin.plots.image_grid import ImageGrid
from napari_cxr.plugin.plots.intervals import Intervals
from napari_cxr.plugin.plots.line import Line
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.plots.palette import class_color
from napari_cxr.plugin.plots.scatter import Scatter

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
