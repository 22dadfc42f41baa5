"""Fields of forms: editors of plain values, one for each type, and fields that show a problem."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = [
    'FormLabel',
    'ValidatedField',
    'ValueField',
    'create_value_field',
    'field_with_button',
    'more_button',
]

_LARGEST_INTEGER = 2**31 - 1


class ValueField(QWidget):
    """A field that holds a plain value as TOML has it.

    A text that cannot be turned into the kind of value that is wanted is handed on as it
    is: the recipe itself refuses it, with the entry's name and what it may be.
    """

    #: The person has changed the value.
    changed = Signal()

    def __init__(self, editor: QWidget) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(editor)
        self.setFocusProxy(editor)
        self.editor = editor
        editor.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        editor.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave the wheel to the page, unless the person is in this field."""
        wheel = event is not None and event.type() == QEvent.Type.Wheel
        if event is not None and wheel and not self.editor.hasFocus():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))

    @property
    def value(self) -> Any:
        """The value that is shown."""
        raise NotImplementedError

    def show_value(self, value: Any) -> None:
        """Show a value without saying so to anyone."""
        raise NotImplementedError


class _BoolField(ValueField):
    def __init__(self) -> None:
        self._box = QCheckBox()
        super().__init__(self._box)
        self._box.clicked.connect(self.changed)

    @property
    def value(self) -> bool:
        return bool(self._box.isChecked())

    def show_value(self, value: Any) -> None:
        self._box.setChecked(value)


class _IntegerField(ValueField):
    def __init__(self) -> None:
        self._box = QSpinBox()
        self._box.setRange(0, _LARGEST_INTEGER)
        self._box.setMinimumWidth(90)
        self._box.setAlignment(Qt.AlignmentFlag.AlignLeft)
        super().__init__(self._box)
        self._box.valueChanged.connect(self.changed)

    @property
    def value(self) -> int:
        return int(self._box.value())

    def show_value(self, value: Any) -> None:
        self._box.blockSignals(True)
        self._box.setValue(value)
        self._box.blockSignals(False)


class _ChoiceField(ValueField):
    """One of some values; with `free`, a person may also type another."""

    def __init__(self, choices: Sequence[Any], free: bool = False) -> None:
        self._box = QComboBox()
        self._box.setEditable(free)
        self._box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._box.setMinimumContentsLength(8)
        super().__init__(self._box)
        self._free = free
        self.offer(choices)
        if free:
            self._box.editTextChanged.connect(self.changed)
        else:
            self._box.activated.connect(self.changed)

    def offer(self, choices: Sequence[Any]) -> None:
        """Offer these values, and keep the one that is shown."""
        before = self.value if self._box.count() else None
        self._box.blockSignals(True)
        self._box.clear()
        for choice in choices:
            self._box.addItem(str(choice), choice)
        self._box.blockSignals(False)
        if before is not None:
            self.show_value(before)

    @property
    def value(self) -> Any:
        return self._box.currentText().strip() if self._free else self._box.currentData()

    def show_value(self, value: Any) -> None:
        self._box.blockSignals(True)
        if self._free:
            self._box.setEditText(value)
        else:
            self._box.setCurrentIndex(self._box.findData(value))
        self._box.blockSignals(False)


class _LineField(ValueField):
    """Text in one line, read and written by two functions."""

    def __init__(
        self, read: Callable[[str], Any], write: Callable[[Any], str], example: str = ''
    ) -> None:
        self._line = QLineEdit()
        self._line.setPlaceholderText(example)
        super().__init__(self._line)
        self._read, self._write = read, write
        self._line.textEdited.connect(self.changed)

    @property
    def value(self) -> Any:
        return self._read(self._line.text().strip())

    def show_value(self, value: Any) -> None:
        self._line.setText(self._write(value))
        self._line.setCursorPosition(0)


class _LinesField(ValueField):
    """Texts, one a line: they may hold commas."""

    def __init__(self, example: str = 'one a line') -> None:
        self._text = QPlainTextEdit()
        self._text.setObjectName('field')
        self._text.setPlaceholderText(example)
        self._text.setTabChangesFocus(True)
        self._text.setFixedHeight(3 * self._text.fontMetrics().lineSpacing() + 14)
        super().__init__(self._text)
        self._text.textChanged.connect(self.changed)

    @property
    def value(self) -> Any:
        lines = (line.strip() for line in self._text.toPlainText().splitlines())
        return [line for line in lines if line]

    def show_value(self, value: Any) -> None:
        self._text.blockSignals(True)
        self._text.setPlainText('\n'.join(value))
        self._text.blockSignals(False)


class _ListsField(_LinesField):
    """Lists of texts, one list a line, its texts separated by commas."""

    def __init__(self) -> None:
        super().__init__('one, another: one list a line')

    @property
    def value(self) -> Any:
        return [_parse_items(str, line) for line in super().value]

    def show_value(self, value: Any) -> None:
        super().show_value([_items_text(item) for item in value])


class _MappingField(_LinesField):
    """A table: one ``name = values`` a line."""

    def __init__(self, item: Callable[[str], Any], write: Callable[[Any], str]) -> None:
        super().__init__('name = …, one a line')
        self._item, self._write = item, write

    @property
    def value(self) -> Any:
        parts = [line.partition('=') for line in super().value]
        return {name.strip(): self._item(rest.strip()) for name, _, rest in parts}

    def show_value(self, value: Any) -> None:
        super().show_value([f'{name} = {self._write(item)}' for name, item in value.items()])


