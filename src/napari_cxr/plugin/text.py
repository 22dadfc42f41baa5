"""Labels that docks use for what is read once or seldom."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel

__all__ = ['quiet_label', 'thin_line']


def quiet_label(text: str = '') -> QLabel:
    """Return a label that wraps and stands back behind the controls."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setObjectName('quiet')
    return label


def thin_line() -> QFrame:
    """Return a line between two parts of a dock."""
    line = QFrame()
    line.setFixedHeight(1)
    line.setStyleSheet('background: rgba(128, 128, 128, 70);')
    return line
