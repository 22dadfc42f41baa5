"""How far scoring is, a button to stop it, and what came out."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.batch import words
from napari_cxr.scoring import Progress

__all__ = ['ScoreProgress']

#: Pixels that the buttons leave at least for words beside them.
_LEAST = 240


class ScoreProgress(QWidget):
    """A bar, words, and the button that is wanted now; hidden while there is nothing to say.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    stop_wanted = Signal()
    resume_wanted = Signal()
    #: Only the rows that failed shall be shown.
    failures_wanted = Signal()
    save_wanted = Signal()
    #: The button that hears the keys is about to go, and Qt would give them to just any field.
    leaves = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setAccessibleName('Share of the files that are done')
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setIndent(0)
        self.warning = QLabel()
        self.warning.setObjectName('caution')
        self.warning.setWordWrap(True)
        self.stop = QPushButton('Stop')
        self.stop.setToolTip('Stop now; every row that is done is kept')
        self.resume = QPushButton('Resume')
        self.resume.setObjectName('accent')
        self.resume.setToolTip('Go on with the files that have no row yet')
        self.failures = QPushButton()
        self.failures.setToolTip('Show only the files that could not be scored')
        self.save = QPushButton('Save as…')
        self.save.setToolTip('Save the table under another name: CSV, JSON lines or Parquet')
        self.stop.clicked.connect(self._stop)
        self.resume.clicked.connect(self.resume_wanted)
        self.failures.clicked.connect(self.failures_wanted)
        self.save.clicked.connect(self.save_wanted)
        first, last = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.bar, 1)
        first.addWidget(self.stop)
        last.addStretch(1)
        last.setContentsMargins(0, 0, 0, 0)
        self._last = QWidget()
        self._last.setLayout(last)
        self._said = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._said.setSpacing(4)
        self._said.addWidget(self.words, 1)
        self._said.addWidget(self._last)
        for button in (self.failures, self.save, self.resume):
            button.setMinimumHeight(28)
            button.setStyleSheet('padding: 4px 10px;')
            last.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(self._said)
        layout.addWidget(self.warning)
        self._resumable, self._let_resume = False, True
        self.clear()

    @property
    def text(self) -> str:
        """The words on show."""
        return str(self.words.text())

    def clear(self) -> None:
        """Say nothing."""
        if any(button.hasFocus() for button in (self.stop, self.resume, self.save, self.failures)):
            self.leaves.emit()
        self._show_failed(0)
        self.warning.clear()
        self.warning.hide()
        self.hide()

    def say(self, doing: str) -> None:
        """Say what is being done, while nobody knows how long it takes."""
        self.bar.setRange(0, 0)
        self.words.setText(f'{doing}…')
        self._offer(working=True)

    def show_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        self.words.setText(words.pace(progress))
        self._show_failed(progress.failed)
        self._offer(working=True)

    def warn(self, text: str) -> None:
        """Show a warning until the next run."""
        self.warning.setText(text)
        self.warning.show()

    def sum_up(self, words: str, failed: int, *, resumable: bool, saveable: bool) -> None:
        """Say what came out, or was stopped.

        Parameters
        ----------
        words : str
            A sentence or two.
        failed : int
            Rows that are errors.
        resumable, saveable : bool
            Whether there is anything to go on with, or to save.
        """
        self.words.setText(words)
        self._show_failed(failed)
        self._offer(working=False, resumable=resumable, saveable=saveable)

    def let_resume(self, let: bool) -> None:
        """Show the button Resume where there is anything to go on with, or not at all."""
        if let != self._let_resume:
            self._let_resume = let
            self.resume.setVisible(let and self._resumable)
            self._arrange()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put buttons beside the words where there is room."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        directions = QBoxLayout.Direction
        words = self.fontMetrics().horizontalAdvance(self.words.text())
        beside = self.width() - self._last.sizeHint().width() - 24 >= min(words, _LEAST)
        self._said.setDirection(directions.LeftToRight if beside else directions.TopToBottom)

    def _stop(self) -> None:
        if self.stop.hasFocus():
            self.leaves.emit()
        self.stop.setEnabled(False)
        self.stop.setText('Stopping…')
        self.stop_wanted.emit()

    def _show_failed(self, failed: int) -> None:
        self.failures.setText(
            f'Show the {failed:,} that failed' if failed > 1 else 'Show the one that failed'
        )
        self.failures.setVisible(failed > 0)

    def _offer(
        self,
        *,
        working: bool,
        resumable: bool = False,
        saveable: bool = False,
    ) -> None:
        self._resumable = resumable
        resumes = resumable and self._let_resume
        staying = {self.stop: working, self.resume: resumes, self.save: saveable}
        if any(button.hasFocus() and not stays for button, stays in staying.items()):
            self.leaves.emit()
        self.bar.setVisible(working)
        if self.stop.isHidden() or not working:
            self.stop.setText('Stop')
            self.stop.setEnabled(True)
        for button, stays in staying.items():
            button.setVisible(stays)
        self._arrange()
        self.show()
