"""How far the reading is, what can be taken back, and what the labels can be saved as."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.scoring.reading_entry import Counts

__all__ = ['ReadingHead']

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
        'CSV of everything said…',
        'Also the images that you are unsure about, and those with a note only',
    ),
}


class ReadingHead(QWidget):
    """Counts with a thin bar, undo and redo, and the menu of exports.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: What the labels shall be saved as: 'csv', 'all' or 'folders'.
    export_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.counts = QLabel()
        self.saving = QLabel()
        self.saving.setObjectName('quiet')
        self.undo = _tool('↶', 'Undo (Ctrl+Z)', 'Undo')
        self.redo = _tool('↷', 'Redo (Ctrl+Shift+Z)', 'Redo')
        self.export = _tool('Export ▾', 'Save the labels for training, or to look through', '')
        self.export.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self.export)
        self.menu.setToolTipsVisible(True)
        for form, (text, tip) in _FORMS.items():
            action = self.menu.addAction(text)
            assert action is not None
            action.setToolTip(tip)
            action.triggered.connect(lambda _=False, form=form: self.export_wanted.emit(form))
        self.export.setMenu(self.menu)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(3)
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self.counts)
        line.addWidget(self.saving)
        line.addStretch(1)
        for button in (self.undo, self.redo, self.export):
            line.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(line)
        layout.addWidget(self.bar)
        self.show_counts(Counts(), 0)
        self.show_history(False, False)
        self.show_saving('')

    def show_counts(self, counts: Counts, total: int) -> None:
        """Show how many of the images were read, and of how many a person is unsure."""
        more = f', {counts.unsure:,} unsure' if counts.unsure else ''
        self.counts.setText(f'{counts.read:,} of {total:,} read{more}' if total else '')
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(counts.read)
        self.export.setEnabled(bool(counts.read or counts.noted))

    def show_history(self, undoable: bool, redoable: bool) -> None:
        """Show whether there is anything to undo and to redo."""
        self.undo.setEnabled(undoable)
        self.redo.setEnabled(redoable)

    def show_saving(self, text: str) -> None:
        """Say what becomes of the labels; nothing once they are saved."""
        self.saving.setText(text)
        self.saving.setVisible(bool(text))


def _tool(text: str, tip: str, name: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(name or text)
    button.setObjectName('more')
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
