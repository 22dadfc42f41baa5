"""The heatmap and outline layers that belong to a radiograph's layer."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes

from napari_cxr.plugin.classifying import Answer
from napari_cxr.plugin.contour import contour_layer, show_contour
from napari_cxr.plugin.layers import heatmap_layer, show_heatmap, strongest_value

__all__ = ['Overlay']


class Overlay:
    """Keeps one heatmap layer, and one outline if wanted, above a radiograph.

    A layer that the person removed is made anew at the next result; one that is
    still there is changed in place, so that its settings stay.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    base : napari.layers.Image
        The radiograph's layer.
    """

    def __init__(self, viewer: ViewerModel, base: Image) -> None:
        self._viewer = viewer
        self._base = base
        self.heat: Image | None = None
        self.line: Shapes | None = None

    def show(self, answer: Answer, label: str, opacity: float, visible: bool) -> Image:
        """Show the heatmap of one class and return its layer."""
        heatmap = answer.heatmap(label)
        strongest = strongest_value(answer.heatmaps)
        if self.heat is not None and self.heat in self._viewer.layers:
            show_heatmap(self.heat, heatmap, answer.prediction, self._base, strongest)
            return self.heat
        self.heat = heatmap_layer(heatmap, answer.prediction, self._base, strongest)
        self.heat.opacity = opacity
        self.heat.visible = visible
        self._insert(self.heat)
        return self.heat

    def outline(self, answer: Answer, label: str, level: float | None) -> None:
        """Show the outline of one class at a level, or take it away where `level` is None."""
        there = self.line is not None and self.line in self._viewer.layers
        if level is None:
            if self.line is not None and there:
                self._viewer.layers.remove(self.line)
            self.line = None
        elif self.line is not None and there:
            show_contour(self.line, answer.heatmap(label), level)
        else:
            self.line = contour_layer(answer.heatmap(label), level, self._base)
            self._insert(self.line)

    def _insert(self, layer: Layer) -> None:
        """Put a layer right above the radiograph, an outline above the heatmap."""
        layers = self._viewer.layers
        below: Layer = self._base
        if isinstance(layer, Shapes) and self.heat is not None and self.heat in layers:
            below = self.heat
        layers.insert(layers.index(below) + 1, layer)
