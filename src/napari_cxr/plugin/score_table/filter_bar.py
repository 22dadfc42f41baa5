"""The bar above the score table: filters, the number of rows, and buttons."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_cxr.plugin.score_table.sort_filter import RowFilter, RowKind
from napari_cxr.plugin.widgets.text import ElidedComboBox, PlainLabel, plain_tip

__all__ = [
    'FILTER_PARTS',
    'WIDE_BAR',
    'FilterBar',
    'GridPlace',
    'column_stretches',
    'filter_places',
]

#: Parts of the bar: filters, and below them the count and the buttons.
FILTER_PARTS = ('text', 'which', 'answer', 'truth', 'threshold', 'foot')

#: Row, column, row span and column span in a grid of six columns.
GridPlace = tuple[int, int, int, int]

#: Width in pixels from which on all filters fit into one line; below which a threshold needs a
#: line of its own; and below which three lists do not fit beside each other.
WIDE_BAR, _MIDDLE, _NARROW = 700, 480, 380


def filter_places(width: int, *, truth: bool, threshold: bool) -> dict[str, GridPlace]:
    """Return the position of each filter, on as few lines as possible.

    Parameters
    ----------
    width : int
        Width in pixels.
    truth, threshold : bool
        Whether there is a filter by true label, and whether one by probability is chosen.
    """
    wide = width >= WIDE_BAR
    classes: tuple[GridPlace, GridPlace, GridPlace]
    if wide and truth:
        classes = (0, 2, 1, 1), (0, 3, 1, 1), (0, 4, 1, 2)
    elif wide:
        classes = (0, 2, 1, 1), (0, 2, 1, 1), (0, 3, 1, 3)
    elif truth and width < (_MIDDLE if threshold else _NARROW):
        classes = (1, 0, 1, 3), (1, 3, 1, 3), (2, 0, 1, 6)
    elif truth:
        classes = (1, 0, 1, 2), (1, 2, 1, 2), (1, 4, 1, 2)
    else:
        classes = (1, 0, 1, 3), (1, 0, 1, 1), (1, 3, 1, 3)
    over = 1 if wide else 3
    first: tuple[GridPlace, GridPlace] = (0, 0, 1, over), (0, over, 1, over)
    return dict(zip(FILTER_PARTS, (*first, *classes, (3, 0, 1, 6)), strict=True))


def column_stretches(width: int) -> tuple[int, ...]:
    """Return the stretch factors of the six columns."""
    return (3, 3, 2, 2, 3, 0) if width >= WIDE_BAR else (1,) * 6


#: Milliseconds after the last key before the filter is applied.
_PAUSE = 150

_NARROWEST = 280

#: Text of the button for the order, and a short form.
_UNCERTAIN, _SHORT = 'Most uncertain first', 'Uncertain first'

#: Pixels between the count and the buttons.
_SPACING = 12

_STAY = 'Rows that no longer match the filter: {}. They stay until you filter or sort again.'


class FilterBar(QWidget):
    """Filters by text, kind, class and probability; below them the count and buttons.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The filter has changed: a `RowFilter`.
    changed = Signal(object)
    #: Escape was pressed without a filter: the focus is to go back to the table.
    escaped = Signal()
    #: Whether the most uncertain rows are to be first.
    uncertain_wanted = Signal(bool)
    columns_wanted = Signal()
    #: Whether thumbnails are to be shown.
    pictures_wanted = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full_count = ''
        self._blinded = False
        self._only: tuple[frozenset[str], str] = (frozenset(), '')  # paths, and what they are
        self._build()
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_PAUSE)
        self._typing.timeout.connect(self._apply)
        self.text.textChanged.connect(self._typing.start)
        self.text.returnPressed.connect(self._apply)
        self.at_least.valueChanged.connect(self._typing.start)
        for box in self._boxes:
            box.currentIndexChanged.connect(self._apply)
        self.clear.clicked.connect(self.reset)
        self.uncertain.clicked.connect(self.uncertain_wanted)
        self.columns.clicked.connect(self.columns_wanted)
        self.pictures.toggled.connect(self.pictures_wanted)
        for widget in (self.text, *self._boxes, self.at_least):
            widget.installEventFilter(self)
        self.offer((), truth=False, annotated=False)

    def _build(self) -> None:
        self.text = QLineEdit()
        self.text.setClearButtonEnabled(True)
        self.text.setPlaceholderText('Filter')
        self.text.setMinimumWidth(90)
        self.text.setToolTip(
            'Words that must all occur in the path, warnings, error, source or note of a row; '
            '"…" keeps words together (Ctrl+F; Esc shows all rows again)'
        )
        self.text.setAccessibleName('Filter by text')
        self.which = ElidedComboBox('Show only rows of one kind')
        self.which.setAccessibleName('Kind of rows')
        self.answer = ElidedComboBox('Show only rows with this predicted label')
        self.answer.setAccessibleName('Predicted label')
        self.truth = ElidedComboBox(
            'Show only rows with this true label, by the folders or a table'
        )
        self.truth.setAccessibleName('True label')
        self.label = ElidedComboBox('Show only rows with a minimum probability of this class')
        self.label.setAccessibleName('Class with a minimum probability')
        self.at_least = QDoubleSpinBox()
        self.at_least.setRange(0, 1)
        self.at_least.setSingleStep(0.05)
        self.at_least.setDecimals(2)
        self.at_least.setValue(0.5)
        self.at_least.setPrefix('≥ ')
        self.at_least.setToolTip('Minimum probability of the class on the left')
        self.at_least.setAccessibleName('Minimum probability')
        self._boxes = (self.which, self.answer, self.truth, self.label)
        self.count = PlainLabel()
        self.count.setObjectName('quiet')
        self.count.setIndent(0)
        self.clear = _button('Clear', 'Show all rows again (Esc)')
        self.uncertain = _button(
            _UNCERTAIN,
            'Sort by uncertainty: the rows most worth annotating first. Click again for the '
            'order of the files',
        )
        self.uncertain.setCheckable(True)
        self.pictures = _button('Pictures', 'Show a thumbnail of each radiograph')
        self.pictures.setCheckable(True)
        self.columns = _button('Columns', 'Choose which columns are shown')
        self._buttons = QWidget()
        row = QHBoxLayout(self._buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for button in (self.uncertain, self.pictures, self.columns):
            row.addWidget(button)
        self._count_row = QWidget()
        count_row = QHBoxLayout(self._count_row)
        count_row.setContentsMargins(0, 0, 0, 0)
        count_row.setSpacing(6)
        count_row.addWidget(self.count)
        count_row.addWidget(self.clear)
        count_row.addStretch(1)
        self._footer = QWidget()
        self._footer_layout = QBoxLayout(QBoxLayout.Direction.LeftToRight, self._footer)
        self._footer_layout.setContentsMargins(0, 0, 0, 0)
        self._footer_layout.setSpacing(6)
        self._footer_layout.addWidget(self._count_row, 1)
        self._footer_layout.addWidget(self._buttons, 0, Qt.AlignmentFlag.AlignLeft)
        self._threshold = QWidget()
        threshold = QHBoxLayout(self._threshold)
        threshold.setContentsMargins(0, 0, 0, 0)
        threshold.setSpacing(6)
        threshold.addWidget(self.label, 1)
        threshold.addWidget(self.at_least)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(6)
        self._places: dict[str, GridPlace] = {}
        parts = (self.text, self.which, self.answer, self.truth, self._threshold, self._footer)
        self._parts: dict[str, QWidget] = dict(zip(FILTER_PARTS, parts, strict=True))
        self.setMinimumWidth(_NARROWEST)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    @property
    def filter(self) -> RowFilter:
        """The current filter."""
        return RowFilter(
            self.text.text(),
            self.answer.currentData() or '',
            self.truth.currentData() or '',
            self.label.currentData() or '',
            self.at_least.value(),
            RowKind(self.which.currentData()),
            *self._only,
        )

    def offer(
        self,
        labels: tuple[str, ...],
        *,
        truth: bool,
        annotated: bool,
        negative: str = '',
        undecided: str = '',
        disagreed: bool = False,
        consensus: bool = False,
        blinded: bool = False,
    ) -> None:
        """Set the choices of the filters; the current ones stay where they are still offered.

        Parameters
        ----------
        labels : tuple of str
            The model's classes.
        truth, annotated : bool
            Whether there are true labels, and whether there are annotations.
        negative : str
            Class of an image that has none of several labels.
        undecided : str
            The answer of a model that can be undecided; else empty.
        disagreed, consensus : bool
            Whether readers disagree, and whether the annotations are to settle that.
        blinded : bool
            Whether only what tells nothing of the images is offered.
        """
        kinds = [RowKind.ALL, RowKind.SCORED, RowKind.FAILED]
        kinds += [RowKind.DOUBTED, RowKind.NOT_DOUBTED, RowKind.WARNED]
        kinds += [RowKind.PREDICTION_IS_NOT_LABEL] if truth else []
        if annotated:
            kinds += [RowKind.PREDICTION_IS_NOT_MINE, RowKind.NOT_ANNOTATED, RowKind.NOT_USABLE]
        kinds += [RowKind.DISAGREED] if disagreed else []
        kinds += [RowKind.NOT_SETTLED] if disagreed and consensus else []
        self._blinded = blinded
        if blinded:  # files that failed are passed over
            kinds = [RowKind.SCORED, RowKind.NOT_ANNOTATED, RowKind.NOT_USABLE]
        for part in (self.text, self.answer, self.label, self.uncertain, self.columns):
            part.setVisible(not blinded)
        names = {RowKind.SCORED: 'All images'} if blinded else {}
        _fill(self.which, [(names.get(kind, kind.value), kind.value) for kind in kinds])
        known = (*labels, *([negative] if negative else []))
        answers = (*known, *([undecided] if undecided else []))
        _fill(self.answer, [('Predicted', ''), *((label, label) for label in answers)])
        _fill(self.truth, [('True label', ''), *((label, label) for label in known)])
        self.truth.setVisible(truth and not blinded)
        if not truth or blinded:
            with QSignalBlocker(self.truth):
                self.truth.setCurrentIndex(0)
        _fill(self.label, [('Probability', ''), *((f'p({label})', label) for label in labels)])
        self._apply()

    def set_counts(self, shown: int, every: int, stay: int = 0) -> None:
        """Show how many rows match the filter.

        Parameters
        ----------
        shown, every : int
            How many rows match it, and how many there are.
        stay : int
            How many are shown that no longer match it.
        """
        rows = 'row' if every == 1 else 'rows'
        self.count.setToolTip(_STAY.format(stay) if stay else plain_tip(self._only[1]))
        if self._full_count != (full := f'{every:,} of {every:,} {rows}'):
            self._full_count = full
            self._arrange()
        if self._blinded and self.filter.which is RowKind.SCORED:
            self.count.setText(f'{shown:,} {"image" if shown == 1 else "images"}')
            self.clear.hide()
            return
        unfiltered = shown == every and self.filter.is_open
        title = f': {self._only[1]}' if self._only[1] else ''
        counted = f'{shown:,} of {every:,} {rows}{title}'
        self.count.setText(f'{every:,} {rows}' if unfiltered else counted)
        self.clear.setVisible(not self.filter.is_open)

    def reset(self) -> None:
        """Show all rows."""
        self.show_filter(RowFilter(at_least=self.at_least.value()))

    def show_filter(self, wanted: RowFilter) -> None:
        """Set a filter, as far as its choices are offered, and apply it."""
        chosen = (wanted.which.value, wanted.answer, wanted.truth, wanted.label)
        for box, data in zip(self._boxes, chosen, strict=True):
            with QSignalBlocker(box):
                box.setCurrentIndex(max(box.findData(data), 0))
        self._only = wanted.only, wanted.only_title
        with QSignalBlocker(self.text), QSignalBlocker(self.at_least):
            self.text.setText(wanted.text)
            self.at_least.setValue(wanted.at_least)
        self._apply()

    def take_focus(self) -> None:
        """Move the focus to the text filter."""
        self.text.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.text.selectAll()

    def eventFilter(self, watched: object, event: QEvent | None) -> bool:
        """Handle Escape in all fields: show all rows; if they are shown, go back to the table."""
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                if self.filter.is_open:
                    self.escaped.emit()
                else:
                    self.reset()
                return True
        return False

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Use as few lines as possible."""
        super().resizeEvent(event)
        self._arrange()

    def _apply(self) -> None:
        self._typing.stop()
        self.at_least.setVisible(bool(self.label.currentData()))
        self._arrange()
        self.changed.emit(self.filter)

    def _arrange_footer(self) -> None:
        """Put the buttons beside the count and *Clear*, with a shorter text if that helps."""
        measure = self.fontMetrics().horizontalAdvance
        count_row = measure(self._full_count) + self.clear.sizeHint().width() + _SPACING
        self.uncertain.setText(_UNCERTAIN)
        buttons = self._buttons.sizeHint().width()
        short = buttons - measure(_UNCERTAIN) + measure(_SHORT)
        tight = count_row + short > self.width()
        if buttons + (0 if tight else count_row) > self.width():
            self.uncertain.setText(_SHORT)
        along = QBoxLayout.Direction
        self._footer_layout.setDirection(along.TopToBottom if tight else along.LeftToRight)

    def _arrange(self) -> None:
        """Arrange everything on a grid, with as many lines as the width requires."""
        width = self.width()
        wide, threshold = width >= WIDE_BAR, bool(self.label.currentData())
        found = filter_places(width, truth=not self.truth.isHidden(), threshold=threshold)
        if self._blinded:
            found['which'] = (0, 0, 1, 6)
        self._arrange_footer()
        if found == self._places:
            return
        self._places = found
        # Without buttons it is changed by the arrow keys and the wheel.
        kinds = QDoubleSpinBox.ButtonSymbols
        self.at_least.setButtonSymbols(kinds.UpDownArrows if wide else kinds.NoButtons)
        width_of_value = self.fontMetrics().horizontalAdvance('≥ 0.00')
        self.at_least.setFixedWidth(width_of_value + (64 if wide else 26))
        grid = self._grid
        for name, place in found.items():
            widget = self._parts[name]
            grid.removeWidget(widget)
            grid.addWidget(widget, *place)
        for column, stretch in enumerate(column_stretches(width)):
            grid.setColumnStretch(column, stretch)
        self.updateGeometry()


def _button(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setObjectName('more')
    return button


def _fill(box: QComboBox, entries: list[tuple[str, str]]) -> None:
    with QSignalBlocker(box):
        before = box.currentData()
        box.clear()
        for text, data in entries:
            box.addItem(text, data)
        box.setCurrentIndex(max(box.findData(before), 0))
