"""What stands above the table of scores: which rows are shown, how many, and in which order."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_cxr.inference.label_rule import CANNOT_SAY
from napari_cxr.plugin.elided import ElidedComboBox
from napari_cxr.plugin.scores.filter import Filter, Which
from napari_cxr.plugin.scores.strip_places import PARTS, WIDE, Place, places, stretches

__all__ = ['FilterStrip']

#: Milliseconds without a key before the filter is applied.
_PAUSE = 150
_NARROWEST = 280
#: The button for the order, in full and where there is little room.
_UNCERTAIN, _SHORT = 'Most uncertain first', 'Uncertain first'
#: Pixels between the count and the buttons.
_APART = 12
_STAY = 'Rows that fitted this filter before: {}. They stay until you filter or sort again.'


class FilterStrip(QWidget):
    """Words, kinds, classes and a threshold; below them the count and a few buttons.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Other rows shall be shown: the `Filter`.
    changed = Signal(object)
    #: The person is done here and wants back into the table.
    left = Signal()
    #: Whether the most uncertain rows shall come first.
    uncertain_wanted = Signal(bool)
    columns_wanted = Signal()
    #: Whether small pictures shall be shown.
    pictures_wanted = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most = ''
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
        self.offer((), truth=False, reading=False)

    def _build(self) -> None:
        self.text = QLineEdit()
        self.text.setClearButtonEnabled(True)
        self.text.setPlaceholderText('Filter')
        self.text.setMinimumWidth(90)
        self.text.setToolTip(
            'Words that must all occur in the file’s path, its warnings, error, source or '
            'note; "…" keeps words together (Ctrl+F; Esc shows all rows again)'
        )
        self.text.setAccessibleName('Filter by words')
        self.which = ElidedComboBox('Show rows of one kind')
        self.which.setAccessibleName('Kind of rows')
        self.answer = ElidedComboBox('Show rows with this answer of the model')
        self.answer.setAccessibleName('Answer')
        self.truth = ElidedComboBox('Show rows with this label, as folders or a table say')
        self.truth.setAccessibleName('Given label')
        self.label = ElidedComboBox('Show rows in which this class is probable enough')
        self.label.setAccessibleName('Class with a threshold')
        self.at_least = QDoubleSpinBox()
        self.at_least.setRange(0, 1)
        self.at_least.setSingleStep(0.05)
        self.at_least.setDecimals(2)
        self.at_least.setValue(0.5)
        self.at_least.setPrefix('≥ ')
        self.at_least.setToolTip('The least probability of the class on the left')
        self.at_least.setAccessibleName('Least probability')
        self._boxes = (self.which, self.answer, self.truth, self.label)
        self.count = QLabel()
        self.count.setObjectName('quiet')
        self.count.setIndent(0)
        self.clear = _button('Clear', 'Show all rows again (Esc)')
        self.uncertain = _button(
            _UNCERTAIN,
            'Sort by how undecided the model is: worth reading first. Click again for the order '
            'of the files',
        )
        self.uncertain.setCheckable(True)
        self.pictures = _button('Pictures', 'Show each radiograph, small')
        self.pictures.setCheckable(True)
        self.columns = _button('Columns', 'Choose which columns are shown')
        self._buttons = QWidget()
        row = QHBoxLayout(self._buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for button in (self.uncertain, self.pictures, self.columns):
            row.addWidget(button)
        self._told = QWidget()
        told = QHBoxLayout(self._told)
        told.setContentsMargins(0, 0, 0, 0)
        told.setSpacing(6)
        told.addWidget(self.count)
        told.addWidget(self.clear)
        told.addStretch(1)
        self._foot = QWidget()
        self._line = QBoxLayout(QBoxLayout.Direction.LeftToRight, self._foot)
        self._line.setContentsMargins(0, 0, 0, 0)
        self._line.setSpacing(6)
        self._line.addWidget(self._told, 1)
        self._line.addWidget(self._buttons, 0, Qt.AlignmentFlag.AlignLeft)
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
        self._places: dict[str, Place] = {}
        parts = (self.text, self.which, self.answer, self.truth, self._threshold, self._foot)
        self._parts: dict[str, QWidget] = dict(zip(PARTS, parts, strict=True))
        self.setMinimumWidth(_NARROWEST)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    @property
    def filter(self) -> Filter:
        """What is chosen."""
        return Filter(
            self.text.text(),
            self.answer.currentData() or '',
            self.truth.currentData() or '',
            self.label.currentData() or '',
            self.at_least.value(),
            Which(self.which.currentData()),
        )

    def offer(
        self,
        labels: tuple[str, ...],
        *,
        truth: bool,
        reading: bool,
        negative: str = '',
        undecided: bool = False,
    ) -> None:
        """Offer what can be filtered by; what is chosen stays where it still can be.

        Parameters
        ----------
        labels : tuple of str
            The model's classes.
        truth, reading : bool
            Whether labels were given, and whether a person reads.
        negative : str
            What is said of an image that has none of several labels.
        undecided : bool
            Whether the model can answer that it cannot say.
        """
        kinds = [Which.ALL, Which.SCORED, Which.ERRORS, Which.DOUBTED, Which.WARNED]
        kinds += [Which.AGAINST_TRUTH] if truth else []
        kinds += [Which.AGAINST_READ, Which.UNREAD] if reading else []
        _fill(self.which, [(kind.value, kind.value) for kind in kinds])
        known = (*labels, *([negative] if negative else []))
        answers = (*known, *([CANNOT_SAY] if undecided else []))
        _fill(self.answer, [('Answer', ''), *((label, label) for label in answers)])
        _fill(self.truth, [('Given label', ''), *((label, label) for label in known)])
        self.truth.setVisible(truth)
        if not truth:
            with QSignalBlocker(self.truth):
                self.truth.setCurrentIndex(0)
        _fill(self.label, [('Probability', ''), *((f'p({label})', label) for label in labels)])
        self._apply()

    def set_counts(self, shown: int, every: int, stay: int = 0) -> None:
        """Say how many rows fit the filter, of how many.

        Parameters
        ----------
        shown, every : int
            How many fit it, and how many there are.
        stay : int
            How many are on show that fitted it once.
        """
        rows = 'row' if every == 1 else 'rows'
        self.count.setToolTip(_STAY.format(stay) if stay else '')
        if self._most != (most := f'{every:,} of {every:,} {rows}'):
            self._most = most
            self._arrange()
        whole = shown == every and self.filter.is_open
        self.count.setText(f'{every:,} {rows}' if whole else f'{shown:,} of {every:,} {rows}')
        self.clear.setVisible(not self.filter.is_open)

    def reset(self) -> None:
        """Show all rows."""
        self.show_filter(Filter(at_least=self.at_least.value()))

    def show_filter(self, wanted: Filter) -> None:
        """Choose what a filter says, as far as it is offered, and apply it."""
        chosen = (wanted.which.value, wanted.answer, wanted.truth, wanted.label)
        for box, data in zip(self._boxes, chosen, strict=True):
            with QSignalBlocker(box):
                box.setCurrentIndex(max(box.findData(data), 0))
        with QSignalBlocker(self.text), QSignalBlocker(self.at_least):
            self.text.setText(wanted.text)
            self.at_least.setValue(wanted.at_least)
        self._apply()

    def take_focus(self) -> None:
        """Go to where words are typed."""
        self.text.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.text.selectAll()

    def eventFilter(self, watched: object, event: QEvent | None) -> bool:
        """Hear Esc in all fields: it shows all rows; where it does already, it leaves."""
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                if self.filter.is_open:
                    self.left.emit()
                else:
                    self.reset()
                return True
        return False

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Use as few lines as fit."""
        super().resizeEvent(event)
        self._arrange()

    def _apply(self) -> None:
        self._typing.stop()
        self.at_least.setVisible(bool(self.label.currentData()))
        self._arrange()
        self.changed.emit(self.filter)

    def _fit_foot(self) -> None:
        """Put the buttons beside the count and *Clear*, with a shorter word if that helps."""
        measure = self.fontMetrics().horizontalAdvance
        told = measure(self._most) + self.clear.sizeHint().width() + _APART
        self.uncertain.setText(_UNCERTAIN)
        buttons = self._buttons.sizeHint().width()
        short = buttons - measure(_UNCERTAIN) + measure(_SHORT)
        tight = told + short > self.width()
        if buttons + (0 if tight else told) > self.width():
            self.uncertain.setText(_SHORT)
        along = QBoxLayout.Direction
        self._line.setDirection(along.TopToBottom if tight else along.LeftToRight)

    def _arrange(self) -> None:
        """Lay everything out on a grid of as many lines as the width asks for."""
        width = self.width()
        wide, threshold = width >= WIDE, bool(self.label.currentData())
        found = places(width, truth=not self.truth.isHidden(), threshold=threshold)
        self._fit_foot()
        if found == self._places:
            return
        self._places = found
        # Without its buttons it is moved by the arrow keys and the wheel alone.
        kinds = QDoubleSpinBox.ButtonSymbols
        self.at_least.setButtonSymbols(kinds.UpDownArrows if wide else kinds.NoButtons)
        figure = self.fontMetrics().horizontalAdvance('≥ 0.00')
        self.at_least.setFixedWidth(figure + (64 if wide else 26))
        grid = self._grid
        for name, place in found.items():
            widget = self._parts[name]
            grid.removeWidget(widget)
            grid.addWidget(widget, *place)
        for column, stretch in enumerate(stretches(width)):
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
