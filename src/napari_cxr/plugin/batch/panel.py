"""The parts of the Batch dock, laid out for a narrow place at the side and a wide one below."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QApplication,
    QBoxLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin.batch.again import OpenAgain
from napari_cxr.plugin.batch.metrics import ScoreMetrics
from napari_cxr.plugin.batch.progress import ScoreProgress
from napari_cxr.plugin.batch.room import Fitting, Parts, Squeezable
from napari_cxr.plugin.batch.setup import ScoreSetup
from napari_cxr.plugin.message import Message
from napari_cxr.plugin.reading.panel import ReadingPanel
from napari_cxr.plugin.reading.saved import SavedView
from napari_cxr.plugin.scores.filter import Filter, Which
from napari_cxr.plugin.scores.table import ScoreTable
from napari_cxr.plugin.scrolled import scrolled
from napari_cxr.plugin.section import Section
from napari_cxr.plugin.text import quiet_label

__all__ = ['BatchPanel']

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
        self.again = OpenAgain()
        self.advice = quiet_label(_EMPTY)
        self.advice.setIndent(0)
        self.progress = ScoreProgress()
        self.message = Message()
        self.told = quiet_label()
        self.told.setIndent(0)
        self.saved = SavedView()
        self.table = ScoreTable(theme)
        self.reading = ReadingPanel(theme)
        self.metrics = ScoreMetrics(theme)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.start, 1)
        buttons.addWidget(self.open)
        self.head = Section('What to score')
        if (inside := self.head.layout()) is not None:  # the title stays where it is
            inside.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.head.body.setContentsMargins(0, 6, 0, 0)
        self.head.body.addWidget(self.setup)
        self.head.body.addLayout(buttons)
        self.head.body.addWidget(self.again)
        self.head.body.addWidget(self.advice)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(scrolled(self.reading), 'Reading')
        self.tabs.addTab(scrolled(self.metrics), 'Figures')
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
        self.parts = Parts(Qt.Orientation.Vertical)
        self.parts.setChildrenCollapsible(False)
        self.parts.addWidget(middle)
        self.parts.addWidget(self.tabs)
        self.parts.set_shares(_TALL_SHARES)
        self._footer = quiet_label(NOT_FOR_CLINICAL_USE)
        self._footer.setIndent(0)
        self._column = QWidget()
        column = QVBoxLayout(self._column)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(Fitting(self.head))
        self._layout = Squeezable(QBoxLayout.Direction.TopToBottom, self)
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
        self.table.show_only(Filter(which=Which.ERRORS))

    def _show_cell(self, label: str, called: str) -> None:
        """Show only the rows with this label that were called so."""
        self.table.show_only(Filter(truth=label, answer=called))

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
