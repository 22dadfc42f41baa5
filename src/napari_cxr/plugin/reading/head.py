"""How far the reading is, and what can be taken back."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QToolButton, QVBoxLayout, QWidget

from napari_cxr.plugin.short_line import ShortLine
from napari_cxr.scoring.reading.entry import Counts

__all__ = ['ReadingHead', 'tool']


class ReadingHead(QWidget):
    """Counts with a thin bar, undo and redo.

    Parameters
    ----------
    more : QWidget
        What stands behind them.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, more: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.counts = ShortLine()
        self.saving = QLabel()
        self.saving.setObjectName('quiet')
        self.undo = tool('↶', 'Undo (Ctrl+Z)', 'Undo')
        self.redo = tool('↷', 'Redo (Ctrl+Shift+Z)', 'Redo')
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(3)
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self.counts, 1)
        for widget in (self.saving, self.undo, self.redo, more):
            line.addWidget(widget)
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
        self.counts.show_text(f'{counts.read:,} of {total:,} read{more}')
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(counts.read)

    def show_history(self, undoable: bool, redoable: bool) -> None:
        """Show whether there is anything to undo and to redo."""
        self.undo.setEnabled(undoable)
        self.redo.setEnabled(redoable)

    def show_saving(self, text: str) -> None:
        """Say what becomes of the labels; nothing once they are saved."""
        self.saving.setText(text)
        self.saving.setVisible(bool(text))


def tool(text: str, tip: str, name: str) -> QToolButton:
    """Return a small button that does not take the focus when it is clicked."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(name)
    button.setObjectName('more')
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
