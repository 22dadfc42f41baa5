"""Where the reading of a row stands; what was refused is told so that it is seen."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QWidget

from napari_cxr.plugin.reading.words import refusal
from napari_cxr.plugin.scores.colours import CellColours

__all__ = ['ReadingHint']

#: Milliseconds for which a refusal is told, also where the image has come at once.
_TOLD = 2000


class ReadingHint(QLabel):
    """A sentence, or for a while why something was not taken down.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._words, self._coming = theme, '', False
        self._told = QTimer(self)
        self._told.setSingleShot(True)
        self._told.setInterval(_TOLD)
        self._told.timeout.connect(self._show)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setObjectName('quiet')
        self.setIndent(0)  # in line with what is above and below

    def show_words(self, words: str, coming: bool = False) -> None:
        """Say where the reading stands; `coming` while nobody can have seen the image."""
        self._words, self._coming = words, coming
        self._show()

    def refuse(self) -> None:
        """Tell that something was said of an image which nobody can have seen."""
        self._told.start()
        self._show()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self._theme = theme
        self._show()

    def _show(self) -> None:
        words, refused = self._words, self._told.isActive()
        if refused:
            words = refusal(True) if self._coming else f'{words} {refusal(False)}'
        self.setText(words)
        style = f'color: {CellColours.of(self._theme).warning.name()};' if refused else ''
        if style != self.styleSheet():
            self.setStyleSheet(style)
