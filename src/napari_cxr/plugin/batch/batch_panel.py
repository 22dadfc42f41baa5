"""The panel of the Batch dock: setup, progress, table, annotation and metrics.

It is laid out for a narrow place at the side of the window and for a wide one below. The progress
bar, with the buttons to stop, resume and save, is a part of it.
"""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QApplication,
    QBoxLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.annotation.label_export import ExportMessage
from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.batch.batch_layout import FittingScrollArea, PartsSplitter, SqueezableLayout
from napari_cxr.plugin.batch.file_actions import ReopenButton
from napari_cxr.plugin.batch.metrics_view import MetricsView
from napari_cxr.plugin.batch.scoring_setup import ScoreSetup
from napari_cxr.plugin.score_table.sort_filter import RowFilter, RowKind
from napari_cxr.plugin.score_table.table_widget import ScoreTable
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.sections import CollapsibleSection, scrollable
from napari_cxr.plugin.widgets.text import InlineMessage
from napari_cxr.scoring import ScoringProgress

__all__ = ['BatchPanel', 'ScoreProgress']

#: Pixels that the buttons leave at least for words beside them.
_LEAST_PROGRESS_WIDTH = 240


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

    def show_progress(self, progress: ScoringProgress) -> None:
        """Show how far it is."""
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        self.words.setText(scoring_messages.progress_text(progress))
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
        beside = self.width() - self._last.sizeHint().width() - 24 >= min(
            words, _LEAST_PROGRESS_WIDTH
        )
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


#: From this width on, setup, table and figures stand beside each other.
_WIDE = 900

#: Width of the setup there: beside a table, folded beside a table, and by itself.
_COLUMN, _FOLDED, _ALONE = 380, 150, 560

#: Of table, and reading and figures: one above the other, and beside each other.
_TALL_SHARES, _WIDE_SHARES = (3, 2), (7, 3)

#: Pixels around everything where the place is wide and mostly low, and where it is high.
_LOW, _TALL = (12, 6, 12, 6), (12, 12, 12, 8)

#: Qt's largest size.
_ANY = 16_777_215

_EMPTY = (
    'Each image gets a row with the probability of each class, as soon as it is scored. You can '
    'stop at any time and go on another day: no row is lost.'
)


