"""The images that a run left out, behind their number."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from napari_cxr.training.events import Skipped

__all__ = ['SkippedList']


class SkippedList(QWidget):
    """Says how many images were left out; a click names them, with the reasons.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = 0
        self.button = QToolButton()
        self.button.setObjectName('fold')
        self.button.setStyleSheet('QToolButton { border: 0; background: transparent; }')
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.button.setToolTip('Show which images were left out, and why')
        self.list = QPlainTextEdit()
        self.list.setObjectName('field')
        self.list.setReadOnly(True)
        self.list.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.list.setFixedHeight(110)
        self.list.setAccessibleName('Images that were left out, with the reasons')
        self.list.setToolTip('Select and copy what you need')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.button)
        layout.addWidget(self.list)
        self.button.toggled.connect(self._fold)
        self.set_skipped(())

    def set_skipped(self, skipped: Sequence[Skipped]) -> None:
        """Show these images; where they only became more, the rest of the list stays put."""
        if len(skipped) < self._shown:
            self.list.clear()
            self._shown = 0
        for event in skipped[self._shown :]:
            self.list.appendPlainText(f'{event.path}: {event.reason}')
        self._shown = len(skipped)
        self.setVisible(bool(skipped))
        self._fold(self.button.isChecked())

    def _fold(self, shown: bool) -> None:
        self.list.setVisible(shown)
        noun = 'image was' if self._shown == 1 else 'images were'
        self.button.setText(f'{"▾" if shown else "▸"} {self._shown:,} {noun} left out')
