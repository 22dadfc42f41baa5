"""Text in docks: spans of time, lists and lines that end in an ellipsis, and messages."""

from __future__ import annotations

import os
from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QGuiApplication, QPaintEvent, QTextCursor
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_cxr.output_text import html_text, to_csv_cell

__all__ = [
    'ElidedComboBox',
    'ElidedLine',
    'InlineMessage',
    'PlainLabel',
    'SkippedFiles',
    'button_text',
    'clock_text',
    'duration_text',
    'plain_tip',
]


class PlainLabel(QLabel):
    """A label that shows its text as it is, whatever tags a name or a title in it holds.

    Parameters
    ----------
    text : str
        What it shows.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, text: str = '', parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)


def button_text(text: str) -> str:
    """Return a text from outside for a button, an action or a tab.

    Qt takes one "&" there for the mark of a shortcut, and does not show it.
    """
    return text.replace('&', '&&')


def plain_tip(text: str) -> str:
    """Return a tool tip with text from outside, which Qt would draw as HTML if it looked so."""
    return f'<qt>{html_text(text)}</qt>' if '<' in text else text


def duration_text(seconds: float) -> str:
    """Return a span of time, no more exact than anyone needs: '40 s', '12 min', '2 h 5 min'."""
    if seconds < 55:
        return f'{max(5, 5 * round(seconds / 5))} s'
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f'{hours} h {minutes} min' if minutes else f'{hours} h'
    days, hours = divmod(hours, 24)
    return f'{days} d {hours} h' if hours else f'{days} d'


def clock_text(seconds: float) -> str:
    """Return a time as a clock shows it: '0:07', '12:31', '1:02:03'."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'


_CONTROL = QStyle.ComplexControl.CC_ComboBox


class ElidedComboBox(QComboBox):
    """A combo box that may become narrow; what is cut ends in an ellipsis.

    Parameters
    ----------
    tip : str
        Its tooltip.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the chosen entry, shortened to the width."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        part = QStyle.SubControl.SC_ComboBoxEditField
        style = self.style()
        option.currentText = option.currentText or self.placeholderText()
        if style is not None:
            width = style.subControlRect(_CONTROL, option, part, self).width() - 4
            option.currentText = self.fontMetrics().elidedText(
                option.currentText, Qt.TextElideMode.ElideRight, width
            )
        painter.drawComplexControl(_CONTROL, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


class ElidedLine(QElidingLabel):
    """A line that ends in an ellipsis where it is too long; its tooltip is all of it.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def show_text(self, text: str) -> None:
        """Show a text, shortened at its end."""
        self._show(text, text, Qt.TextElideMode.ElideRight)

    def show_path(self, path: str) -> None:
        """Show a file's name, shortened in its middle; the tooltip is the whole path."""
        self._show(os.path.basename(path), path, Qt.TextElideMode.ElideMiddle)

    def sizeHint(self) -> QSize:
        """Return the height of a line, and no width."""
        return QSize(0, self.fontMetrics().height() + 4)

    def _show(self, text: str, tip: str, elide: Qt.TextElideMode) -> None:
        self.setElideMode(elide)
        self.setText(text)
        self.setToolTip(plain_tip(tip))
        self.setAccessibleName(text)  # the label's own is what is seen of it


class InlineMessage(QFrame):
    """One sentence with what to do next, and the technical details on demand.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName('message')
        self._text = PlainLabel()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._close = QToolButton()
        self._close.setText('✕')
        self._close.setAccessibleName('Dismiss')
        self._close.setToolTip('Dismiss')
        self._close.setAccessibleName('Dismiss')
        self._close.setAutoRaise(True)
        self._details_button = QPushButton('Details')
        self._details_button.setCheckable(True)
        self._details_button.setToolTip('What happened, in technical terms')
        self._copy = QPushButton('Copy')
        self._copy.setToolTip('Copy the message with its details')
        self._details = QPlainTextEdit()
        self._details.setAccessibleName('Technical details')
        self._details.setReadOnly(True)
        self._details.setMinimumHeight(110)
        self._details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)

        first = QHBoxLayout()
        first.addWidget(self._text, 1)
        first.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        second = QHBoxLayout()
        second.addWidget(self._details_button)
        second.addWidget(self._copy)
        second.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 6, 8)
        layout.setSpacing(6)
        layout.addLayout(first)
        layout.addLayout(second)
        layout.addWidget(self._details)

        self._close.clicked.connect(self.clear)
        self._details_button.toggled.connect(self._details.setVisible)
        self._copy.clicked.connect(self._copy_all)
        self.clear()

    @property
    def text(self) -> str:
        """The sentence on show, or an empty string."""
        return self._text.text()

    @property
    def details(self) -> str:
        """The technical details, or an empty string."""
        return self._details.toPlainText()

    def show_error(self, text: str, details: str = '') -> None:
        """Show a sentence; `details` stay folded until asked for."""
        self._text.setText(text)
        self._details.setPlainText(details)
        self._details_button.setChecked(False)
        for widget in (self._details_button, self._copy):
            widget.setVisible(bool(details))
        self._details.hide()
        self.show()

    def clear(self) -> None:
        """Take the message away."""
        self._text.clear()
        self._details.clear()
        self.hide()

    def _copy_all(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f'{self.text}\n\n{self.details}')


_MOST_LINES = 8


class SkippedFiles(QWidget):
    """Images that were left out, with the reasons, which can be selected and copied.

    Parameters
    ----------
    folds : bool
        Whether it says only how many there are until it is clicked, and is hidden while there
        are none. Elsewhere a section around it does that.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, folds: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folds = folds
        self._rows: tuple[tuple[str, str], ...] = ()
        self.button = QToolButton()
        self.button.setObjectName('fold')
        self.button.setStyleSheet('QToolButton { border: 0; background: transparent; }')
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.button.setToolTip('Show which images were left out, and why')
        self.list = QPlainTextEdit()
        self.list.setAccessibleName('Files that cannot be used')
        self.list.setObjectName('field')
        self.list.setReadOnly(True)
        self.list.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.list.setAccessibleName('Images that were left out, with the reasons')
        self.list.setToolTip('Select and copy what you need')
        self.copy = QPushButton('Copy')
        self.copy.setToolTip('Copy the list as a table with two columns')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.list)
        layout.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignLeft)
        self.button.toggled.connect(self._fold)
        self.copy.clicked.connect(self._copy)
        self.button.setVisible(folds)
        self.show_files(())

    def show_files(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Show paths with reasons; where they only became more, the rest of the list stays put."""
        rows, before = tuple(skipped), len(self._rows)
        if rows[:before] != self._rows:
            self.list.clear()
            before = 0
        for path, reason in rows[before:]:
            self.list.appendPlainText(f'{path}: {reason}')
        if not before:  # else the end of the longest line is in view
            self.list.moveCursor(QTextCursor.MoveOperation.Start)
        self._rows = rows
        lines = min(max(len(rows), 2), _MOST_LINES) + 2  # and a scroll bar
        self.list.setFixedHeight(lines * self.list.fontMetrics().lineSpacing() + 8)
        if self._folds:
            self.setVisible(bool(rows))
        self._fold(self.button.isChecked())

    def _fold(self, shown: bool) -> None:
        for part in (self.list, self.copy):
            part.setVisible(shown or not self._folds)
        noun = 'image was' if len(self._rows) == 1 else 'images were'
        self.button.setText(f'{"▾" if shown else "▸"} {len(self._rows):,} {noun} left out')

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            rows = ('\t'.join(str(to_csv_cell(cell)) for cell in row) for row in self._rows)
            clipboard.setText('\n'.join(rows))
