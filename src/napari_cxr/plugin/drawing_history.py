"""Undo of what a person draws on a radiograph: measurements, boxes and points.

napari's layers of shapes and points have no undo. Here a layer is looked at whenever it has come
to rest, so it does not matter whether a dock, a key or napari's own tools have changed it; what
it held before becomes a step of its radiograph's history, among those of the view.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from napari.layers import Image, Points, Shapes
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_cxr.plugin.layers import base_of

__all__ = ['DrawingHistory', 'Step']

#: Restores something, and returns the step that takes that back.
Step = Callable[[], Any]
#: Milliseconds until a layer is looked at again while a button of the mouse is down.
_DRAGGING = 60


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What a layer holds."""

    data: tuple[np.ndarray, ...]
    features: pd.DataFrame
    #: Types, colours and widths of shapes.
    style: dict[str, Any]

    def is_like(self, other: _Drawn) -> bool:
        return (
            len(self.data) == len(other.data)
            and all(np.array_equal(*pair) for pair in zip(self.data, other.data, strict=True))
            and _kept(self.features).equals(_kept(other.features))
        )


class DrawingHistory(QObject):
    """Makes steps of what happens to layers of shapes and points.

    Parameters
    ----------
    add_step : callable
        Takes the radiograph's layer and a `Step`.
    parent : QObject
        Qt parent.
    """

    #: There is a step more: the radiograph's layer.
    stepped = Signal(object)

    def __init__(self, add_step: Callable[[Image, Step], None], parent: QObject) -> None:
        super().__init__(parent)
        self._add_step = add_step
        self._settled: WeakKeyDictionary[Shapes | Points, _Drawn] = WeakKeyDictionary()
        self._held: weakref.WeakSet[Shapes | Points] = weakref.WeakSet()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._look)

    def follow(self, layer: Shapes | Points) -> None:
        """Follow a layer from now on; what it holds now is where its history begins."""
        if layer not in self._settled:
            self._settled[layer] = _drawn(layer)
            layer.events.set_data.connect(self._changed)

    def hold(self, layer: Shapes | Points, held: bool) -> None:
        """Take what happens to a layer for one step, from now on until it is held no more."""
        if held:
            self._held.add(layer)
        else:
            self._held.discard(layer)
            self.settle(layer)

    def settle(self, layer: Shapes | Points) -> None:
        """Make a step of what has happened to a layer since it was at rest."""
        before, now = self._settled.get(layer), _drawn(layer)
        base = base_of(layer)
        if before is None or layer in self._held or before.is_like(now):
            return
        self._settled[layer] = now
        if base is not None:
            self._add_step(base, self._step(layer, before))
            self.stepped.emit(base)

    def begin_anew(self, base: Image) -> None:
        """Take what lies on a radiograph for the beginning, as after its pixels have moved."""
        for layer in list(self._settled):
            if base_of(layer) is base:
                self._settled[layer] = _drawn(layer)

    def _step(self, layer: Shapes | Points, drawn: _Drawn) -> Step:
        return partial(self._restore, weakref.ref(layer), drawn)

    def _restore(self, reference: weakref.ref[Shapes | Points], drawn: _Drawn) -> Step:
        layer = reference()
        if layer is None:
            return partial(self._restore, reference, drawn)
        now = _drawn(layer)
        _show(layer, drawn)
        self._settled[layer] = _drawn(layer)
        return self._step(layer, now)

    def _changed(self) -> None:
        if not self._soon.isActive():
            self._soon.start(0)

    def _look(self) -> None:
        if QApplication.mouseButtons() != type(QApplication.mouseButtons())(0):
            self._soon.start(_DRAGGING)  # a drag is one step
            return
        for layer in list(self._settled):
            self.settle(layer)


def _kept(features: pd.DataFrame) -> pd.DataFrame:
    """Return features without the text of a measurement, which follows from where it lies."""
    return features.drop(columns='text', errors='ignore')


def _drawn(layer: Shapes | Points) -> _Drawn:
    style: dict[str, Any] = {}
    if isinstance(layer, Shapes):
        style = {
            'shape_type': list(layer.shape_type),
            'edge_color': np.array(layer.edge_color),
            'face_color': np.array(layer.face_color),
            'edge_width': list(layer.edge_width),
        }
    data = tuple(np.array(each, float) for each in layer.data)
    return _Drawn(data, layer.features.copy(), style)


def _show(layer: Shapes | Points, drawn: _Drawn) -> None:
    if isinstance(layer, Points):
        layer.data = np.array(drawn.data).reshape(-1, layer.ndim)
    else:
        layer.selected_data = set()
        layer.data = []
        if drawn.data:
            layer.add(list(drawn.data), **drawn.style)
    layer.features = drawn.features.copy()
    layer.refresh_text()
