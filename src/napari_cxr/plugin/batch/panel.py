"""The parts of the Batch dock, laid out for a narrow place at the side and a wide one below."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin.batch.metrics import ScoreMetrics
from napari_cxr.plugin.batch.progress import ScoreProgress
from napari_cxr.plugin.batch.setup import ScoreSetup
from napari_cxr.plugin.message import Message
from napari_cxr.plugin.reading.panel import ReadingPanel
from napari_cxr.plugin.scores.table import ScoreTable
from napari_cxr.plugin.scrolled import scrolled
from napari_cxr.plugin.section import Section
from napari_cxr.plugin.text import quiet_label

__all__ = ['BatchPanel']

#: From this width on, setup, table and figures stand beside each other.
_WIDE = 900
#: Width of the setup there: beside a table, folded beside a table, and by itself.
_COLUMN, _FOLDED, _ALONE = 380, 300, 560
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
        self.setup = ScoreSetup()
        self.start = QPushButton('Score')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.open = QPushButton('Open a table…')
        self.open.setMinimumHeight(34)
        self.open.setToolTip('Show a table of scores that was made earlier, finished or not')
        self.open.clicked.connect(self.open_wanted)
        self.advice = quiet_label(_EMPTY)
        self.advice.setIndent(0)
        self.progress = ScoreProgress()
        self.message = Message()
        self.told = quiet_label()
        self.told.setIndent(0)
        self.table = ScoreTable(theme)
        self.reading = ReadingPanel(theme)
        self.metrics = ScoreMetrics(theme)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.start, 1)
        buttons.addWidget(self.open)
        self.head = Section('What to score')
        self.head.body.setContentsMargins(0, 6, 0, 0)
        self.head.body.addWidget(self.setup)
        self.head.body.addLayout(buttons)
        self.head.body.addWidget(self.advice)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(scrolled(self.reading), 'Reading')
        self.tabs.addTab(scrolled(self.metrics), 'Figures')
        self.opening = QLabel()
        self.opening.setObjectName('quiet')
        self.tabs.setCornerWidget(self.opening)
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.setChildrenCollapsible(False)
        self.parts.addWidget(self.table)
        self.parts.addWidget(self.tabs)
        self.parts.setStretchFactor(0, 1)
        self.parts.setSizes([580, 320])
        # The setup has the height that it needs, and the table what is left, which scrolls.
        self.parts.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        self._column = QWidget()
        column = QVBoxLayout(self._column)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(_Fitting(self.head))
        column.addWidget(self.progress)
        column.addWidget(self.message)
        column.addWidget(self.told)
        self._footer = quiet_label(NOT_FOR_CLINICAL_USE)
        self._footer.setIndent(0)
        self._layout = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.setContentsMargins(12, 12, 12, 8)
        self._layout.setSpacing(10)
        self._layout.addWidget(self._column)
        self._layout.addWidget(self.parts, 1)
        self._layout.addStretch(0)
        self._layout.addWidget(self._footer)
        self.head.toggled.connect(self._arrange)
        self.tell('')
        self.show_table(False)
        self.setMinimumWidth(320)
        # napari fills up a dock in which nothing wants its height.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    @property
    def wide(self) -> bool:
        """Whether the parts stand beside each other."""
        return self._layout.direction() == QBoxLayout.Direction.LeftToRight

    def show_table(self, shown: bool) -> None:
        """Show the table with what belongs to it, or leave the place to the setup."""
        self.parts.setVisible(shown)
        self.advice.setVisible(not shown)
        self._arrange()

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
        if wide == self.wide or not isinstance(column, QVBoxLayout):
            self._fix_column(wide)
            return
        self._layout.setDirection(directions.LeftToRight if wide else directions.TopToBottom)
        self.parts.setOrientation(Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical)
        if wide:  # below the setup, where there is room
            column.addStretch(1)
            column.addWidget(self._footer)
        else:
            column.removeItem(column.itemAt(column.count() - 2))
            self._layout.addWidget(self._footer)
        self._fix_column(wide)

    def _fix_column(self, wide: bool) -> None:
        """Keep the setup from growing where the table is beside it."""
        width = _ALONE if self.parts.isHidden() else _COLUMN if self.head.is_open else _FOLDED
        self._column.setMaximumWidth(width if wide else _ANY)
        self._column.setMinimumWidth(width if wide else 0)


class _Fitting(QScrollArea):
    """As high as what is in it; it scrolls where there is less room."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        inside.installEventFilter(self)

    def eventFilter(self, watched, event):  # type: ignore[no-untyped-def]
        """Ask for another height when what is inside folds or wraps."""
        if event.type() == event.Type.LayoutRequest:
            self.updateGeometry()
            self._scroll_if_needed()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for another height where lines wrap otherwise."""
        super().resizeEvent(event)
        self.updateGeometry()
        self._scroll_if_needed()

    def sizeHint(self) -> QSize:
        """Return the height of what is inside, at the width that there is."""
        inside = self.widget()
        if inside is None:
            return super().sizeHint()
        least = inside.minimumSizeHint()
        width = max(self.width(), least.width())
        layout = inside.layout()
        height = layout.totalHeightForWidth(width) if layout is not None else -1
        viewport = self.viewport()
        # The style sheet's frame, which `frameWidth` does not tell.
        frame = self.height() - viewport.height() if viewport is not None else 0
        height = height if height > 0 else inside.sizeHint().height()
        # Lines that wrap have a least height as if the place were narrow.
        return QSize(width, max(height, least.height()) + frame)

    def _scroll_if_needed(self) -> None:
        # A bar that has come would stay for good: beside it lines wrap, and need a bar.
        policies = Qt.ScrollBarPolicy
        fits = self.height() >= self.sizeHint().height()
        wanted = policies.ScrollBarAlwaysOff if fits else policies.ScrollBarAsNeeded
        if self.verticalScrollBarPolicy() != wanted:
            self.setVerticalScrollBarPolicy(wanted)

    def minimumSizeHint(self) -> QSize:
        """Return the least size: the setup scrolls before the table goes."""
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width, min(self.sizeHint().height(), 110))
