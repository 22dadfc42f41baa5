"""The jobs that the Batch dock has under way: one at a time that scores or reads a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event as Cancelled
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.batch import jobs
from napari_cxr.plugin.batch.counting import Counted
from napari_cxr.plugin.batch.look_jobs import look
from napari_cxr.plugin.batch.request import ScoreRequest
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.session import Session
from napari_cxr.plugin.supervised import Done
from napari_cxr.scoring.looking import Looked

__all__ = ['BatchSession']


class BatchSession(Session):
    """Starts jobs around a table: 'score', 'reopen' and 'measure'.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: Images were looked at: a `Looked`.
    looked = Signal(object)
    #: Images of a folder were counted: a `Counted`.
    counted = Signal(object)
    #: A table was saved: a `Saved`, or the `Failure`.
    saved = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(jobs.shared_scorer(), parent)
        self._looker: Any = None
        self._looking = Cancelled()
        self._savers: list[Any] = []

    def score(self, request: ScoreRequest, *, resume: bool, shown: Sequence[int] = ()) -> None:
        """Score into a table, or go on with it; see `jobs.score`."""
        self._start('score', jobs.score(request, resume, shown, self._new()))

    def reopen(self, table: str) -> None:
        """Read a table back."""
        self._start('reopen', jobs.reopen(table, self._new()), process=False)

    def measure(self, table: str, truths: Mapping[str, str]) -> None:
        """Measure a table by the labels in it, or by those of a person."""
        self._start('measure', jobs.measure(table, truths, self._new()))

    def get_ready(self) -> None:
        """Start the process before anyone clicks: torch takes its time."""
        with suppress(OSError):  # whoever clicks is told
            self._process.start()

    def look(self, paths: tuple[str, ...], out: str, *, counts: bool) -> None:
        """Look at images, and count them, while another job may be under way."""
        self.stop_looking()
        worker = self._looker = look(paths, out, counts, self._looking)
        worker.yielded.connect(self._take_look)
        worker.start()

    def stop_looking(self) -> None:
        """Count no more images."""
        self._looking.set()
        self._looking = Cancelled()

    def save_as(self, table: str, path: str) -> None:
        """Write a table again under another name, while another job may be under way."""
        worker = jobs.save_as(table, path)
        self._savers = [*self._savers[-3:], worker]
        worker.returned.connect(self._take_saved)
        worker.start()

    def _take_look(self, result: Looked | Counted) -> None:
        (self.looked if isinstance(result, Looked) else self.counted).emit(result)

    def _take_saved(self, result: Done | Failure) -> None:
        self.saved.emit(result.result if isinstance(result, Done) else result)
