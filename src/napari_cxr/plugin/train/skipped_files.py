"""Files that could not be used, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

__all__ = ['SkippedFiles']

_MOST_LINES = 8


class SkippedFiles(QWidget):
    """A text to read, select and copy.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[tuple[str, str], ...] = ()
        self.text = QPlainTextEdit()
        self.text.setObjectName('field')
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName('Files that could not be used, with the reasons')
        self.text.setToolTip('Select and copy what you need')
        self.copy = QPushButton('Copy')
        self.copy.setToolTip('Copy the list as a table with two columns')
        self.copy.clicked.connect(self._copy)
        buttons = QHBoxLayout()
        buttons.addWidget(self.copy)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.text)
        layout.addLayout(buttons)

    def show_files(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Show paths with reasons."""
        self._rows = tuple(skipped)
        self.text.setPlainText('\n'.join(f'{path}: {reason}' for path, reason in skipped))
        lines = min(max(len(skipped), 2), _MOST_LINES) + 2  # and a scroll bar
        self.text.setFixedHeight(lines * self.text.fontMetrics().lineSpacing() + 8)

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText('\n'.join('\t'.join(row) for row in self._rows))
