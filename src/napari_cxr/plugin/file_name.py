"""A file's name in a line of its own, shortened in the middle where there is no room for it."""

from __future__ import annotations

import os

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ['FileName']


class FileName(QWidget):
    """Shows the name; its tooltip is the whole path.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = ''
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def text(self) -> str:
        """The whole name."""
        return self._name

    def show_path(self, path: str) -> None:
        """Show the name of a file; nothing of an empty path."""
        self._name = os.path.basename(path)
        self.setToolTip(path)
        self.setAccessibleName(self._name)
        self.setVisible(bool(path))
        self.update()

    def sizeHint(self) -> QSize:
        """Return the height of a line, and no width."""
        return QSize(0, self.fontMetrics().height() + 4)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw as much as there is room for: the beginning and the end."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        short = self.fontMetrics().elidedText(
            self._name, Qt.TextElideMode.ElideMiddle, self.width()
        )
        painter.drawText(
            self.rect(), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short
        )
        painter.end()
