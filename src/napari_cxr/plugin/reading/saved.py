"""What labels can be saved as, and what came of it."""

from __future__ import annotations

import os

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_cxr.plugin.reading.head import tool
from napari_cxr.plugin.text import quiet_label
from napari_cxr.scoring.reading.export import Exported, several_words

__all__ = ['ExportMenu', 'SavedView']

_FORMS = {
    'csv': (
        'CSV for training…',
        'The images with a label, as a table that the Train dock takes as it is',
    ),
    'folders': (
        'Folders for training…',
        'A folder a class with links to the images, which the Train dock takes as it is',
    ),
    'all': (
        'CSV of all you have read…',
        'Also the images that you are unsure of, and those with nothing but a note',
    ),
}


class ExportMenu(QToolButton):
    """A button with the forms in which labels can be saved."""

    #: What the labels shall be saved as: 'csv', 'folders' or 'all'.
    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        button = tool('Export ▾', 'Save the labels for training, or to look through', 'Export')
        self.setText(button.text())
        self.setToolTip(button.toolTip())
        self.setAccessibleName(button.accessibleName())
        self.setObjectName(button.objectName())
        self.setFocusPolicy(button.focusPolicy())
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.forms = QMenu(self)
        self.forms.setToolTipsVisible(True)
        for form, (text, tip) in _FORMS.items():
            action = self.forms.addAction(text)
            assert action is not None
            action.setToolTip(tip)
            action.setData(form)
        self.forms.triggered.connect(lambda action: self.wanted.emit(action.data()))
        self.setMenu(self.forms)


class SavedView(QWidget):
    """Where labels were saved, what to know of it, and the way to the Train dock.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: What shall be opened in the Train dock: the `Exported`.
    train_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._saved: Exported | None = None
        self.words = quiet_label()
        self.words.setIndent(0)
        self.train = QPushButton('Open in Train')
        self.train.setToolTip('Train a model with these labels')
        self.dismiss = QPushButton('Dismiss')
        for button in (self.train, self.dismiss):
            button.setMinimumHeight(28)
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self.train, 1)
        line.addWidget(self.dismiss, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.words)
        layout.addLayout(line)
        self.train.clicked.connect(lambda: self.train_wanted.emit(self._saved))
        self.dismiss.clicked.connect(self.clear)
        self.clear()

    def show_saved(self, saved: Exported, *, trainable: bool) -> None:
        """Say what was saved.

        Parameters
        ----------
        saved : Exported
            What it is.
        trainable : bool
            Whether the Train dock takes it.
        """
        self._saved = saved
        name = os.path.basename(saved.path)
        said = f'Saved {several_words(saved.images, "image")} as {name}.'
        self.words.setText('\n'.join([said, *saved.remarks]))
        self.words.setToolTip(saved.path)
        self.train.setVisible(trainable)
        self.show()

    def clear(self) -> None:
        """Take the words away."""
        self._saved = None
        self.words.clear()
        self.hide()
