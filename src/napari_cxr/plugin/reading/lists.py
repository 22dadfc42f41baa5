"""The labels of the table on show: opened one after the other, and closed when all is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.reading import jobs
from napari_cxr.plugin.reading.words import unsaved_problem
from napari_cxr.plugin.when_gone import when_gone
from napari_cxr.scoring.reading.reading_list import ReadingList

__all__ = ['TableLabels']


class TableLabels(QObject):
    """Opens the reading list of one table at a time.

    A list that was closed while labels were not on the disk yet goes on saving; the same table
    is opened again after that.

    Parameters
    ----------
    changed : callable
        Called in other threads when saving has come further, or fails.
    parent : QObject, optional
        Qt parent.
    """

    #: The `ReadingList` of the table that was asked for last, or a `Failure`.
    came = Signal(object)

    def __init__(self, changed: Callable[[], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changed = changed
        self._open: list[ReadingList] = []  # at most one
        self._closing: list[ReadingList] = []
        self._wanted: tuple[str, tuple[str, ...]] | None = None
        self._number = 0  # of the openings: the same table may be opened twice
        self._opening = 0  # the one that is under way
        self._workers: list[Any] = []
        self._under_way = False
        # Whoever closes the dock must not keep the labels from others.
        when_gone(self, partial(_close, self._open))

    @property
    def current(self) -> ReadingList | None:
        """The list that is open."""
        return self._open[0] if self._open else None

    @property
    def unsaved_problem(self) -> str:
        """What is not saved and why, in a sentence; empty where nothing is known to prevent it."""
        problems = map(unsaved_problem, (*self._open, *self._closing))
        return next(filter(None, problems), '')

    def open(self, table: str, labels: Sequence[str]) -> None:
        """Open the list of another table in place of the current one; returns at once."""
        self.close()
        self._wanted = table, tuple(labels)
        self._go_on()

    def close(self) -> None:
        """Close the current list, as soon as all of it is saved."""
        self._number += 1
        self._wanted = None
        self._let_go(self._open)
        self._open.clear()

    def _let_go(self, readings: Sequence[ReadingList]) -> None:
        for reading in readings:
            reading.close()
        self._closing = [each for each in (*self._closing, *readings) if not each.closed]

    def _go_on(self) -> None:
        """Start to open what is wanted, where no other opening is under way."""
        if self._under_way or self._wanted is None:
            return
        (table, labels), self._wanted = self._wanted, None
        self._under_way, self._opening = True, self._number
        worker = jobs.open_reading(table, labels, self._changed, tuple(self._closing))
        # Kept, because a worker that goes may take with it what it has just told.
        self._workers = [*self._workers[-1:], worker]
        # Of a method Qt forgets the connection when this object goes, of a `partial` it does not.
        worker.returned.connect(self._take)
        worker.start()

    def _take(self, result: ReadingList | Failure) -> None:
        self._under_way = False
        self._closing = [each for each in self._closing if not each.closed]
        if self._opening == self._number:
            if isinstance(result, ReadingList):
                self._open[:] = [result]
            self.came.emit(result)
        elif isinstance(result, ReadingList):
            self._let_go([result])
        self._go_on()


def _close(readings: list[ReadingList]) -> None:
    for reading in readings:
        reading.close()
