"""Downloading a model: its terms, the job that gets it, and its progress.

The panel knows nothing of jobs; the controller runs the one job and shows it in the panel.
"""

from __future__ import annotations

import atexit
from functools import cache
from html import escape
from urllib.parse import urlsplit

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint.catalog import CatalogEntry
from napari_cxr.checkpoint.catalog_entry import bytes_so_far, download_terms
from napari_cxr.checkpoint.download import DownloadProgress, megabytes
from napari_cxr.plugin.background import Job, end_worker
from napari_cxr.plugin.job_session import JobSession
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import PlainLabel, clock_text
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = ['ModelDownloadController', 'ModelDownloadPanel', 'shared_downloader']

_STAGES = {'checking': 'Checking the file…', 'converting': 'Converting it…'}

#: Shown after the buttons: the card has it too, beside the model's results.
_LAST = 'When not to believe it'

#: Shown with the buttons.
_FROM = 'From'


class ModelDownloadPanel(QWidget):
    """Terms of a model, buttons to get it, and progress; knows nothing of jobs.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: To download the model on show.
    get_requested = Signal()
    #: To take a file that the person has for it: its path.
    file_requested = Signal(str)
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = PlainLabel()
        self.title.setWordWrap(True)
        self.title.setStyleSheet('font-weight: bold;')
        self.terms, self.doubts = _page(), _page()
        self.get = QPushButton('Download')
        self.get.setObjectName('accent')
        self.get.setMinimumHeight(34)
        self.get.setToolTip(
            'Download it, check it and convert it; a download that was stopped can be resumed'
        )
        self.file = QPushButton('I have the file…')
        self.file.setToolTip('Take the file from this computer; it is checked all the same')
        self.cancel = QPushButton('Cancel')
        self.cancel.setToolTip('Stop; what was downloaded is kept')
        self.bar = QProgressBar()
        self.bar.setAccessibleName('Fraction that is downloaded')
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setAccessibleName('Fraction of the file that was downloaded')
        self.status = quiet_label()
        # One below the other: beside each other they are wider than a narrow dock.
        buttons = QVBoxLayout()
        buttons.setSpacing(6)
        for button in (self.get, self.file, self.cancel):
            button.setStyleSheet('padding: 4px 10px;')
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.title)
        layout.addWidget(self.terms)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        layout.addWidget(self.doubts)
        self.get.clicked.connect(self.get_requested)
        self.file.clicked.connect(self._choose_file)
        self.cancel.clicked.connect(self._cancel)
        self.hide()

    def show_entry(self, entry: CatalogEntry, kept: int) -> None:
        """Show the terms of a model that is not here yet.

        Parameters
        ----------
        entry : CatalogEntry
            Which.
        kept : int
            Bytes of it that were downloaded before.
        """
        self.title.setText(str(entry.summary.get('title', entry.name)))
        lines = [line for line in download_terms(entry) if line[0] != _FROM]
        self.terms.setText(_as_html([line for line in lines if line[0] != _LAST]))
        self.doubts.setText(_as_html([line for line in lines if line[0] == _LAST]))
        left = max(0, entry.size - kept)
        rest = f' ({megabytes(left)} left)' if entry.size else ''
        self.get.setText(f'Resume{rest}' if kept else f'Get{entry.size_text}')
        self._offer(working=False)
        of = f' of {megabytes(entry.size)}' if entry.size else ''
        has_come = f'{megabytes(kept)}{of} were downloaded. ' if kept else ''
        what = 'The rest' if kept else 'The file'
        from_ = urlsplit(entry.url).hostname or 'elsewhere'
        self.show_status(f'{has_come}{what} comes from {from_}. No image is sent anywhere.')
        self.show()

    def allow(self, allowed: bool) -> None:
        """Let a person get the model on show, or not, while another one comes."""
        self.get.setEnabled(allowed)
        self.file.setEnabled(allowed)
        if not allowed:
            self.show_status(
                'Another model is being downloaded. Wait until it is here, then get this one.'
            )

    def show_status(self, text: str) -> None:
        """Show a status below the buttons."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def show_started(self) -> None:
        """Show that a download has started, before anything has come."""
        self.bar.setRange(0, 0)
        self.show_status('Connecting…')
        self._offer(working=True)

    def show_progress(self, progress: DownloadProgress) -> None:
        """Show how far it is."""
        if progress.stage != 'downloading':
            self.bar.setRange(0, 0)
            self.show_status(_STAGES[progress.stage])
            return
        total = progress.total
        # Qt counts in 32 bits.
        self.bar.setRange(0, 1000 if total else 0)
        self.bar.setValue(round(1000 * progress.done / total) if total else 0)
        of = f' of {megabytes(total)}' if total else ''
        left = '' if progress.seconds is None else f', {clock_text(progress.seconds)} left'
        self.show_status(f'{megabytes(progress.done)}{of}{left}')

    def _offer(self, *, working: bool) -> None:
        for widget, stays in (
            (self.get, not working),
            (self.file, not working),
            (self.cancel, working),
            (self.bar, working),
        ):
            widget.setVisible(stays)
        self.cancel.setText('Cancel')
        for button in (self.get, self.file, self.cancel):
            button.setEnabled(True)

    def _cancel(self) -> None:
        self.cancel.setText('Cancelling…')
        self.cancel.setEnabled(False)
        self.cancel_requested.emit()

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, 'The file of this model', '', 'Weights (*.pt *.pth *.safetensors);;All files (*)'
        )
        if path:
            self.file_requested.emit(path)


