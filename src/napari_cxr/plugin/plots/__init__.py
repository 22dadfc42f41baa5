"""Small plots that paint themselves in napari's theme."""

from napari_cxr.plugin.plots.curves import Curves, Line
from napari_cxr.plugin.plots.palette import class_color

__all__ = ['Curves', 'Line', 'class_color']
