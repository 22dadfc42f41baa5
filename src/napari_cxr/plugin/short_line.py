"""A line of words that is shortened where there is no room for it."""

from __future__ import annotations

import os

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ['ShortLine']


class ShortLine(QWidget):
    """Shows words as far as there is room for them, and all of them as its tooltip.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ''
        self._elide = Qt.TextElideMode.ElideRight
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def text(self) -> str:
        """All of the words."""
        return self._text

    def show_text(self, text: str) -> None:
        """Show words; what there is no room for is at their end."""
        self._show(text, text, Qt.TextElideMode.ElideRight)

    def show_path(self, path: str) -> None:
        """Show a file's name, of which beginning and end stay; the tooltip is the whole path."""
        self._show(os.path.basename(path), path, Qt.TextElideMode.ElideMiddle)

    def sizeHint(self) -> QSize:
        """Return the height of a line, and no width."""
        return QSize(0, self.fontMetrics().height() + 4)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw as much as there is room for."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        short = self.fontMetrics().elidedText(self._text, self._elide, self.width())
        painter.drawText(
            self.rect(), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short
        )
        painter.end()

    def _show(self, text: str, tip: str, elide: Qt.TextElideMode) -> None:
        self._text, self._elide = text, elide
        self.setToolTip(tip)
        self.setAccessibleName(text)
        self.update()
