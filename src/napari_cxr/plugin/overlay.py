"""The heatmap and outline layers that belong to a radiograph's layer."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes

from napari_cxr.explain.heatmap import full_colour
from napari_cxr.plugin.classifying import Answer
from napari_cxr.plugin.contour import contour_layer, show_contour
from napari_cxr.plugin.layers import heatmap_layer, is_heatmap, lying_on, show_heatmap

__all__ = ['Overlay']


class Overlay:
    """Keeps one heatmap layer, and one outline if wanted, above a radiograph.

    A layer that the person removed is made anew at the next result; one that is
    still there is changed in place, so that its settings stay. The radiograph's
    layer is handed in each time and not kept, so that it can go.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.heat: Image | None = None
        self.line: Shapes | None = None

    @property
    def outlined(self) -> bool:
        """Whether there is an outline on screen."""
        return self.line is not None and self.line in self._viewer.layers

    def show(
        self, base: Image, answer: Answer, label: str, opacity: float, visible: bool
    ) -> Image:
        """Show the heatmap of one class over `base` and return its layer."""
        heatmap = answer.heatmap(label)
        strongest = full_colour(answer.heatmaps)
        if self.heat is None:  # unless another one has drawn it
            found = lying_on(base, self._viewer.layers)
            self.heat = next((each for each in found if is_heatmap(each)), None)
        if self.heat is not None and self.heat in self._viewer.layers:
            show_heatmap(self.heat, heatmap, answer.prediction, base, strongest)
            return self.heat
        self.heat = heatmap_layer(heatmap, answer.prediction, base, strongest)
        self.heat.opacity = opacity
        self.heat.visible = visible
        self._insert(self.heat, base)
        return self.heat

    def outline(self, base: Image, answer: Answer, label: str, level: float | None) -> None:
        """Show the outline of one class at a level, or take it away where `level` is None."""
        if level is None:
            self._take_away(self.line)
            self.line = None
        elif self.line is not None and self.outlined:
            show_contour(self.line, answer.heatmap(label), level, base)
        else:
            self.line = contour_layer(answer.heatmap(label), level, base)
            above = (
                self.heat if self.heat is not None and self.heat in self._viewer.layers else base
            )
            self._insert(self.line, above)

    def remove(self) -> None:
        """Take both layers away."""
        self._take_away(self.heat)
        self._take_away(self.line)
        self.heat = self.line = None

    def _insert(self, layer: Layer, below: Layer) -> None:
        layers = self._viewer.layers
        layers.insert(layers.index(below) + 1, layer)

    def _take_away(self, layer: Layer | None) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
