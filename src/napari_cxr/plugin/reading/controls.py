"""What is pressed and typed below the classes: agree, unsure, a note, the next row."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.scoring.reading.entry import Entry

__all__ = ['ReadingControls', 'push_button']

_LONGEST_NOTE = 2000


class ReadingControls(QWidget):
    """Buttons and the note; it does nothing by itself.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.agree = push_button('Agree (Space)', 'Put down what the model says')
        self.unsure = push_button('Unsure (U)', 'It was read, and it cannot be told')
        self.unsure.setCheckable(True)
        self.clear = push_button('Clear', 'Take your answer away; the note stays')
        self.note = QLineEdit()
        self.note.setPlaceholderText('Note (N)')
        self.note.setToolTip(
            'Your own words about this image (key N): Enter saves them, Escape leaves them as '
            'they were'
        )
        self.note.setAccessibleName('Note')
        self.note.setMaxLength(_LONGEST_NOTE)
        self.note.setMinimumHeight(26)
        #: Escape in the note.
        self.escape = QShortcut(QKeySequence('Escape'), self.note)
        self.escape.setContext(Qt.ShortcutContext.WidgetShortcut)
        self.previous = push_button('‹ Previous (K)', 'The row before, in the order of the table')
        self.next = push_button('Next (J) ›', 'The next row, in the order of the table')
        self.going_on = QCheckBox('Go on after a label')
        self.going_on.setChecked(True)
        self.going_on.setToolTip('Show the next row as soon as this one has its label')
        #: What can be said of the image below the classes.
        self.answers = QWidget()
        answers = QHBoxLayout(self.answers)
        for button, share in ((self.agree, 4), (self.unsure, 3), (self.clear, 2)):
            answers.addWidget(button, share)
        steps = QGridLayout()
        steps.addWidget(self.previous, 0, 0)
        steps.addWidget(self.next, 0, 1)
        steps.addWidget(self.going_on, 1, 0, 1, 2)
        whole = QVBoxLayout(self)
        whole.addWidget(self.answers)
        whole.addWidget(self.note)
        whole.addLayout(steps)
        for layout in (answers, steps, whole):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(6)

    def show_entry(self, entry: Entry, *, notable: bool, steps: bool) -> None:
        """Show what is said of a row, and offer what can be done.

        Parameters
        ----------
        entry : Entry
            What is said of it.
        notable, steps : bool
            Whether it can have a note, and has rows beside it.
        """
        self.unsure.setChecked(entry.unsure)
        self.clear.setEnabled(entry.read)
        self.note.setEnabled(notable)
        if self.note.text() != entry.note:
            self.note.setText(entry.note)
            self.note.setCursorPosition(0)
        for button in (self.previous, self.next):
            button.setEnabled(steps)


def push_button(text: str, tip: str) -> QPushButton:
    """Return a button that a click gives no focus, so that the space bar still means "agree"."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumHeight(28)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
