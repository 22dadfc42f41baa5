"""The file of the row on show, and a button where its image is not on screen."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_cxr.plugin.reading.head import tool
from napari_cxr.plugin.short_line import ShortLine
from napari_cxr.scoring.row import Row

__all__ = ['RowName']


class RowName(QWidget):
    """Name and button in a line that is as high with the button as without it.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The path of the row whose image is wanted.
    wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row: Row | None = None
        self.name = ShortLine()
        self.button = tool('Show it (Enter)', 'Show the image of this row', 'Show the image')
        place = self.button.sizePolicy()
        place.setRetainSizeWhenHidden(True)
        self.button.setSizePolicy(place)
        self.button.clicked.connect(self.want)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.name, 1)
        line.addWidget(self.button)

    def show_row(self, row: Row | None) -> None:
        """Name the file of another row, or none."""
        self._row = row
        self.name.show_path(row.path if row else '')
        self.setVisible(row is not None)

    def offer(self, offered: bool) -> None:
        """Offer to show the image, or do not."""
        self.button.setVisible(offered)

    def want(self) -> None:
        """Ask for the image."""
        if self._row is not None:
            self.wanted.emit(self._row.path)