def _page() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _as_html(lines: list[tuple[str, str]]) -> str:
    return ''.join(
        f'<p style="margin: 0 0 6px 0;"><b>{escape(what)}</b><br>'
        f'{escape(text).replace(chr(10), "<br>")}</p>'
        for what, text in lines
    )


#: What was downloaded is on the disk already, so a stalled process may be ended soon; seconds.
_DOWNLOAD_GRACE = 1.0


@cache
def shared_downloader() -> WorkerProcess:
    """Return the process that gets models; it starts with its first job, and ends after each."""
    worker = WorkerProcess('downloader', grace=_DOWNLOAD_GRACE)
    atexit.register(end_worker, worker, _DOWNLOAD_GRACE)
    return worker


def get_model(name: str, file: str) -> Job[None]:
    """Get a model; a job for `run_job`, which yields `DownloadProgress`.

    Parameters
    ----------
    name : str
        Of a download of the catalog.
    file : str
        Where a person has its file; empty to download it.
    """
    process = shared_downloader()
    try:
        yield from process.run('get', name=name, file=file)
    finally:
        process.close()  # it holds torch, which is not needed until the next model


def _fraction_done(event: object) -> float | None:
    if isinstance(event, DownloadProgress) and event.stage == 'downloading' and event.total:
        return event.done / event.total
    return None


class ModelDownloadController(QObject):
    """Shows the chosen model, and gets it when a person clicks.

    Parameters
    ----------
    panel : ModelDownloadPanel
        What it shows.
    parent : QObject
        Qt parent.
    """

    #: A model is here now: its name.
    got = Signal(str)
    #: A model could not be downloaded: the `Failure`.
    failed = Signal(object)
    #: A download starts.
    started = Signal()
    #: No download runs any more.
    settled = Signal()

    def __init__(self, panel: ModelDownloadPanel, parent: QObject) -> None:
        super().__init__(parent)
        self.panel = panel
        self.session = JobSession(shared_downloader(), self)
        self._entry: CatalogEntry | None = None  # on show
        self._coming = ''  # name of the one that is being downloaded
        self._last: DownloadProgress | None = None
        panel.get_requested.connect(self._get)
        panel.file_requested.connect(self._get)
        panel.cancel_requested.connect(self.session.cancel)
        self.session.progressed.connect(self._show_progress)
        self.session.succeeded.connect(self._succeed)
        self.session.failed.connect(lambda _, failure: self.failed.emit(failure))
        self.session.ended.connect(self._end)

    @property
    def busy(self) -> bool:
        """Whether a model is being downloaded."""
        return bool(self.session.job)

    def show_model(self, entry: CatalogEntry | None) -> None:
        """Show a model that is not here yet; None for one that is."""
        self._entry = entry
        if entry is None:
            self.panel.hide()
            return
        self.panel.show_entry(entry, bytes_so_far(entry))
        if self.busy and entry.name == self._coming:
            self.panel.show_started()
            if self._last is not None:
                self.panel.show_progress(self._last)
        elif self.busy:
            self.panel.allow(False)

    def _get(self, file: str | bool = '') -> None:
        if self._entry is None or self.busy:
            return
        self._coming, self._last = self._entry.name, None
        self.started.emit()
        self.panel.show_started()
        self.session.start_job(
            'get',
            get_model(self._coming, file if isinstance(file, str) else ''),
            'Getting the model',
            description='the download of a model. What is here is kept: resume when you like',
            fraction_done=_fraction_done,
        )

    @property
    def _is_on_show(self) -> bool:
        return self._entry is not None and self._entry.name == self._coming

    def _show_progress(self, event: object) -> None:
        if isinstance(event, DownloadProgress):
            self._last = event
            if self._is_on_show:
                self.panel.show_progress(event)

    def _succeed(self, job: str, result: object) -> None:
        self.got.emit(self._coming)

    def _end(self, job: str) -> None:
        self.show_model(self._entry)
        self.settled.emit()
