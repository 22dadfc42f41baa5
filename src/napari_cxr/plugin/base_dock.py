"""Base classes of the docks.

`Dock` is that of all, `FormDock` that of commands with a few options, and `ImageDock` that of
docks that run a model on one image.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import QProgressBar, QPushButton, QWidget

from napari_cxr.checkpoint import CheckpointError
from napari_cxr.plugin.background import Failure, Job, JobOutcome, RunningJob, run_job
from napari_cxr.plugin.docks import TabsTogether, unwrap_viewer
from napari_cxr.plugin.radiograph import prepare_viewer
from napari_cxr.plugin.reader import open_paths
from napari_cxr.plugin.style import keep_space, quiet_label, style_sheet
from napari_cxr.plugin.widgets.input_selector import InputSelector
from napari_cxr.plugin.widgets.model_selector import CardDialog
from napari_cxr.plugin.widgets.sections import fill_dock
from napari_cxr.plugin.widgets.text import InlineMessage, plain_tip

__all__ = ['Dock', 'FormDock', 'ImageDock', 'dropped_files']


def dropped_files(event: QDropEvent) -> list[str]:
    """Return the files and folders that are dragged, if all of them are local."""
    mime = event.mimeData()
    urls = mime.urls() if mime is not None else []
    return [url.toLocalFile() for url in urls] if all(u.isLocalFile() for u in urls) else []


class Dock(QWidget):
    """A dock that knows its viewer, looks as its theme, and stands beside the others as a tab.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: A job has ended: with a result, an error, or because it was cancelled.
    settled = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        TabsTogether(self)
        prepare_viewer(napari_viewer)
        self.setStyleSheet(style_sheet(napari_viewer.theme))
        napari_viewer.events.theme.connect(self._theme_changed)

    def set_theme(self, theme: str) -> None:
        """Let parts that paint themselves take the colours of a theme."""

    def _theme_changed(self, event: Any) -> None:
        self.setStyleSheet(style_sheet(event.value))
        self.set_theme(event.value)


