"""A message inside a dock that stays until it is dealt with."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

__all__ = ['Message']


class Message(QFrame):
    """One sentence with what to do next, and the technical details on demand.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName('message')
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._close = QToolButton()
        self._close.setText('✕')
        self._close.setToolTip('Dismiss')
        self._close.setAutoRaise(True)
        self._details_button = QPushButton('Details')
        self._details_button.setCheckable(True)
        self._details_button.setToolTip('What happened, in technical terms')
        self._copy = QPushButton('Copy')
        self._copy.setToolTip('Copy the message with its details')
        self._details = QPlainTextEdit()
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
