"""Controls of the annotation panel above and below the class buttons.

Above: how many rows are annotated, undo and redo. Below: agree, unsure, a note, and the previous
and next row.
"""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.widgets.text import ElidedLine
from napari_cxr.scoring.annotation import Annotation, AnnotationCounts

__all__ = ['AnnotationControls', 'AnnotationHeader', 'push_button', 'tool_button']


class AnnotationHeader(QWidget):
    """Counts with a thin bar, undo and redo.

    Parameters
    ----------
    more : QWidget
        Widget at the end of the line.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, more: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.counts = ElidedLine()
        self.saving = QLabel()
        self.saving.setObjectName('quiet')
        self.undo = tool_button('↶', 'Undo (Ctrl+Z)', 'Undo')
        self.redo = tool_button('↷', 'Redo (Ctrl+Shift+Z)', 'Redo')
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
        self.show_counts(AnnotationCounts(), 0)
        self.show_history(False, False)
        self.show_saving('')

    def show_counts(self, counts: AnnotationCounts, total: int) -> None:
        """Show how many of the images are annotated, and how many of them as unsure."""
        more = f', {counts.unsure:,} unsure' if counts.unsure else ''
        self.counts.show_text(f'{counts.read:,} of {total:,} annotated{more}')
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(counts.read)

    def show_history(self, undoable: bool, redoable: bool) -> None:
        """Show whether there is anything to undo and to redo."""
        self.undo.setEnabled(undoable)
        self.redo.setEnabled(redoable)

    def show_saving(self, text: str) -> None:
        """Show that labels are being saved; an empty text once they are."""
        self.saving.setText(text)
        self.saving.setVisible(bool(text))


def tool_button(text: str, tip: str, name: str) -> QToolButton:
    """Return a small button that does not take the focus when clicked."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(name)
    button.setObjectName('more')
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


_LONGEST_NOTE = 2000


class AnnotationControls(QWidget):
    """The buttons and the note, without behaviour of their own.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.agree = push_button('Agree (Space)', 'Label the image as the model predicts')
        self.unsure = push_button('Unsure (U)', 'Mark the image as one that you cannot label')
        self.unsure.setCheckable(True)
        self.clear = push_button('Clear', 'Remove your label; the note stays')
        self.note = QLineEdit()
        self.note.setPlaceholderText('Note (N)')
        self.note.setToolTip(
            'Free text about this image (key N). Enter saves it, Escape restores the old text'
        )
        self.note.setAccessibleName('Note')
        self.note.setMaxLength(_LONGEST_NOTE)
        self.note.setMinimumHeight(26)
        #: Escape in the note field.
        self.escape = QShortcut(QKeySequence('Escape'), self.note)
        self.escape.setContext(Qt.ShortcutContext.WidgetShortcut)
        self.previous = push_button(
            '‹ Previous (K)', 'The previous row of the table, as it is sorted'
        )
        self.next = push_button('Next (J) ›', 'The next row of the table, as it is sorted')
        self.auto_advance = QCheckBox('Next row after a label')
        self.auto_advance.setChecked(True)
        self.auto_advance.setToolTip('Open the next row as soon as this one has a label')
        #: The buttons below those of the classes.
        self.answers = QWidget()
        answers = QHBoxLayout(self.answers)
        for button, stretch in ((self.agree, 4), (self.unsure, 3), (self.clear, 2)):
            answers.addWidget(button, stretch)
        steps = QGridLayout()
        steps.addWidget(self.previous, 0, 0)
        steps.addWidget(self.next, 0, 1)
        steps.addWidget(self.auto_advance, 1, 0, 1, 2)
        whole = QVBoxLayout(self)
        whole.addWidget(self.answers)
        whole.addWidget(self.note)
        whole.addLayout(steps)
        for layout in (answers, steps, whole):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(6)

    def show_entry(self, entry: Annotation, *, notable: bool, steps: bool) -> None:
        """Show the annotation of a row, and enable what can be done.

        Parameters
        ----------
        entry : Annotation
            The annotation.
        notable, steps : bool
            Whether it can have a note, and whether there are other rows.
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
    """Return a button that takes no focus when clicked: the space bar still means "agree"."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumHeight(28)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
