"""The buttons below a result that save or copy it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.style import keep_space, quiet_label

__all__ = ['ResultButtons']


class ResultButtons(QWidget):
    """Emits what a person wants to save; knows nothing of the result.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: To save a picture at once; to copy it; to save a page; to save the heatmap.
    picture_wanted = Signal()
    copy_wanted = Signal()
    page_wanted = Signal()
    heatmap_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.save = QPushButton('Save picture')
        self.save.setToolTip(
            'Save the radiograph, what lies on it and the result as a PNG file, in the folder of '
            'the last one'
        )
        self.copy = QPushButton('Copy')
        self.copy.setToolTip('Copy the same picture, to paste it into a document')
        self.more = QPushButton('More')
        self.more.setToolTip('A page of this case, or the values of the heatmap')
        menu = QMenu(self.more)
        for text, wanted in (
            ('Save a page of this case (HTML)…', self.page_wanted),
            ('Save the heatmap (NPZ, TIFF or PNG)…', self.heatmap_wanted),
        ):
            action = menu.addAction(text)
            if action is not None:
                action.triggered.connect(wanted)
        self.more.setMenu(menu)
        #: What became of the last click.
        self.said = quiet_label()
        keep_space(self.said, lines=2)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for button in (self.save, self.copy, self.more):
            row.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.said)
        self.save.clicked.connect(self.picture_wanted)
        self.copy.clicked.connect(self.copy_wanted)
