"""What stands where the table of scores has no rows."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

__all__ = ['EmptyPage']

_START = 'A row for each image appears here as soon as it is scored.'
_NONE_FITS = 'No row fits the filter.'


class EmptyPage(QWidget):
    """One sentence that helps, and a button where a filter hides all rows.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The person wants to see all rows.
    all_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel(_START)
        self.label.setObjectName('quiet')
        self.label.setWordWrap(True)
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.clear = QPushButton('Show all rows')
        self.clear.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addStretch(1)
        layout.addWidget(self.label)
        layout.addWidget(self.clear, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        self.clear.clicked.connect(self.all_wanted)
        self.show_rows(0)

    def show_rows(self, every: int) -> None:
        """Say why none of so many rows is shown."""
        self.label.setText(_NONE_FITS if every else _START)
        self.clear.setVisible(bool(every))