class FormDock(Dock):
    """A form that magicgui makes of a method, with what came of it below.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(unwrap_viewer(napari_viewer))
        self.status = quiet_label()
        self.status.hide()
        self.message = InlineMessage()
        self._job: RunningJob | None = None

    def set_form(self, form: Any) -> None:
        """Take the form; called once.

        Parameters
        ----------
        form : magicgui.widgets.FunctionGui
            Of a method that takes a `file`, among others, and returns at once.
        """
        self.form = form
        for field in form:
            field.native.setAccessibleName(field.label)
        form.call_button.native.setObjectName('accent')
        form.call_button.native.setMinimumHeight(34)
        form.margins = (0, 0, 0, 0)
        choose, path = form.file.choose_btn, form.file.line_edit.native
        choose.text = '…'  # as beside all fields for files, so that the path has the width
        choose.native.setToolTip('Choose…')
        choose.native.setAccessibleName('Choose')
        choose.native.setMaximumWidth(36)
        path.setAccessibleName(form.file.label)
        path.textChanged.connect(lambda text: path.setToolTip(plain_tip(text)))
        # The name at the end says more than the folders before it.
        path.editingFinished.connect(lambda: path.end(False))
        fill_dock(self, form.native, self.status, self.message)

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._job is not None

    def start_job(
        self,
        job: Job[Any] | Callable[[], Any],
        doing: str,
        status: str,
        done: Callable[[Any], None],
    ) -> None:
        """Run a job, see `run_job`, and show `status` until it ends."""
        self.show_status(status)
        self._job = run_job(self, job, doing, done=done, ended=self._finish)

    def show_status(self, text: str) -> None:
        """Say what is being done, or was; a problem of before is past."""
        self.message.clear()
        self.status.setText(text)
        self.status.show()

    def show_problem(self, text: str, details: str = '') -> None:
        """Say why something could not be done."""
        self.status.hide()
        self.message.show_error(text, details)

    def _finish(self) -> None:
        self._job = None
        self.settled.emit()


_NO_IMAGE = (
    'Open a chest radiograph to begin: drop a DICOM, PNG, JPEG or TIFF file onto the viewer, '
    'or choose File ▸ Open Sample ▸ Chest radiographs.'
)

_OPENING = 'A radiograph is being opened. It can be chosen here when it is on screen.'

#: A bar and a Cancel button that come and go sooner than this only flicker, and drawing
#: them takes the processor from the network; milliseconds.
_PROGRESS_DELAY = 300


class ImageDock(Dock):
    """Choose a layer, a model and a device; start; cancel. Files dropped on it are opened.

    One button starts and cancels. What it starts, and what becomes of the result, is the
    dock's own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    start : str
        Text of the button.
    offers : bool
        Whether models that have to be downloaded first are listed too.
    """

    #: The button was clicked, and no job runs.
    start_requested = Signal()

    def __init__(self, napari_viewer: ViewerModel, start: str, offers: bool = False) -> None:
        super().__init__(napari_viewer)
        self._starts = start
        self._job: RunningJob | None = None
        self._running_on: Image | None = None
        self._data: Any = None  # of that layer when the click came
        self._doing = ''
        self._problem_of: Image | None = None  # what the message is about; None for the model
        self.setAcceptDrops(True)
        self.inputs = InputSelector(self.viewer, offers)
        self.start = QPushButton(start)
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.start.clicked.connect(self._start_or_cancel)
        self._escape = QShortcut(QKeySequence('Escape'), self)
        self._escape.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._escape.setEnabled(False)  # Escape is for others while nothing runs
        self._escape.activated.connect(self.cancel)
        self.progress = QProgressBar()
        self.progress.setAccessibleName('Progress')
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.hide()
        keep_space(self.progress)
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(_PROGRESS_DELAY)
        self._slow.timeout.connect(self._show_progress)
        self.status = quiet_label()
        keep_space(self.status, lines=1)
        self.message = InlineMessage()

    def _show(self) -> None:
        """Show what belongs to the chosen layer; ends with `_say`."""
        raise NotImplementedError

    # -- opening --------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept local files and folders."""
        if event is not None and dropped_files(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open the dropped files in the viewer."""
        if event is not None:
            open_paths(unwrap_viewer(self.viewer), [Path(p) for p in dropped_files(event)])

    # -- the job --------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._running_on is not None

    def cancel(self) -> None:
        """Stop the job that runs."""
        if self._job is not None and self.busy:
            self._job.cancel()
            self._slow.stop()
            self.start.setText('Cancelling…')
            self.start.setEnabled(False)

    def _start_job(
        self,
        layer: Image,
        job: Job[Any],
        doing: str,
        done: Callable[[JobOutcome | Failure], None],
    ) -> None:
        """Run a job on a layer; see `run_job`."""
        self.message.clear()
        self._running_on, self._data = layer, layer.data
        self._doing = 'Starting the network'
        self._job = run_job(self, job, doing, relay=self._relay, done=done, ended=self._finish)
        self._slow.start()

    def _start_or_cancel(self) -> None:
        if not self.busy:
            self.start_requested.emit()
        elif not self.progress.isHidden():  # else it is the second click of a double click
            self.cancel()

    def _relay(self, event: object) -> None:
        if isinstance(event, str) and self._job is not None:
            self._doing = event
            if not (self.progress.isHidden() or self._job.cancelled):
                self._show_progress()

    def _show_progress(self) -> None:
        self.progress.show()
        self.start.setText('Cancel')
        self._escape.setEnabled(True)
        self.status.setText(f'{self._doing}…')
        self.status.show()

    def _finish(self) -> None:
        self._running_on = self._data = None
        self._slow.stop()
        self._escape.setEnabled(False)
        self.progress.hide()
        self.inputs.other_reader.show_layer(self.inputs.current_layer)  # more is known now
        self._show()
        self.settled.emit()

    # -- what is wrong --------------------------------------------------------------------

    def _show_problem(self, text: str, details: str = '', of: Image | None = None) -> None:
        """Show what is wrong with an image, or with the model, until another is chosen."""
        self._problem_of = of
        if of is not None and of is not self.inputs.current_layer:
            text = f'{of.name}: {text}'
        self.message.show_error(text, details)

    def _show_failure(self, failure: Failure, of: Image | None = None) -> None:
        self._show_problem(failure.text, failure.details, of)

    def _drop_problem(self) -> None:
        self._problem_of = None
        self.message.clear()

    def _image_changed(self) -> None:
        """Show another image, without what was wrong with the one before."""
        if self._problem_of not in (None, self.inputs.current_layer):
            self._drop_problem()
        self._show()

    # -- showing --------------------------------------------------------------------------

    def show_card(self) -> CardDialog | None:
        """Open the card of the chosen model in a window of its own."""
        self.message.clear()
        try:
            dialog = CardDialog(self.inputs.current_card(), self)
        except CheckpointError as error:
            self._show_problem(str(error))
            return None
        dialog.show()
        return dialog

    def _say(self, ready: bool, text: str) -> None:
        """Show with button and status what can be done, unless a message is shown."""
        self.start.setText(self._starts)
        self.start.setEnabled(ready)
        if self.inputs.is_opening:
            text = _OPENING
        elif self.inputs.current_layer is None and text:
            text = _NO_IMAGE
        self.status.setText(text)
        self.status.setVisible(bool(self.status.text()) and not self.message.text)
