"""Rows on their way into the table of scores, so that any number never holds the screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import perf_counter

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cxr.plugin.scores.table_model import ScoreModel
from napari_cxr.scoring import Row

__all__ = ['Intake']

#: Milliseconds between two times that new rows are shown, and before more are taken in.
_SHOWING, _TAKING = 250, 5
#: Seconds that taking rows in may hold the screen, and how many are taken at once.
_PATIENCE, _CHUNK = 0.012, 200


class Intake(QObject):
    """Puts rows into a model's `rows` a few at a time, and says when to show them.

    Parameters
    ----------
    model : ScoreModel
        Where they go.
    parent : QObject, optional
        Qt parent.
    """

    #: There are rows to show.
    due = Signal()

    def __init__(self, model: ScoreModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._waiting: deque[Row] = deque()
        self._taking, self._showing = QTimer(self), QTimer(self)
        for timer, slot in ((self._taking, self._take), (self._showing, self.due.emit)):
            timer.setSingleShot(True)
            timer.timeout.connect(slot)
        self._taking.setInterval(_TAKING)

    @property
    def busy(self) -> bool:
        """Whether rows wait."""
        return bool(self._waiting)

    @property
    def waiting(self) -> list[Row]:
        """Rows that are not in the model yet."""
        return list(self._waiting)

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows in; returns at once."""
        self._waiting.extend(rows)
        if self._waiting and not self._taking.isActive():
            self._taking.start()

    def clear(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._taking.stop()
        self._showing.stop()

    def _take(self) -> None:
        begun = perf_counter()
        while self._waiting and perf_counter() - begun < _PATIENCE:
            some = [self._waiting.popleft() for _ in range(min(_CHUNK, len(self._waiting)))]
            self._model.repaint(self._model.rows.append(some))
        if self._waiting:
            self._taking.start()
        if not self._showing.isActive():
            self._showing.start(_SHOWING if self._model.rowCount() else 0)