class BatchPanel(QWidget):
    """Setup, progress and message; the table; reading and figures.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The person wants to open an earlier table.
    open_wanted = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys_wait = False  # for the first rows
        self.setup = ScoreSetup()
        self.start = QPushButton('Score')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.open = QPushButton('Open a table…')
        self.open.setMinimumHeight(34)
        self.open.setToolTip('Show a table of scores that was made earlier, finished or not')
        self.open.clicked.connect(self.open_wanted)
        self.again = ReopenButton()
        self.advice = quiet_label(_EMPTY)
        self.advice.setIndent(0)
        self.progress = ScoreProgress()
        self.message = InlineMessage()
        self.told = quiet_label()
        self.told.setIndent(0)
        self.saved = ExportMessage()
        self.table = ScoreTable(theme)
        self.reading = AnnotationPanel(theme)
        self.metrics = MetricsView(theme)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.start, 1)
        buttons.addWidget(self.open)
        self.head = CollapsibleSection('What to score')
        if (inside := self.head.layout()) is not None:  # the title stays where it is
            inside.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.head.body.setContentsMargins(0, 6, 0, 0)
        self.head.body.addWidget(self.setup)
        self.head.body.addLayout(buttons)
        self.head.body.addWidget(self.again)
        self.head.body.addWidget(self.advice)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(scrollable(self.reading), 'Reading')
        self.tabs.addTab(scrollable(self.metrics), 'Figures')
        self.opening = QLabel()
        self.opening.setObjectName('quiet')
        self.tabs.setCornerWidget(self.opening)
        self._lay_out()
        self.head.toggled.connect(self._arrange)
        self.progress.failures_wanted.connect(self._show_failures)
        self.metrics.cell_chosen.connect(self._show_cell)
        for part in (self.progress, self.metrics):
            part.leaves.connect(self.take_keys)
        self.table.settled.connect(self._keys_come)
        self.tell('')
        self.show_table(False)

    def _lay_out(self) -> None:
        middle = QWidget()
        rows = QVBoxLayout(middle)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(8)
        rows.addWidget(self.progress)
        rows.addWidget(self.table, 1)
        # Below the table: no row is pushed away from under the pointer.
        for part in (self.message, self.told, self.saved):
            rows.addWidget(part)
        rows.addStretch(0)  # while there is no table
        self.parts = PartsSplitter(Qt.Orientation.Vertical)
        self.parts.setChildrenCollapsible(False)
        self.parts.addWidget(middle)
        self.parts.addWidget(self.tabs)
        self.parts.set_shares(_TALL_SHARES)
        self._footer = quiet_label(NOT_FOR_CLINICAL_USE)
        self._footer.setIndent(0)
        self._column = QWidget()
        column = QVBoxLayout(self._column)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(FittingScrollArea(self.head))
        self._layout = SqueezableLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.setSpacing(10)
        self._layout.addWidget(self._column)
        self._layout.addWidget(self.parts, 1)
        self._layout.addWidget(self._footer)

    @property
    def wide(self) -> bool:
        """Whether the parts stand beside each other."""
        return self._layout.direction() == QBoxLayout.Direction.LeftToRight

    def show_table(self, shown: bool) -> None:
        """Show the table with what belongs to it, or leave the place to the setup."""
        if shown and self._has_keys(self):
            self.take_keys()
        if shown:
            self.again.offer('')
        for part in (self.table, self.tabs):
            part.setVisible(shown)
        self.advice.setVisible(not shown)
        self._arrange()

    def fold_setup(self) -> None:
        """Leave the place to the table."""
        if self._has_keys(self.head):
            self.take_keys()
        self.head.set_open(False)

    def take_keys(self) -> None:
        """Let the table hear the keys, as soon as it has rows: people read with them."""
        self._keys_wait = not self.table.view.isVisible()
        self.table.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def _keys_come(self) -> None:
        if self._keys_wait and self.table.view.isVisible():
            self.take_keys()

    def _show_failures(self) -> None:
        """Show only the files that could not be scored."""
        self.table.show_only(RowFilter(which=RowKind.ERRORS))

    def _show_cell(self, label: str, called: str) -> None:
        """Show only the rows with this label that were called so."""
        self.table.show_only(RowFilter(truth=label, answer=called))

    @staticmethod
    def _has_keys(part: QWidget) -> bool:
        focus = QApplication.focusWidget()
        return focus is not None and part.isAncestorOf(focus)

    def tell(self, words: str) -> None:
        """Say what was done; an empty string takes the words away."""
        self.told.setText(words)
        self.told.setVisible(bool(words))

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        for part in (self.table, self.reading, self.metrics):
            part.set_theme(theme)

    def sizeHint(self) -> QSize:
        """Return a size at which the table shows what matters."""
        return QSize(520, 820)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put the parts beside or below each other, as the place asks for."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        wide = self.width() >= _WIDE and self.width() > self.height()
        directions = QBoxLayout.Direction
        column = self._column.layout()
        if wide != self.wide and isinstance(column, QVBoxLayout):
            self._layout.setDirection(directions.LeftToRight if wide else directions.TopToBottom)
            along = Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
            self.parts.setOrientation(along)
            self.parts.set_shares(_WIDE_SHARES if wide else _TALL_SHARES)
            if wide:  # below the setup, where there is room
                column.addStretch(1)
                column.addWidget(self._footer)
            else:
                column.removeItem(column.itemAt(column.count() - 2))
                self._layout.addWidget(self._footer)
        self._layout.setContentsMargins(*(_LOW if wide else _TALL))
        # The setup does not grow where the table is beside it.
        width = _ALONE if self.table.isHidden() else _COLUMN if self.head.is_open else _FOLDED
        self._column.setMaximumWidth(width if wide else _ANY)
        self._column.setMinimumWidth(width if wide else 0)
