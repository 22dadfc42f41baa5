"""The heatmap and the outline over the radiograph that a dock shows."""

from __future__ import annotations

import weakref
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject

from napari_cxr.plugin.classify.heatmap_controls import HeatmapControls
from napari_cxr.plugin.classifying import Answer
from napari_cxr.plugin.overlay import Overlay
from napari_cxr.plugin.source_file import shows_other_pixels

__all__ = ['HeatDesk']


class HeatDesk(QObject):
    """Keeps the layers of one radiograph at a time in step with the dock's controls.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    controls : HeatmapControls
        The dock's.
    parent : QObject
        Qt parent.
    """

    def __init__(self, viewer: ViewerModel, controls: HeatmapControls, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._controls = controls
        self._overlays: WeakKeyDictionary[Image, Overlay] = WeakKeyDictionary()
        self._base: weakref.ref[Image] | None = None
        self._answer: Answer | None = None
        self._label = ''
        controls.visible_changed.connect(self._set_visible)
        controls.opacity_changed.connect(self._set_opacity)
        controls.outline_changed.connect(self._set_outline)

    def turn_to(self, base: Image, answer: Answer, label: str) -> None:
        """Let the controls be those of another radiograph or class; draws nothing."""
        self._base, self._answer, self._label = weakref.ref(base), answer, label
        self._overlays.setdefault(base, Overlay(self._viewer))
        self._follow_layer()
        self._controls.set_outlined(self._overlays[base].outlined)

    def turn_away(self) -> None:
        """Let the controls be nobody's."""
        self._base = self._answer = None

    def draw(self, base: Image, answer: Answer, label: str) -> None:
        """Turn to a radiograph and show its heatmap, and the outline if it is wanted."""
        controls = self._controls
        level = controls.outline_level  # as it was for the radiograph before, on a new one
        self.turn_to(base, answer, label)
        overlay = self._overlays[base]
        if shows_other_pixels(base):  # of another patient, perhaps
            overlay.remove()
            return
        heat = overlay.show(
            base, answer, label, controls.opacity.value() / 100, controls.shown.isChecked()
        )
        heat.events.opacity.connect(self._follow_layer)
        heat.events.visible.connect(self._follow_layer)
        overlay.outline(base, answer, label, level)

    def remove(self, base: Image) -> None:
        """Take away what lies over a radiograph."""
        if base in self._overlays:
            self._overlays[base].remove()

    @property
    def _radiograph(self) -> Image | None:
        return self._base() if self._base is not None else None

    @property
    def _heat(self) -> Image | None:
        base = self._radiograph
        return None if base is None else self._overlays[base].heat

    def _follow_layer(self, event: Any = None) -> None:
        """Keep the controls in step with napari's own controls of the heatmap layer."""
        heat = self._heat
        if heat is not None:
            self._controls.set_opacity(heat.opacity)
            self._controls.set_shown(heat.visible)

    def _set_visible(self, visible: bool) -> None:
        if self._heat is not None:
            self._heat.visible = visible

    def _set_opacity(self, opacity: float) -> None:
        if self._heat is not None:
            self._heat.opacity = opacity

    def _set_outline(self, wanted: bool, level: float) -> None:
        base, answer = self._radiograph, self._answer
        if base is not None and answer is not None and not shows_other_pixels(base):
            self._overlays[base].outline(base, answer, self._label, level if wanted else None)
