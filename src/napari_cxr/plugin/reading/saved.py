"""What labels can be saved as, and what came of it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from napari_cxr.plugin.reading.controls import push_button
from napari_cxr.plugin.reading.head import tool
from napari_cxr.plugin.scores.actions import show_folder
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
        self.train = push_button('Open in Train', 'Train a model with these labels')
        self.folder = push_button('Open folder', 'Show the folder that they were saved in')
        self.dismiss = tool('✕', 'Dismiss', 'Dismiss')
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.words, 1)
        first.addWidget(self.dismiss, 0, Qt.AlignmentFlag.AlignTop)
        for button in (self.train, self.folder):
            button.setStyleSheet('padding: 4px 10px;')
            second.addWidget(button)
        second.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for line in (first, second):
            line.setSpacing(6)
            layout.addLayout(line)
        layout.setSpacing(4)
        self.train.clicked.connect(lambda: self.train_wanted.emit(self._saved))
        self.folder.clicked.connect(lambda: show_folder(self._saved.path if self._saved else ''))
        self.dismiss.clicked.connect(self.clear)
        self.clear()

    def show_saved(self, saved: Exported, trainable: bool) -> None:
        """Say what was saved.

        Parameters
        ----------
        saved : Exported
            What it is.
        trainable : bool
            Whether the Train dock takes it.
        """
        self._saved = saved
        path = Path(saved.path)
        images, folder = several_words(saved.images, 'image'), path.parent.name or path.parent
        said = f'Saved {images} as {path.name} in {folder}.'
        self.words.setText(' '.join([said, *saved.remarks]))
        self.words.setToolTip(saved.path)
        self.train.setVisible(trainable)
        self.show()

    def clear(self) -> None:
        """Take the words away."""
        self._saved = None
        self.words.clear()
        self.hide()
