"""How each radiograph of a viewer is shown: window, polarity, which way it lies; and undo.

Everything here is for the eye alone. Limits and colormap are those of napari's layer, mirroring
and turning its `affine`, so that heatmap, lungs and measurements go along. What a model sees is
another matter: see `model_correction`.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils import Colormap
from qtpy.QtCore import QObject, Signal

from napari_cxr.correction import Correction
from napari_cxr.plugin.docks import dock_signals, unwrap_viewer
from napari_cxr.plugin.drawing_history import DrawingHistory, Step
from napari_cxr.plugin.layers import is_base_image, is_local_contrast, lying_on
from napari_cxr.plugin.lungs_controller import chosen_radiograph
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.side_by_side import is_under_cursor
from napari_cxr.plugin.standard_windows import (
    NamedWindow,
    inverted_colormap,
    windows_of,
)

__all__ = ['RadiographViews', 'ViewState', 'views_of']

#: So many steps can be undone for a radiograph.
_MOST_STEPS = 100


@dataclass(frozen=True, eq=False)
class ViewState:
    """How a radiograph is shown.

    Parameters
    ----------
    limits : tuple of float
        Contrast limits.
    colormap : Colormap
        As it is on the layer.
    gamma : float
        Of the layer.
    lies : Correction
        How the view differs from the file: mirrored, turned, inverted.
    contrast : bool
        Whether local contrast is shown.
    """

    limits: tuple[float, float]
    colormap: Colormap
    gamma: float
    lies: Correction
    contrast: bool = False


class RadiographViews(QObject):
    """Changes how the radiographs of one viewer are shown, and takes changes back.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    """

    #: A radiograph is shown otherwise than before, or another one is meant: its layer, or None.
    changed = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self._lies: WeakKeyDictionary[Image, Correction] = WeakKeyDictionary()
        self._steps: WeakKeyDictionary[Image, list[Step]] = WeakKeyDictionary()
        self._undone: WeakKeyDictionary[Image, list[Step]] = WeakKeyDictionary()
        #: Makes steps of what is drawn on radiographs.
        self.drawings = DrawingHistory(self.add_step, self)
        layers = viewer.layers
        layers.events.inserted.connect(self._layers_changed)
        layers.events.removed.connect(self._layer_removed)
        layers.selection.events.active.connect(self._layers_changed)
        dock_signals().image_changing.connect(self._image_changing)

    # -- which radiograph is meant ----------------------------------------------------------

    @property
    def current(self) -> Image | None:
        """The radiograph that is meant: selected, under what is selected, or else on show."""
        viewer = self._viewer()
        if viewer is None:
            return None
        return chosen_radiograph(viewer)

    def at(self, position: Any) -> Image | None:
        """Return the visible radiograph at a place in the world, the uppermost one.

        Of two side by side it is the one in whose half of the canvas the cursor is.
        """
        viewer = self._viewer()
        if viewer is None:
            return None
        for layer in reversed(viewer.layers):
            if (
                is_base_image(layer)
                and layer.visible
                and pixel_at(layer, position) is not None
                and is_under_cursor(viewer, layer)
            ):
                return layer
        return None

    def contrast_layers(self, base: Image) -> list[Image]:
        """Return the layers with a radiograph's local contrast, which may be hidden."""
        viewer = self._viewer()
        on = lying_on(base, viewer.layers) if viewer is not None else []
        return [layer for layer in on if isinstance(layer, Image) and is_local_contrast(layer)]

    def shown_of(self, base: Image) -> Image:
        """Return the layer whose contrast limits make what is seen: local contrast, if visible."""
        return next((layer for layer in self.contrast_layers(base) if layer.visible), base)

    # -- what is done to a view -------------------------------------------------------------

    def remember(self, base: Image) -> None:
        """Keep how a radiograph is shown now, as the next step to take back."""
        self.add_step(base, self._step(base, self.state(base)))

    def add_step(self, base: Image, step: Step) -> None:
        """Keep something as the next step to take back of a radiograph."""
        steps = self._steps.setdefault(base, [])
        steps.append(step)
        del steps[:-_MOST_STEPS]
        self._undone.pop(base, None)
        self.changed.emit(base)

    def state(self, base: Image) -> ViewState:
        """Return how a radiograph is shown now."""
        low, high = base.contrast_limits if not base.rgb else (0.0, 1.0)
        contrast = self.shown_of(base) is not base
        return ViewState((low, high), base.colormap, base.gamma, self.lies(base), contrast)

    def lies(self, base: Image) -> Correction:
        """Return how the view of a radiograph differs from its pixels."""
        return self._lies.get(base, Correction())

    def can_undo(self, base: Image | None) -> bool:
        """Return whether there is a step to take back."""
        return base is not None and bool(self._steps.get(base))

    def can_redo(self, base: Image | None) -> bool:
        """Return whether a step was taken back, and nothing done since."""
        return base is not None and bool(self._undone.get(base))

    def undo(self, base: Image) -> None:
        """Take back the last thing that was done to a view, or drawn on it."""
        steps = self._steps.get(base)
        if steps:
            self._undone.setdefault(base, []).append(steps.pop()())
            self.changed.emit(base)

    def redo(self, base: Image) -> None:
        """Do again what was taken back last."""
        undone = self._undone.get(base)
        if undone:
            self._steps.setdefault(base, []).append(undone.pop()())
            self.changed.emit(base)

    def reset(self, base: Image) -> None:
        """Show a radiograph as its file says; can be undone."""
        self.remember(base)
        windows = windows_of(base)
        self._turn(base, self.lies(base).inverse())
        for layer in self.contrast_layers(base):
            layer.visible = False
        if not base.rgb:
            base.gamma = 1.0
            if windows:
                self._show_window(base, windows[0])
        self.changed.emit(base)

    def show_window(self, base: Image, window: NamedWindow) -> None:
        """Show a radiograph with another window; its polarity on screen stays."""
        self.remember(base)
        self._show_window(base, window)
        self.changed.emit(base)

    def correct(self, base: Image, correction: Correction) -> None:
        """Invert, mirror or turn the view of a radiograph."""
        self.remember(base)
        self._turn(base, correction)
        self.changed.emit(base)

    def forget(self, base: Image) -> None:
        """Forget what was done to a view: its layer shows other pixels, upright and as read."""
        lies = self._lies.pop(base, Correction())
        self._steps.pop(base, None)
        self._undone.pop(base, None)
        self._move(base, lies.inverse())
        self.changed.emit(base)

    # -- how ----------------------------------------------------------------------------------

    def _show_window(self, base: Image, window: NamedWindow) -> None:
        from napari.utils.colormaps import ensure_colormap

        colormap = ensure_colormap(window.colormap)
        if self.lies(base).inverted:
            colormap = inverted_colormap(colormap)
        base.contrast_limits = window.limits
        if base.colormap != colormap:
            base.colormap = colormap

    def _turn(self, base: Image, correction: Correction) -> None:
        if correction.inverted and base.rgb:
            correction = Correction(False, correction.mirrored, correction.turns)
        self._lies[base] = self.lies(base).then(correction)
        if correction.inverted:
            base.colormap = inverted_colormap(base.colormap)
            for layer in self.contrast_layers(base):
                layer.colormap = inverted_colormap(layer.colormap)
        self._move(base, correction)

    def _move(self, base: Image, correction: Correction) -> None:
        viewer = self._viewer()
        if viewer is None or not correction.moves:
            return
        ends = base.extent.world[:, -2:]
        watch_viewer(viewer).move(base, correction.about(ends.mean(axis=0)))

    def _step(self, base: Image, state: ViewState) -> Step:
        """Return what shows a radiograph as it was; it does not keep the layer alive."""
        return partial(self._show_state, weakref.ref(base), state)

    def _show_state(self, reference: weakref.ref[Image], state: ViewState) -> Step:
        base = reference()
        if base is None:
            return partial(self._show_state, reference, state)
        now = self.state(base)
        self._restore(base, state)
        return self._step(base, now)

    def _restore(self, base: Image, state: ViewState) -> None:
        now = self.lies(base)
        self._turn(base, now.inverse().then(state.lies))
        if not base.rgb:
            base.contrast_limits = state.limits
            base.gamma = state.gamma
            if base.colormap != state.colormap:
                base.colormap = state.colormap
        for layer in self.contrast_layers(base):
            layer.visible = state.contrast

    def _image_changing(self, layer: Any) -> None:
        """Start anew with a layer that is about to show another radiograph."""
        viewer = self._viewer()
        if viewer is not None and layer in viewer.layers:
            for on in self.contrast_layers(layer):
                viewer.layers.remove(on)
            self.forget(layer)

    def _layer_removed(self, event: Any) -> None:
        if isinstance(event.value, Image):
            for on in self.contrast_layers(event.value):  # which is nothing by itself
                event.source.remove(on)
        self._layers_changed()

    def _layers_changed(self, event: Any = None) -> None:
        self.changed.emit(self.current)


def pixel_at(layer: Image, position: Any) -> tuple[int, ...] | None:
    """Return the pixel of an image at a place in the world; None beside it."""
    shape = (layer.data[0] if layer.multiscale else layer.data).shape
    place = np.asarray(layer.world_to_data(position))
    index = tuple(int(i) for i in np.floor(place + 0.5))
    if any(not 0 <= i < n for i, n in zip(index, shape, strict=False)):
        return None
    return index


_VIEWS: WeakKeyDictionary[ViewerModel, RadiographViews] = WeakKeyDictionary()


def views_of(viewer: ViewerModel) -> RadiographViews:
    """Return what changes how the radiographs of a viewer are shown; made at the first call."""
    viewer = unwrap_viewer(viewer)
    if viewer not in _VIEWS:
        _VIEWS[viewer] = RadiographViews(viewer)
    return _VIEWS[viewer]
