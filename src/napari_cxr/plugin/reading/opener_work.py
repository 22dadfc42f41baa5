"""The job under way for a row that is opened, and the one for a row that is read ahead."""

from __future__ import annotations

from threading import Event
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.reading import opener_job
from napari_cxr.plugin.reading.opener_job import Opened, Order, Picture
from napari_cxr.plugin.settings import preferences

__all__ = ['Stops', 'Work']


class Stops:
    """What ends the jobs under way, held by nothing that must go before they end."""

    def __init__(self) -> None:
        self.events: dict[int, Event] = {}

    def stop(self) -> None:
        """Ask all of them to end."""
        for event in self.events.values():
            event.set()


class Work(QObject):
    """One job at a time, and the picture that it has found so far.

    Parameters
    ----------
    stops : Stops
        Where what ends the job is kept.
    """

    #: What is being done: the `Order`, and words.
    told = Signal(object, str)
    #: The `Order`, and its `Picture`.
    seen = Signal(object, object)
    #: The `Order`, and what came of it: an `Opened`, a `Failure`, or None if it was cancelled.
    done = Signal(object, object)

    def __init__(self, stops: Stops) -> None:
        super().__init__()
        self._stops = stops
        self.order: Order | None = None
        self.picture: Picture | None = None
        self._result: Opened | Failure | None = None
        self._cancelled = Event()
        self._worker: Any = None

    def is_at(self, order: Order) -> bool:
        """Whether this very row is being read, and shall be."""
        at_work = self.order is not None and not self._cancelled.is_set()
        return at_work and self.order.key == order.key  # type: ignore[union-attr]

    def start(self, order: Order, known: Opened | None) -> None:
        """Begin; nothing else is under way."""
        self.order, self.picture, self._result = order, None, None
        self._cancelled = self._stops.events[id(self)] = Event()
        names = preferences('layers').file_names
        # Kept, because a worker that goes may take with it what it has just told.
        worker = self._worker = opener_job.fetch(order, known, names, self._cancelled)
        worker.yielded.connect(self._hear)
        worker.returned.connect(self._keep)
        worker.finished.connect(self._finish)
        worker.start()

    def cancel(self) -> None:
        """Ask the job to end; `done` tells when it has."""
        self._cancelled.set()

    def _hear(self, event: Picture | str | None) -> None:
        if self.order is None or self._cancelled.is_set():
            return
        if isinstance(event, Picture):
            self.picture = event
            self.seen.emit(self.order, event)
        elif event:
            self.told.emit(self.order, event)

    def _keep(self, result: Opened | Failure | None) -> None:
        self._result = None if self._cancelled.is_set() else result

    def _finish(self) -> None:
        order, result = self.order, self._result
        self.order = self.picture = self._result = None
        self.done.emit(order, result)
