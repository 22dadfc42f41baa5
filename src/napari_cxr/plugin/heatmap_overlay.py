"""The heatmap and its outline over a radiograph, as napari layers.

`HeatmapOverlay` keeps one heatmap layer, and one outline if wanted, above a radiograph's layer;
the outline is where the heatmap crosses a level, as a shapes layer.
"""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes

from napari_cxr.explain.heatmap import Heatmap, full_colour
from napari_cxr.plugin.classify_job import ExplainedPrediction
from napari_cxr.plugin.layers import heatmap_layer, is_heatmap, lay_on, lying_on, show_heatmap

__all__ = ['HeatmapOverlay', 'outline_layer', 'outline_paths', 'show_outline']

#: Points between two cells; enough for a curve that looks smooth on screen.
_UPSAMPLING = 12


def outline_paths(heatmap: Heatmap, level: float) -> list[np.ndarray]:
    """Return where the heatmap crosses a level.

    Parameters
    ----------
    heatmap : Heatmap
        The map.
    level : float
        Fraction of the map's own maximum, in (0, 1).

    Returns
    -------
    list of ndarray, shape (n, 2)
        Paths of (y, x) in pixels of the radiograph; empty for a map of zeros. They run
        along the edge of the network's input rather than beyond it.
    """
    from scipy.ndimage import zoom
    from skimage.measure import find_contours

    values = heatmap.values.astype(float)
    top = values.max()
    if top <= 0:
        return []
    # One cell of nothing around it closes every path.
    padded = np.pad(values / top, 1)
    # As smooth as the layer is drawn; splines swing below zero beside a peak.
    fine = np.clip(zoom(padded, _UPSAMPLING, order=3, grid_mode=False, mode='nearest'), 0, None)
    step = (np.array(padded.shape) - 1) / (np.array(fine.shape) - 1)
    paths = []
    for points in find_contours(fine, level):
        cells = points * step - 1
        homogeneous = np.column_stack([cells, np.ones(len(cells))])
        path = (homogeneous @ heatmap.to_radiograph.T)[:, :2]
        if heatmap.input_bounds is not None:
            path = np.clip(path, heatmap.input_bounds[:2], heatmap.input_bounds[2:])
        paths.append(path)
    return paths


def outline_layer(heatmap: Heatmap, level: float, base: Image) -> Shapes:
    """Return a layer with the outline, in place on the radiograph's layer."""
    layer = Shapes(ndim=2, axis_labels=base.axis_labels)
    show_outline(layer, heatmap, level, base)
    lay_on(layer, base)
    return layer


def show_outline(layer: Shapes, heatmap: Heatmap, level: float, base: Image) -> None:
    """Put the outline of a heatmap into an existing layer, where the radiograph is now."""
    for name in ('scale', 'translate', 'rotate', 'shear', 'affine', 'units'):
        setattr(layer, name, getattr(base, name))
    rows = heatmap.to_radiograph[0, 0] * heatmap.values.shape[0]
    layer.data = []
    paths = outline_paths(heatmap, level)
    if paths:
        layer.add_paths(paths, edge_color='#ff3b30', edge_width=max(rows / 250, 0.5))
    layer.name = f'{heatmap.method} outline · {heatmap.label} · {100 * level:.0f} %'


class HeatmapOverlay:
    """Keeps one heatmap layer, and one outline if wanted, above a radiograph.

    A layer that the person removed is made again at the next result; one that is
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
        self, base: Image, answer: ExplainedPrediction, label: str, opacity: float, visible: bool
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

    def outline(
        self, base: Image, answer: ExplainedPrediction, label: str, level: float | None
    ) -> None:
        """Show the outline of one class at a level, or take it away where `level` is None."""
        if level is None:
            self._take_away(self.line)
            self.line = None
        elif self.line is not None and self.outlined:
            show_outline(self.line, answer.heatmap(label), level, base)
        else:
            self.line = outline_layer(answer.heatmap(label), level, base)
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
