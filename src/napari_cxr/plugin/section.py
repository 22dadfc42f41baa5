"""A part of a dock that folds away under its title."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

__all__ = ['Section']


class Section(QWidget):
    """A title to click, a few words beside it, and what they are about below.

    Parameters
    ----------
    title : str
        What it is about.
    open_ : bool
        Whether it is unfolded at first.
    parent : QWidget, optional
        Qt parent.
    """

    #: Whether a person has unfolded it.
    toggled = Signal(bool)

    def __init__(self, title: str, open_: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.button = QToolButton()
        self.button.setCheckable(True)
        self.button.setChecked(open_)
        self.button.setAccessibleName(title)
        self.button.setToolTip('Fold or unfold this part')
        self.button.setStyleSheet(
            'QToolButton, QToolButton:checked { border: 0; padding: 3px 0; font-weight: bold;'
            ' background: transparent; text-align: left; }'
            'QToolButton:focus { background: rgba(128, 128, 128, 60); border-radius: 3px; }'
        )
        self.button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.summary = _Shortened()
        self.summary.setObjectName('quiet')
        self._inside = QWidget()
        self.body = QVBoxLayout(self._inside)
        self.body.setContentsMargins(0, 2, 0, 8)
        self.body.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self.button)
        head.addWidget(self.summary, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self._inside)
        self.button.toggled.connect(self._fold)
        self._fold(open_)

    @property
    def title(self) -> str:
        """What the part is called."""
        return self._title

    @property
    def is_open(self) -> bool:
        """Whether it is unfolded."""
        return self.button.isChecked()

    def set_open(self, open_: bool) -> None:
        """Fold or unfold it."""
        self.button.setChecked(open_)

    def set_summary(self, text: str) -> None:
        """Say a few words beside the title, such as a number."""
        self.summary.setText(text)
        self.summary.setToolTip(text)

    def add(self, *widgets: QWidget) -> None:
        """Put widgets into it, one below the other."""
        for widget in widgets:
            self.body.addWidget(widget)
            for label in (widget, *widget.findChildren(QLabel)):
                if isinstance(label, QLabel):
                    label.setIndent(0)  # in line with tables and plots

    def _fold(self, open_: bool) -> None:
        self.button.setText(f'{"▾" if open_ else "▸"}  {self._title}')
        self._inside.setVisible(open_)
        self.toggled.emit(open_)


class _Shortened(QLabel):
    """Words at the right, shortened where there is no room for them."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw as much as there is room for."""
        painter = QPainter(self)
        room = self.contentsRect().adjusted(4, 0, -2, 0)
        short = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideRight, room.width()
        )
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, short)
        painter.end()
