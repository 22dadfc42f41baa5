"""The heatmap, its outline and the model's field of view over a radiograph, as napari layers.

`HeatmapOverlay` keeps one heatmap layer above a radiograph's layer, and if wanted two shapes
layers: the outline, where the heatmap crosses a level, and the edge of what the model was shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes

from napari_cxr.explain.heatmap import HEAT_COLOURS, Heatmap, full_colour
from napari_cxr.plugin.classify_job import ExplainedPrediction
from napari_cxr.plugin.layers import heatmap_layer, is_heatmap, lay_on, lying_on, show_heatmap

__all__ = [
    'HeatmapOverlay',
    'field_of_view_layer',
    'outline_layer',
    'outline_paths',
    'show_field_of_view',
    'show_outline',
]

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


def outline_layer(heatmap: Heatmap, levels: Sequence[float], base: Image) -> Shapes:
    """Return a layer with the outlines, in place on the radiograph's layer."""
    layer = Shapes(ndim=2, axis_labels=base.axis_labels)
    show_outline(layer, heatmap, levels, base)
    lay_on(layer, base)
    return layer


def _align(layer: Shapes, base: Image) -> None:
    """Lay shapes in pixels of the radiograph where its layer is now."""
    for name in ('scale', 'translate', 'rotate', 'shear', 'affine'):
        # Every change makes napari lay out the whole scene again.
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(getattr(base, name))):
            setattr(layer, name, getattr(base, name))
    if layer.units != base.units:
        layer.units = base.units


def field_of_view_layer(heatmap: Heatmap, base: Image) -> Shapes:
    """Return a layer with the edge of what the model was shown, in place on the radiograph."""
    layer = Shapes(ndim=2, axis_labels=base.axis_labels, opacity=0.6)
    show_field_of_view(layer, heatmap, base)
    lay_on(layer, base)
    return layer


def show_field_of_view(layer: Shapes, heatmap: Heatmap, base: Image) -> None:
    """Put the edge of what a model was shown into an existing layer.

    It stays on the radiograph: what a model sees beyond is padding.
    """
    _align(layer, base)
    rows, columns = base.data.shape[:2]
    wanted = []
    if heatmap.input_bounds is not None:
        corners = np.reshape(heatmap.input_bounds, (2, 2))
        wanted = [np.clip(corners, -0.5, np.array([rows, columns]) - 0.5)]
    there = [np.stack([shape.min(axis=0), shape.max(axis=0)]) for shape in layer.data]
    # napari keeps corners in single precision.
    if len(there) != len(wanted) or not np.allclose(there, wanted, rtol=1e-6):
        layer.data = []
        if wanted:
            layer.add_rectangles(
                wanted,
                face_color='transparent',
                edge_color='#9aa0a6',
                edge_width=max(rows / 400, 0.5),
            )
    layer.name = f'Field of view · {heatmap.model}'


def show_outline(layer: Shapes, heatmap: Heatmap, levels: Sequence[float], base: Image) -> None:
    """Put the outlines of a heatmap into an existing layer, where the radiograph is now.

    The colour of each is that of the heatmap at its level, where there are several.
    """
    _align(layer, base)
    rows = heatmap.to_radiograph[0, 0] * heatmap.values.shape[0]
    layer.data = []
    for level in levels:
        paths = outline_paths(heatmap, level)
        if paths:
            color = '#ff3b30' if len(levels) == 1 else _level_color(level)
            layer.add_paths(paths, edge_color=color, edge_width=max(rows / 250, 0.5))
    percent = ', '.join(f'{100 * level:.0f}' for level in levels)
    layer.name = f'{heatmap.method} outline · {heatmap.title} · {percent} %'


def _level_color(level: float) -> np.ndarray:
    """Return the colour of the heatmap at a level, opaque."""
    steps = np.linspace(0, 1, len(HEAT_COLOURS))
    return np.array([*(np.interp(level, steps, HEAT_COLOURS[:, i]) for i in range(3)), 1.0])


class HeatmapOverlay:
    """Keeps one heatmap layer above a radiograph, and an outline and a field of view if wanted.

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
        self._levels: tuple[float, ...] = ()
        self.view: Shapes | None = None

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the outlines on screen."""
        there = self.line is not None and self.line in self._viewer.layers
        return self._levels if there else ()

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
        self, base: Image, answer: ExplainedPrediction, label: str, levels: tuple[float, ...]
    ) -> None:
        """Show the outlines of one class at levels, or take them away where there are none."""
        there, self._levels = bool(self.levels), levels
        if not levels:
            self._take_away(self.line)
            self.line = None
        elif self.line is not None and there:
            show_outline(self.line, answer.heatmap(label), levels, base)
        else:
            self.line = outline_layer(answer.heatmap(label), levels, base)
            above = (
                self.heat if self.heat is not None and self.heat in self._viewer.layers else base
            )
            self._insert(self.line, above)

    def field_of_view(self, base: Image, answer: ExplainedPrediction, wanted: bool) -> None:
        """Show the edge of what the model was shown where it crops, or take it away."""
        heatmap = answer.heatmaps[0]
        if not wanted or not heatmap.crops(answer.field.shape):
            self._take_away(self.view)
            self.view = None
        elif self.view is not None and self.view in self._viewer.layers:
            show_field_of_view(self.view, heatmap, base)
        else:
            self.view = field_of_view_layer(heatmap, base)
            self._insert(self.view, base)

    def remove(self) -> None:
        """Take all layers away."""
        for layer in (self.heat, self.line, self.view):
            self._take_away(layer)
        self.heat = self.line = self.view = None

    def _insert(self, layer: Layer, below: Layer) -> None:
        layers = self._viewer.layers
        selected = layers.selection.active  # the radiograph, as a rule, which stays so
        layers.insert(layers.index(below) + 1, layer)
        if selected is not None:
            layers.selection.active = selected

    def _take_away(self, layer: Layer | None) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
