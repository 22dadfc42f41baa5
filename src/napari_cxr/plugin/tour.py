"""A tour of two minutes: five steps, done together with the person on synthetic studies."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QRect, Qt, QTimer, Signal
from qtpy.QtGui import QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.base_dock import Dock
from napari_cxr.plugin.classify.dock import ClassifyDock
from napari_cxr.plugin.docks import open_dock, unwrap_viewer
from napari_cxr.plugin.studies.dock import StudiesDock
from napari_cxr.plugin.style import keep_space, quiet_label, theme_color
from napari_cxr.plugin.widgets.sections import bring_into_view, fill_dock
from napari_cxr.plugin.widgets.text import InlineMessage, PlainLabel
from napari_cxr.samples import write_sample_disc

__all__ = ['TourDock', 'TourStep']

#: For how long a control is pointed at, in milliseconds.
_POINTING = 4000


@dataclass(frozen=True)
class TourStep:
    """One step.

    Parameters
    ----------
    title, text : str
        What it is about.
    button : str
        What the button says that does it.
    act : callable
        Does it.
    """

    title: str
    text: str
    button: str
    act: Callable[[], None]


class TourDock(Dock):
    """Five steps, each with a button that does it in the real docks.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer.
    """

    #: What the button of a step does is done.
    stepped = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(unwrap_viewer(napari_viewer))
        self._at, self._busy = 0, False
        self.steps = (
            TourStep(
                'Open a CD',
                'Studies lists the patients and studies of a folder or a CD. This one is made of '
                'numbers: one patient, two studies.',
                'Open the synthetic CD',
                self._open_disc,
            ),
            TourStep(
                'Look at an image',
                'A click on a row opens its image. Ctrl+Page Down opens the next one. Drag with '
                'the right mouse button to change window and level; the wheel zooms.',
                'Open the latest image',
                self._open_latest,
            ),
            TourStep(
                'Compare with the prior',
                'The same view of the study before is laid beside it. Zoom and window of both '
                'follow each other.',
                'Lay the prior beside it',
                self._compare,
            ),
            TourStep(
                'Classify',
                'A model gives each finding a probability, and a heatmap shows where its evidence '
                'lies. Read what the model was measured on: the answer about numbers means '
                'nothing.',
                'Classify the latest image',
                self._classify,
            ),
            TourStep(
                'Take the result with you',
                'Save picture writes the radiograph, the heatmap and the answer as one picture, '
                'without a name. Copy puts it on the clipboard; More has a page and the values.',
                'Show me the buttons',
                self._show_output,
            ),
        )
        self.where = quiet_label()
        self.title = PlainLabel()
        self.title.setObjectName('headline')
        self.text = PlainLabel()
        self.text.setWordWrap(True)
        keep_space(self.text, lines=6)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.act = QPushButton()
        self.act.setObjectName('accent')
        self.act.setMinimumHeight(34)
        self.back, self.next = QPushButton('Back'), QPushButton('Next')
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.back, 1)
        layout.addWidget(self.next, 1)
        self.status = quiet_label()
        keep_space(self.status, lines=1)
        self.message = InlineMessage()
        fill_dock(
            self, self.where, self.title, self.text, self.act, row, self.status, self.message
        )
        self.act.clicked.connect(self._do)
        self.back.clicked.connect(partial(self._go, -1))
        self.next.clicked.connect(partial(self._go, 1))
        self._show()

    @property
    def step(self) -> int:
        """Which step is on show, from 0."""
        return self._at

    def _go(self, by: int) -> None:
        self._at = min(max(self._at + by, 0), len(self.steps) - 1)
        self._show()

    def _show(self) -> None:
        step = self.steps[self._at]
        self.where.setText(f'Step {self._at + 1} of {len(self.steps)}')
        self.title.setText(step.title)
        self.text.setText(step.text)
        self.act.setText(step.button)
        self.act.setEnabled(not self._busy)
        self.back.setEnabled(self._at > 0)
        self.next.setEnabled(self._at < len(self.steps) - 1)
        self.status.setText('')
        self.message.clear()

    def _do(self) -> None:
        self.message.clear()
        self.steps[self._at].act()

    # -- the steps ------------------------------------------------------------------------

    def _open_disc(self) -> None:
        self._busy = True
        self.act.setEnabled(False)
        self.status.setText('Computing three synthetic radiographs…')
        run_job(self, partial(_disc, _folder()), 'Making the synthetic CD', done=self._disc_made)

    def _disc_made(self, outcome: JobOutcome | Failure) -> None:
        self._busy = False
        self.act.setEnabled(True)
        self.status.setText('')
        if isinstance(outcome, Failure):
            self.message.show_error(outcome.text, outcome.details)
            return
        studies = self._studies()
        if studies is not None:
            studies.indexed.connect(self._listed)
            studies.open_source(outcome.result)

    def _listed(self) -> None:
        studies = self._studies()
        if studies is not None:
            studies.indexed.disconnect(self._listed)
            self._point(studies.tree)
        self.stepped.emit()

    def _open_latest(self) -> None:
        studies = self._studies()
        if studies is None or not studies.images:
            self._open_disc()
            return
        studies.opener.shown.connect(self._opened)
        studies.open_first()

    def _compare(self) -> None:
        studies = self._studies()
        if studies is None or studies.current is None:
            self.status.setText('Open the latest image first: go back one step.')
            return
        studies.opener.shown.connect(self._opened)
        self._point(studies.prior)
        studies.show_prior()

    def _opened(self) -> None:
        studies = self._studies()
        if studies is not None:
            studies.opener.shown.disconnect(self._opened)
            self._point(studies.tree)
        self.stepped.emit()

    def _classify(self) -> None:
        classify = self._dock('Classify chest radiograph', ClassifyDock)
        if classify is None:
            return
        if classify.inputs.current_layer is None:
            self.status.setText('Open the latest image first: go back two steps.')
            return
        self._point(classify.start)
        classify.classify()
        self.stepped.emit()

    def _show_output(self) -> None:
        classify = self._dock('Classify chest radiograph', ClassifyDock)
        if classify is None:
            return
        if classify.answer is None:
            self.status.setText('Classify an image first: go back one step.')
            return
        bring_into_view(classify.result.output)
        self._point(classify.result.output)
        self.stepped.emit()

    def _studies(self) -> StudiesDock | None:
        found: StudiesDock | None = self._dock('Studies', StudiesDock)
        return found

    def _dock(self, name: str, kind: type[QWidget]) -> Any:
        found = open_dock(self.viewer, name)
        return found if isinstance(found, kind) else None

    def _point(self, control: QWidget) -> None:
        """Draw a frame around a control for a moment."""
        Pointer(control, self.viewer.theme)


@cache
def _folder() -> Path:
    """Return the folder of the synthetic CD, which is removed when napari ends."""
    folder = tempfile.mkdtemp(prefix='napari-cxr-tour-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _disc(folder: Path) -> Path:
    found = folder / 'DICOMDIR'
    return found if found.is_file() else write_sample_disc(folder)


class Pointer(QWidget):
    """A frame around a control, in its window, which goes by itself.

    Parameters
    ----------
    control : QWidget
        What it points at.
    theme : str
        Name of napari's theme.
    """

    def __init__(self, control: QWidget, theme: str) -> None:
        super().__init__(control)
        self._color = theme_color(theme, 'warning')
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setGeometry(QRect(0, 0, control.width(), control.height()))
        self.show()
        self.raise_()
        QTimer.singleShot(_POINTING, self.deleteLater)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._color, 3))
        painter.drawRoundedRect(self.rect().adjusted(2, 2, -2, -2), 4, 4)
        painter.end()
