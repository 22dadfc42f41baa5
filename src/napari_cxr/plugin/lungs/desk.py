"""The lungs of the radiograph that a dock shows: found, shown, edited, measured by."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any
from weakref import WeakSet

from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cxr.plugin.classifying import Answer, Failure, LungShares
from napari_cxr.plugin.lungs import jobs
from napari_cxr.plugin.lungs.jobs import Found
from napari_cxr.plugin.lungs.layer import edit_of, let_go, lungs_of, place

__all__ = ['LungDesk', 'insert_lungs']

#: How long the brush rests before heatmaps are measured anew, in milliseconds.
_REST = 250


class LungDesk(QObject):
    """Keeps the lungs of one radiograph at a time in step with what a person does.

    The layer itself says whose lungs it holds, so one that a command has made, or that
    was there before the dock, is taken up as well.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    parent : QObject
        Qt parent.
    """

    #: The share of each heatmap in the lungs on show; an `LungShares`.
    measured = Signal(object)
    #: Lungs are on screen or not.
    shown = Signal(bool)
    #: Lungs could not be found or measured by; a `Failure`.
    failed = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._base: weakref.ref[Image] | None = None
        self._answer: Answer | None = None
        self._followed: weakref.ref[Labels] | None = None
        self._wanted: WeakSet[Image] = WeakSet()
        #: Held until they have told: another radiograph's may begin meanwhile.
        self._finders: set[Any] = set()
        self._at_work = False
        self._measured_for: Answer | None = None
        self._resting = QTimer(self)
        self._resting.setSingleShot(True)
        self._resting.setInterval(_REST)
        self._resting.timeout.connect(self._measure)
        viewer.layers.events.inserted.connect(self._follow)
        viewer.layers.events.removed.connect(self._follow)

    @property
    def layer(self) -> Labels | None:
        """The layer with the lungs of the radiograph on show, if there is one."""
        base = self._radiograph
        return None if base is None else lungs_of(base, self._viewer.layers)

    def turn_to(self, base: Image | None, answer: Answer | None) -> None:
        """Look after another radiograph, or another answer about it."""
        self._base = None if base is None else weakref.ref(base)
        self._answer = answer
        layer = self.layer
        if base is not None and layer is not None:
            place(layer, base)
        self._follow()
        self._measure()

    def show(self, wanted: bool) -> None:
        """Show the lungs, and find them first if need be; or hide them."""
        layer, base = self.layer, self._radiograph
        if base is None:
            return
        if layer is not None:
            layer.visible = wanted
        elif not wanted:
            self._wanted.discard(base)
        elif base not in self._wanted:
            self._wanted.add(base)
            answer = self._answer
            # Lungs that were edited before the click went with their layer: find them anew.
            field = None if answer is None or answer.lungs.edit else answer.field
            worker = jobs.find(base, field)
            worker.returned.connect(partial(self._take, base, base.data))
            worker.finished.connect(lambda: self._finders.discard(worker))
            self._finders.add(worker)
            worker.start()

    def edit(self) -> None:
        """Put napari's brush into the person's hand."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.selection.active = layer
            layer.visible = True
            layer.mode = 'paint'

    def forget(self, base: Image) -> None:
        """Give up lungs that were found on other pixels; edited ones stay as a layer."""
        self._wanted.discard(base)
        layer = lungs_of(base, self._viewer.layers)
        if layer is not None:
            let_go(layer)
            if not edit_of(layer):
                self._viewer.layers.remove(layer)

    @property
    def _radiograph(self) -> Image | None:
        return self._base() if self._base is not None else None

    def _take(self, base: Image, data: Any, found: Found | Failure) -> None:
        if base.data is not data:  # it shows another radiograph by now
            return
        if isinstance(found, Failure):
            self._wanted.clear()
            self._tell()
            self.failed.emit(found)
        elif base in self._wanted:
            self._wanted.discard(base)
            insert_lungs(self._viewer, found)

    def _follow(self, event: Any = None) -> None:
        """Connect to the layer with the lungs, which may have come or gone."""
        layer = self.layer
        before = self._followed() if self._followed is not None else None
        if layer is not before:
            if before is not None:
                for emitter in _edits(before):
                    emitter.disconnect(self._edited)
                before.events.visible.disconnect(self._tell)
            self._followed = None if layer is None else weakref.ref(layer)
            if layer is not None:
                for emitter in _edits(layer):
                    emitter.connect(self._edited)
                layer.events.visible.connect(self._tell)
            self._edited()
        self._tell()

    def _tell(self, event: Any = None) -> None:
        layer, base = self.layer, self._radiograph
        on_the_way = base is not None and base in self._wanted
        self.shown.emit(on_the_way if layer is None else layer.visible)

    def _edited(self, event: Any = None) -> None:
        self._resting.start()

    def _measure(self) -> None:
        layer, answer = self.layer, self._answer
        if answer is None:
            return
        if layer is None:
            self.measured.emit(answer.lungs)
        elif self._at_work:
            self._resting.start()
        else:
            self._at_work = True
            self._measured_for = answer
            worker = self._measurer = jobs.measure(layer, answer)
            worker.returned.connect(self._take_shares)
            worker.start()

    def _take_shares(self, shares: LungShares | Failure) -> None:
        self._at_work = False
        if isinstance(shares, Failure):
            self.failed.emit(shares)
        elif self._measured_for is self._answer:  # else another one is on show by now
            self.measured.emit(shares)
        self._measured_for = None


def insert_lungs(viewer: ViewerModel, found: Found) -> Labels | None:
    """Lay lungs on their radiograph's layer; the person's selection stays.

    Returns
    -------
    napari.layers.Labels or None
        The new layer; None if the radiograph has gone, or has lungs by now.
    """
    layers = viewer.layers
    if found.radiograph not in layers or lungs_of(found.radiograph, layers) is not None:
        return None
    selected = layers.selection.active
    place(found.lungs, found.radiograph)  # which may have been moved meanwhile
    layers.insert(layers.index(found.radiograph) + 1, found.lungs)
    layers.selection.active = selected
    return found.lungs


def _edits(layer: Labels) -> tuple[Any, ...]:
    """Return what tells of changed labels: a stroke, an undone one, other data."""
    events = layer.events
    return events.paint, events.set_data, events.data
