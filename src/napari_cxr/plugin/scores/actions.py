"""What can be done with a row of the table of scores: its menu."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices, QGuiApplication
from qtpy.QtWidgets import QMenu, QWidget

from napari_cxr.scoring import Row
from napari_cxr.scoring.reopening import file_of

__all__ = ['RowMenu', 'show_folder', 'to_clipboard']


class RowMenu(QMenu):
    """Open, copy, and show where the file is.

    Parameters
    ----------
    row : Row
        The current row.
    table : str
        Its table.
    parent : QWidget, optional
        Qt parent.
    """

    open_wanted = Signal()
    #: All selected rows shall be copied.
    copy_wanted = Signal()

    def __init__(self, row: Row, table: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for text, slot in (
            ('Open', self.open_wanted.emit),
            ('Copy the selected rows', self.copy_wanted.emit),
            ('Copy the path', lambda: to_clipboard(row.path)),
            ('Show its folder', lambda: show_folder(file_of(row.path, table))),
        ):
            action = self.addAction(text)
            if action is not None:
                action.triggered.connect(lambda _=False, slot=slot: slot())
        self.aboutToHide.connect(self.deleteLater)


def to_clipboard(text: str) -> None:
    """Copy a text for other programs."""
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def show_folder(file: str) -> None:
    """Show the folder of a file in the desktop's own program for files."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(file).parent)))
