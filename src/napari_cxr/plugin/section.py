"""A part of a dock that folds away under its title."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
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
        )
        self.button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.summary = QLabel()
        self.summary.setObjectName('quiet')
        self.summary.setMinimumWidth(1)  # gives way; its words are told again below
        self.summary.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
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

    def _fold(self, open_: bool) -> None:
        self.button.setText(f'{"▾" if open_ else "▸"}  {self._title}')
        self._inside.setVisible(open_)
        self.toggled.emit(open_)
