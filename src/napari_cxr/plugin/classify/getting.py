"""Getting a model of others from the Classify dock: the job, and what the panel shows of it."""

from __future__ import annotations

import atexit
from collections.abc import Generator
from functools import cache
from threading import Event
from typing import Any

from napari.qt.threading import thread_worker
from qtpy.QtCore import QObject, Signal

from napari_cxr.checkpoint.catalog import Entry
from napari_cxr.checkpoint.downloading import Progress
from napari_cxr.checkpoint.getting import kept
from napari_cxr.plugin.classify.get_panel import GetPanel
from napari_cxr.plugin.classifying import Failure, end
from napari_cxr.plugin.session import Session
from napari_cxr.plugin.supervised import Done, supervised
from napari_cxr.plugin.threads import said
from napari_cxr.workers.process import WorkerProcess

__all__ = ['GetController', 'shared_downloader']

#: What has come is on the disk already, so a stalled process may be ended soon; seconds.
_GRACE = 1.0


@cache
def shared_downloader() -> WorkerProcess:
    """Return the process that gets models; it starts with its first job, and ends after each."""
    worker = WorkerProcess('downloader', grace=_GRACE)
    atexit.register(end, worker, _GRACE)
    return worker


@thread_worker
@said('the download of a model. What has come is kept: resume when you like')
def get(name: str, file: str, cancelled: Event) -> Generator[Any, None, Done | Failure]:
    """Get a model; yields `Progress` or None.

    Parameters
    ----------
    name : str
        Of a download of the catalog.
    file : str
        Where a person has its file; empty to download it.
    cancelled : threading.Event
        Ends the job when set.

    Returns
    -------
    Done or Failure
    """
    process = shared_downloader()
    try:
        return (
            yield from supervised(
                process, 'get', 'Getting the model', cancelled, name=name, file=file
            )
        )
    finally:
        process.close()  # it holds torch, which is not needed until the next model


class _GetSession(Session):
    def __init__(self, parent: QObject) -> None:
        super().__init__(shared_downloader(), parent)

    def get(self, name: str, file: str) -> None:
        """Start the job."""
        self._start('get', get(name, file, self._new()))


class GetController(QObject):
    """Turns to the chosen model, and gets it when a person wants that.

    Parameters
    ----------
    panel : GetPanel
        What it shows.
    parent : QObject
        Qt parent.
    """

    #: A model is here now: its name.
    got = Signal(str)
    #: A model could not be got: the `Failure`.
    failed = Signal(object)
    #: A download begins.
    began = Signal()
    #: Nothing is being got any more.
    settled = Signal()

    def __init__(self, panel: GetPanel, parent: QObject) -> None:
        super().__init__(parent)
        self.panel = panel
        self.session = _GetSession(self)
        self._entry: Entry | None = None  # on show
        self._coming = ''  # name of the one that is being got
        self._last: Progress | None = None
        panel.get_wanted.connect(self._get)
        panel.file_wanted.connect(self._get)
        panel.cancel_wanted.connect(self.session.cancel)
        self.session.told.connect(self._tell)
        self.session.succeeded.connect(self._succeed)
        self.session.failed.connect(lambda _, failure: self.failed.emit(failure))
        self.session.ended.connect(self._end)

    @property
    def busy(self) -> bool:
        """Whether a model is being got."""
        return bool(self.session.job)

    def turn_to(self, entry: Entry | None) -> None:
        """Show a model that is not here yet; None for one that is."""
        self._entry = entry
        if entry is None:
            self.panel.hide()
            return
        self.panel.show_entry(entry, kept(entry))
        if self.busy and entry.name == self._coming:
            self.panel.begin()
            if self._last is not None:
                self.panel.show_progress(self._last)
        elif self.busy:
            self.panel.allow(False)

    def _get(self, file: str | bool = '') -> None:
        if self._entry is None or self.busy:
            return
        self._coming, self._last = self._entry.name, None
        self.began.emit()
        self.panel.begin()
        self.session.get(self._coming, file if isinstance(file, str) else '')

    @property
    def _is_on_show(self) -> bool:
        return self._entry is not None and self._entry.name == self._coming

    def _tell(self, event: object) -> None:
        if isinstance(event, Progress):
            self._last = event
            if self._is_on_show:
                self.panel.show_progress(event)

    def _succeed(self, job: str, result: object) -> None:
        self.got.emit(self._coming)

    def _end(self, job: str) -> None:
        self.turn_to(self._entry)
        self.settled.emit()