def create_value_field(kind: Any, offered: Sequence[str] = ()) -> ValueField:
    """Return a field for a kind of value.

    Parameters
    ----------
    kind : type
        As a recipe's dataclass declares it.
    offered : sequence of str
        Texts to choose from, where another may be typed too.
    """
    entry = _create_field(kind, offered)
    entry.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return entry


def _create_field(kind: Any, offered: Sequence[str]) -> ValueField:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if offered:
        return _ChoiceField(offered, free=True)
    if origin is Literal:
        return _ChoiceField(arguments)
    if kind is bool:
        return _BoolField()
    if kind is int:
        return _IntegerField()
    if kind is float:
        return _LineField(_parse_number, _number_text)
    if kind is str:
        return _LineField(str, str)
    if origin is types.UnionType and arguments[0] is int:
        return _LineField(_parse_whole_or_none, str, 'none')
    if origin is types.UnionType:
        item = typing.get_args(arguments[0])[0]
        return _LineField(lambda text: _parse_items_or_none(item, text), _items_text, 'none')
    if origin is dict:
        inner = arguments[1]
        if inner is float:
            return _MappingField(_parse_number, _number_text)
        if inner is str:
            return _MappingField(str, str)
        return _MappingField(lambda text: _parse_items(str, text), _items_text)
    if arguments[0] is str:
        return _LinesField()
    if typing.get_origin(arguments[0]) is tuple:
        return _ListsField()
    return _LineField(
        lambda text: _parse_items(arguments[0], text), _items_text, 'separated by commas'
    )


def _parse_number(text: str) -> Any:
    try:
        return float(text.replace(',', '.'))
    except ValueError:
        return text


def _number_text(value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    short = f'{value:g}'
    return short if float(short) == value else repr(value)


def _parse_items(kind: Any, text: str) -> list[Any]:
    parts = [part.strip() for part in text.split(',') if part.strip()]
    if kind is int:
        return [int(part) if part.isdigit() else part for part in parts]
    return [_parse_number(part) for part in parts] if kind is float else list(parts)


def _parse_items_or_none(kind: Any, text: str) -> Any:
    return 'none' if text.casefold() in ('', 'none') else _parse_items(kind, text)


def _parse_whole_or_none(text: str) -> Any:
    if text.casefold() in ('', 'none'):
        return 'none'
    return int(text) if text.isdigit() else text


def _items_text(value: Any) -> str:
    return value if isinstance(value, str) else ', '.join(_number_text(item) for item in value)


class ValidatedField(QWidget):
    """Widgets, one below the other, and below them a hint and a problem.

    Parameters
    ----------
    *inside : QWidget
        The field itself.
    reserve : bool
        Whether there is always space for a line of them, because they come by themselves.
    """

    def __init__(self, *inside: QWidget, reserve: bool = False) -> None:
        super().__init__()
        self.hint = quiet_label()
        self.problem = PlainLabel()
        self.problem.setWordWrap(True)
        self.problem.setProperty('wrong', True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        messages = QWidget()
        below = QVBoxLayout(messages)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(0)
        for widget in (*inside, messages):
            layout.addWidget(widget)
        for label in (self.hint, self.problem):
            below.addWidget(label)
            label.setIndent(2)
            label.setContentsMargins(0, 0, 0, 2)
            label.hide()
        self._messages, self._reserve = messages, reserve
        if reserve:
            messages.setMinimumHeight(self.hint.fontMetrics().lineSpacing() + 4)
        else:
            messages.hide()  # its spacing would push the form's label out of line

    def show_messages(self, problem: str, hint: str = '') -> None:
        """Show what is wrong, else what was found; an empty string hides the line."""
        for label, text in ((self.problem, problem), (self.hint, '' if problem else hint)):
            label.setText(text)
            label.setVisible(bool(text))
        self._messages.setVisible(self._reserve or bool(problem or hint))


class FormLabel(PlainLabel):
    """The label of a field that has messages below it, level with the field's first line.

    Qt puts the label of a high field a few pixels below the middle of its first line.

    Parameters
    ----------
    text : str
        What it says.
    field : QWidget
        The field, or a widget with it in the first line.
    """

    def __init__(self, text: str, field: QWidget) -> None:
        super().__init__(text)
        editors = [each for kind in (QLineEdit, QComboBox) for each in field.findChildren(kind)]
        self._editor = editors[0] if editors else field
        self.setBuddy(self._editor)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the height of the field's first line, which the style decides."""
        free = self._editor.sizeHint().height() - self.fontMetrics().height()
        self.setContentsMargins(0, max(free // 2, 0), 0, 0)
        super().showEvent(event)


def field_with_button(field: QWidget, button: QWidget) -> QWidget:
    """Return a field with a button at its right."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.addWidget(field, 1)
    layout.addWidget(button)
    return row


def more_button(tip: str) -> QToolButton:
    """Return the small button at the right of a field."""
    button = QToolButton()
    button.setObjectName('more')
    button.setText('…')
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
