"""The annotation panel: class buttons, a note, and how far the annotation is.

A label that is refused is reported so that it is noticed, and parts that are disabled for a moment
do not lose the keyboard focus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cxr.plugin.annotation.annotation_controls import (
    AnnotationControls,
    AnnotationHeader,
    push_button,
    tool_button,
)
from napari_cxr.plugin.annotation.annotation_state import (
    AnnotationState,
    RowVisibility,
    end_of_table_message,
    next_step_message,
    refusal_message,
    unsaved_message,
)
from napari_cxr.plugin.annotation.class_buttons import ClassButtons
from napari_cxr.plugin.annotation.label_export import ExportMenu
from napari_cxr.plugin.score_table.score_delegate import CellColours
from napari_cxr.plugin.widgets.sections import scroll_up
from napari_cxr.plugin.widgets.text import ElidedLine, InlineMessage
from napari_cxr.scoring.annotation.csv_export import count_text
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_row import ScoreRow

__all__ = ['AnnotationHint', 'AnnotationPanel', 'EnabledParts', 'RowName']

#: Milliseconds for which a refusal is told, also where the image has come at once.
_REFUSAL_SHOWN = 2000


class AnnotationHint(QLabel):
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
        self._told.setInterval(_REFUSAL_SHOWN)
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
            words = refusal_message(True) if self._coming else f'{words} {refusal_message(False)}'
        self.setText(words)
        style = f'color: {CellColours.of(self._theme).warning.name()};' if refused else ''
        if style != self.styleSheet():
            self.setStyleSheet(style)


class EnabledParts:
    """Enables and disables parts of a panel together.

    Qt hands the focus of what is disabled to whatever comes next, be it a text field that
    takes the keys. Here the panel has it meanwhile, and what had it gets it back.

    Parameters
    ----------
    panel : QWidget
        What can have the focus.
    parts : sequence of QWidget
        In the panel.
    """

    def __init__(self, panel: QWidget, parts: Sequence[QWidget]) -> None:
        self._panel, self._parts = panel, parts
        self._left: QWidget | None = None

    def show(self, ready: bool) -> None:
        """Offer the parts, or do not."""
        focused = QApplication.focusWidget()
        if not ready and focused and any(part.isAncestorOf(focused) for part in self._parts):
            self._left = focused
            self._panel.setFocus()
        for part in self._parts:
            part.setEnabled(ready)
        if ready and self._left is not None:
            if focused is self._panel:
                self._left.setFocus()
            self._left = None

    def forget(self) -> None:
        """Forget what had the focus: it may go."""
        self._left = None


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
        self._row: ScoreRow | None = None
        self.name = ElidedLine()
        self.button = tool_button(
            'Show it (Enter)', 'Show the image of this row', 'Show the image'
        )
        place = self.button.sizePolicy()
        place.setRetainSizeWhenHidden(True)
        self.button.setSizePolicy(place)
        self.button.clicked.connect(self.want)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.name, 1)
        line.addWidget(self.button)

    def show_row(self, row: ScoreRow | None) -> None:
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


#: Milliseconds in which a change is saved as a rule, and needs no word about it.
_PATIENCE = 500


class AnnotationPanel(QWidget):
    """Shows one row, and takes down what a person says of it.

    It knows nothing of tables and layers: what it wants of them it says by its signals. Its
    keys are in `ReadingKeys`.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The path of a row of which something else is said now.
    labelled = Signal(str)
    #: The next row is wanted (1), or the one before (-1), in the order of the table.
    step = Signal(int)
    #: The path of a row whose image is wanted: it is not on screen, or something was taken back.
    row_wanted = Signal(str)
    #: Something is about to be said of the row: whoever knows what is on screen tells it now.
    about_to_say = Signal()
    #: What the labels shall be saved as: 'csv', 'folders' or 'all'.
    export_wanted = Signal(str)
    #: The saving has come further, or fails; to be emitted by the thread that saves.
    saving_changed = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.reads = AnnotationState(self)
        self._why_not = ''
        self._unsaved = False
        self._sight = RowVisibility()
        self.export = ExportMenu()
        self.head = AnnotationHeader(self.export)
        self.name = RowName()
        self.hint = AnnotationHint(theme)
        self.doubt = QLabel()
        self.doubt.setWordWrap(True)
        self.doubt.setObjectName('caution')
        self.buttons = ClassButtons(theme)
        self.controls = AnnotationControls()
        self._offer = EnabledParts(self, (self.buttons, self.controls.answers))
        self.message = InlineMessage()
        self.again = push_button('Try again', 'Save what is not saved yet')
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._lay_out()
        self._connect()
        self._show()

    def start(
        self,
        labels: Sequence[str],
        multilabel: bool,
        reading: ReadingList | None,
        *,
        decision: bool = False,
        negative: str = '',
    ) -> None:
        """Begin with another table; its rows come by `add`.

        Parameters
        ----------
        labels : sequence of str
            The model's classes; empty while there is no table.
        multilabel : bool
            Whether an image can have several of them.
        reading : ReadingList or None
            Where the labels go; None where there is none, or it is still to come.
        decision : bool
            Whether the rows say which classes reach their thresholds, see `Run`.
        negative : str
            With `multilabel`, the word for none of them, which has a button of its own; without
            one, none are put down by taking all away.
        """
        self.finish_note()
        self._unsaved = False
        self.message.clear()
        self._offer.forget()
        self.reads.start(labels, multilabel, decision, negative)
        # One finding is there or not: two answers, of which one is given.
        self.buttons.set_labels(self.reads.choices, multilabel and len(labels) > 1)
        self.set_reading(reading)

    def set_reading(self, reading: ReadingList | None, why_not: str = '') -> None:
        """Take a reading list that was opened meanwhile, or say why there is none."""
        self.reads.reading, self._why_not = reading, why_not
        if reading is not None and reading.damaged:
            self.message.show_error(
                f'{reading.path.name} has {count_text(reading.damaged, "damaged line")}, and '
                'what stood there is lost: look the labels through before you use them.'
            )
        self._show()

    def add(self, rows: Iterable[ScoreRow]) -> None:
        """Count rows of the table among those to read."""
        self.reads.add(rows)
        self._show_counts()
        self._show_hint()

    def show_row(self, row: ScoreRow | None) -> None:
        """Show another row; what was typed about the one before is saved first."""
        self.finish_note()
        self.reads.show_row(row)

    def show_sight(self, sight: RowVisibility) -> None:
        """Say whether the image of the row is on screen, and offer what can be said of it."""
        self._sight = sight
        self._show_hint()

    def show_end(self) -> None:
        """Say that there is no further row, and how many are left to read."""
        self.hint.show_words(end_of_table_message(self.reads))

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self.buttons.set_theme(theme)
        self.hint.set_theme(theme)

    def choose(self, place: int) -> None:
        """Choose the class at a place, as its key does."""
        if place < len(self.reads.choices):
            self._choose(self.reads.choices[place])

    def agree(self) -> None:
        """Put down what the model says."""
        self._say(self.reads.agree)

    def say_unsure(self) -> None:
        """Put down that the image was read and cannot be told."""
        self._say(self.reads.say_unsure)

    def begin_note(self) -> None:
        """Put the cursor into the note."""
        if self.controls.note.isEnabled():
            self.controls.note.setFocus()
            self.controls.note.selectAll()

    def finish_note(self) -> None:
        """Save what was typed about the row on show."""
        self.reads.note(self.controls.note.text())

    def undo(self) -> None:
        """Take back the last change, and ask for the row that it was about."""
        self.finish_note()
        self.reads.undo()

    def redo(self) -> None:
        """Make the change again that was undone last, and ask for its row."""
        self.finish_note()
        self.reads.redo()

    def _choose(self, label: str) -> None:
        self._say(partial(self.reads.choose, label))

    def _say(self, say: Callable[[], None]) -> None:
        """Let something be said of the row if its image is on screen, else have it shown."""
        self.finish_note()
        self.about_to_say.emit()
        if self._sight.seen and not self._sight.coming:
            say()
        elif self.reads.ready:
            if not self._sight.coming:  # else a key that was pressed twice, say
                self.name.want()
            self.hint.refuse()
            self._show()

    def _clear(self) -> None:
        self.finish_note()
        self.reads.clear()

    def _leave_note(self) -> None:
        self.controls.note.setText(self.reads.entry.note)
        self.setFocus()

    def _labelled(self, path: str) -> None:
        self._patience.start()
        self._show_saving()
        self.labelled.emit(path)

    def _show(self) -> None:
        """Show the row with what is said of it."""
        reads, row, entry = self.reads, self.reads.row, self.reads.entry
        shares = row.probabilities if row else ()
        self.buttons.show_answers(shares, reads.models_choices, reads.chosen)
        notable = row is not None and reads.reading is not None
        self.controls.show_entry(entry, notable=notable, steps=row is not None)
        self.name.show_row(row)
        doubts = (
            [caution.text for caution in row.cautions if caution.doubts_the_image] if row else []
        )
        self.doubt.setText('\n'.join(doubts))
        self.doubt.setVisible(bool(doubts))
        self._show_hint()
        self._show_counts()
        self._show_saving()

    def _show_hint(self) -> None:
        reads = self.reads
        sight = self._sight
        self._offer.show(reads.ready and sight.seen and not sight.awaited)
        self.name.offer(not sight.seen)
        self.hint.show_words(next_step_message(reads, self._why_not, sight), sight.coming)
        self.head.setVisible(reads.total > 0 and reads.reading is not None)
        something = bool(reads.labels) and (reads.total > 0 or not reads.failed)
        self.buttons.setVisible(something)
        self.controls.setVisible(something)

    def _show_counts(self) -> None:
        counts, reading = self.reads.counts, self.reads.reading
        self.head.show_counts(counts, self.reads.total)
        self.export.setEnabled(bool(counts.read or counts.noted))
        undo, redo = (reading.undoable, reading.redoable) if reading else (None, None)
        self.head.show_history(undo is not None, redo is not None)

    def _show_saving(self) -> None:
        """Say what is not on the disk: soon if something prevents it, later if it is slow."""
        reading = self.reads.reading
        problem = unsaved_message(reading) if reading else ''
        if problem:
            self.message.show_error(problem)
            if not self._unsaved:
                scroll_up(self)
        elif self._unsaved:
            self.message.clear()
        self._unsaved = bool(problem)
        self.again.setVisible(self._unsaved)
        slow = reading and reading.unsaved and not self._patience.isActive()
        self.head.show_saving('saving…' if slow else '')

    def _connect(self) -> None:
        reads = self.reads
        reads.changed.connect(self._show)
        reads.labelled.connect(self._labelled)
        reads.step.connect(self.step)
        reads.row_wanted.connect(self.row_wanted)
        reads.refused.connect(self.message.show_error)
        self.saving_changed.connect(self._show_saving)
        self._patience.timeout.connect(self._show_saving)
        self.name.wanted.connect(self.row_wanted)
        self.buttons.chosen.connect(self._choose)
        controls = self.controls
        controls.agree.clicked.connect(self.agree)
        controls.unsure.clicked.connect(self.say_unsure)
        controls.clear.clicked.connect(self._clear)
        controls.note.editingFinished.connect(self.finish_note)
        controls.note.returnPressed.connect(self.setFocus)
        controls.escape.activated.connect(self._leave_note)
        controls.previous.clicked.connect(lambda: self.step.emit(-1))
        controls.next.clicked.connect(lambda: self.step.emit(1))
        controls.going_on.toggled.connect(lambda on: setattr(reads, 'going_on', on))
        self.export.wanted.connect(self.export_wanted)
        self.head.undo.clicked.connect(self.undo)
        self.head.redo.clicked.connect(self.redo)
        self.again.clicked.connect(reads.retry)

    def _lay_out(self) -> None:
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(6)
        told: tuple[QWidget, ...] = (self.message, self.again, self.head)
        for part in (*told, self.name, self.hint, self.doubt, self.buttons, self.controls):
            whole.addWidget(part)
