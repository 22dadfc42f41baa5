"""The annotation panel: class buttons, a note, and the number of annotated rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cxr.plugin.annotation.annotation_controls import (
    AnnotationControls,
    AnnotationHeader,
    ClassButtons,
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
from napari_cxr.plugin.annotation.label_export import EarlierLabelsOffer, ExportMenu
from napari_cxr.plugin.annotation.reader_dialog import ReaderLine
from napari_cxr.plugin.score_table.score_delegate import CellColours
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.sections import scroll_up
from napari_cxr.plugin.widgets.text import ElidedLine, InlineMessage, PlainLabel
from napari_cxr.scoring.annotation.csv_export import count_text
from napari_cxr.scoring.annotation.followed_labels import FollowedLabels
from napari_cxr.scoring.annotation.readers import Reader
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_row import ScoreRow

__all__ = ['AnnotationHint', 'AnnotationPanel', 'EnabledParts', 'RowName']

#: Minimum time in milliseconds for which a refused label is reported.
_REFUSAL_SHOWN = 2000


class AnnotationHint(QLabel):
    """A sentence about the row, or for a while why a label was refused.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._text, self._pending = theme, '', False
        self._refusal = QTimer(self)
        self._refusal.setSingleShot(True)
        self._refusal.setInterval(_REFUSAL_SHOWN)
        self._refusal.timeout.connect(self._show)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setObjectName('quiet')
        self.setIndent(0)  # aligned with its neighbours

    def show_text(self, text: str, pending: bool = False) -> None:
        """Show a sentence; `pending` while the user cannot have seen the image."""
        self._text, self._pending = text, pending
        self._show()

    def refuse(self) -> None:
        """Report that a label was refused, because the user cannot have seen the image."""
        self._refusal.start()
        self._show()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self._theme = theme
        self._show()

    def _show(self) -> None:
        text, refused = self._text, self._refusal.isActive()
        if refused:
            text = refusal_message(True) if self._pending else f'{text} {refusal_message(False)}'
        self.setText(text)
        style = f'color: {CellColours.of(self._theme).warning.name()};' if refused else ''
        if style != self.styleSheet():
            self.setStyleSheet(style)


class EnabledParts:
    """Enables and disables parts of a panel together.

    Qt passes the focus of a disabled widget on to the next one, possibly a text field, which
    would take the keys. Here the panel keeps the focus meanwhile, and the widget gets it back.

    Parameters
    ----------
    panel : QWidget
        Takes the focus while the parts are disabled.
    parts : sequence of QWidget
        Parts of the panel.
    """

    def __init__(self, panel: QWidget, parts: Sequence[QWidget]) -> None:
        self._panel, self._parts = panel, parts
        self._focused: QWidget | None = None

    def set_enabled(self, enabled: bool) -> None:
        """Enable or disable the parts."""
        focused = QApplication.focusWidget()
        if not enabled and focused and any(part.isAncestorOf(focused) for part in self._parts):
            self._focused = focused
            self._panel.setFocus()
        for part in self._parts:
            part.setEnabled(enabled)
        if enabled and self._focused is not None:
            if focused is self._panel:
                self._focused.setFocus()
            self._focused = None

    def forget(self) -> None:
        """Forget which widget had the focus: it may be deleted."""
        self._focused = None


class RowName(QWidget):
    """The name of the file, and a button to show it; the height is the same without the button.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The image of a row is wanted: its path.
    wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row: ScoreRow | None = None
        self.name = ElidedLine()
        self.button = tool_button(
            'Show it (Enter)', 'Show the image of this row', 'Show the image'
        )
        policy = self.button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.button.setSizePolicy(policy)
        self.button.clicked.connect(self.want)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.name, 1)
        line.addWidget(self.button)

    def show_row(self, row: ScoreRow | None, title: str = '') -> None:
        """Show the file name of another row or what it is called instead, or none."""
        self._row = row
        if title:
            self.name.show_text(title)
        else:
            self.name.show_path(row.path if row else '')
        self.setVisible(row is not None)

    def offer(self, offered: bool) -> None:
        """Show or hide the button."""
        self.button.setVisible(offered)

    def want(self) -> None:
        """Ask for the image."""
        if self._row is not None:
            self.wanted.emit(self._row.path)


_WITHHELD = 'The prediction is withheld; “Predictions of doubtful images” under Columns shows it.'

#: Milliseconds after which it is shown that a change is still being saved.
_SLOW = 500


class AnnotationPanel(QWidget):
    """Shows one row, and takes its labels and note.

    Independent of tables and layers, which it controls by its signals. For its shortcuts see
    `AnnotationShortcuts`.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The annotation of a row has changed: its path.
    labelled = Signal(str)
    #: The next row (1) or the previous one (-1) is wanted, as the table is sorted.
    step = Signal(int)
    #: The next row that can be annotated is wanted, after a label.
    advanced = Signal()
    #: It is to be brought forward.
    wanted = Signal()
    #: The model's answer is shown now, after that of the user.
    revealed = Signal()
    #: The image of a row is wanted: its path.
    row_wanted = Signal(str)
    #: The row is about to be labelled: `show_visibility` is to be called now.
    about_to_label = Signal()
    #: Labels are to be exported: 'csv', 'folders' or 'all'.
    export_wanted = Signal(str)
    #: Earlier annotations of the same images are to be taken over.
    adopt_wanted = Signal()
    #: Changes were saved, or saving failed; emitted in the thread that saves.
    saving_changed = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = AnnotationState(self)
        self._why_not = ''
        self._unsaved = False
        self._visibility = RowVisibility()
        self.export = ExportMenu()
        self.head = AnnotationHeader()
        self.name = RowName()
        self.hint = AnnotationHint(theme)
        self.doubt = PlainLabel()
        self.doubt.setWordWrap(True)
        self.doubt.setObjectName('caution')
        self.buttons = ClassButtons(theme)
        self.controls = AnnotationControls()
        self._enabled_parts = EnabledParts(self, (self.buttons, self.controls.answers))
        self.reader = ReaderLine(self.export)
        self.others = quiet_label()
        self.others.setIndent(0)
        self.title_of: Callable[[ScoreRow], str] = lambda row: ''
        self.message = InlineMessage()
        self.retry = push_button('Try again', 'Save the changes that are not saved yet')
        self.earlier = EarlierLabelsOffer()
        self._saving_timer = QTimer(self)
        self._saving_timer.setSingleShot(True)
        self._saving_timer.setInterval(_SLOW)
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
        """Start with another table; its rows are added by `add`.

        Parameters
        ----------
        labels : sequence of str
            The model's classes; empty without a table.
        multilabel : bool
            Whether an image can have more than one of them.
        reading : ReadingList or None
            Where labels are saved; None if there is no list, or it is still being opened.
        decision : bool
            Whether the rows say which classes reach their thresholds, see `ScoringRun`.
        negative : str
            With `multilabel`, the class for none of them, which has a button of its own. If it is
            empty, an image without any class has all of them removed.
        """
        self.finish_note()
        self._unsaved = False
        self.message.clear()
        self._enabled_parts.forget()
        self.state.start(labels, multilabel, decision, negative)
        # A single finding is present or absent: two buttons, one of which is chosen.
        self.buttons.set_labels(self.state.choices, multilabel and len(labels) > 1)
        self.set_annotations(reading)

    def set_annotations(self, reading: ReadingList | None, why_not: str = '') -> None:
        """Take a reading list that has been opened, or show why there is none."""
        self.state.annotations, self._why_not = reading, why_not
        if reading is not None and reading.damaged:
            self.message.show_error(
                f'{reading.path.name} has {count_text(reading.damaged, "damaged line")}, whose '
                'labels are lost. Check the labels before you use them.'
            )
        self._show()

    def show_reader(self, reader: Reader, *, blinded: bool, reveals_after: bool) -> None:
        """Show who reads, and hide the model's answers where that is done blinded."""
        self.state.blinded, self.state.reveals_after = blinded, reveals_after
        self.reader.show_reader(reader, blinded)
        self._show()

    def show_others(self, text: str) -> None:
        """Show what other readers said of the row; an empty text hides it."""
        self.others.setText(text)
        self.others.setVisible(bool(text))

    def offer_earlier(self, earlier: FollowedLabels) -> None:
        """Offer annotations of the same images in other tables."""
        self.state.earlier = earlier.entries
        self.earlier.set_tables(earlier.tables)
        self._show_earlier()

    def add(self, rows: Iterable[ScoreRow]) -> None:
        """Count rows of the table."""
        self.state.add(rows)
        self._show_counts()
        self._show_hint()
        self._show_earlier()

    def set_complete(self, complete: bool) -> None:
        """Note whether more rows are to come."""
        self.state.complete = complete
        self._show_hint()

    def show_row(self, row: ScoreRow | None) -> None:
        """Show another row; the note of the previous one is saved first."""
        self.finish_note()
        self.state.show_row(row)

    def show_visibility(self, visibility: RowVisibility) -> None:
        """Show whether the image is on screen, and enable the buttons accordingly."""
        self._visibility = visibility
        self._show_hint()

    def show_end(self) -> None:
        """Show that this is the last row, and how many are not annotated yet."""
        self.hint.show_text(end_of_table_message(self.state))

    def reveal_doubtful(self, revealed: bool) -> None:
        """Show or withhold the predictions of doubtful images."""
        self.state.reveals_doubtful = revealed
        self._show()

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self.buttons.set_theme(theme)
        self.hint.set_theme(theme)

    def choose(self, place: int) -> None:
        """Choose a class by its number, as its shortcut does."""
        if place < len(self.state.choices):
            self._choose(self.state.choices[place])

    def agree(self) -> None:
        """Take the labels of the model."""
        self._label(self.state.agree)

    def mark_unsure(self) -> None:
        """Mark the row as one that cannot be labelled."""
        self._label(self.state.mark_unsure)

    def ask_unusable(self) -> None:
        """Open the menu of reasons why the image cannot be used."""
        self.controls.unusable.ask()

    def begin_note(self) -> None:
        """Move the focus to the note."""
        if self.controls.note.isEnabled():
            self.controls.note.setFocus()
            self.controls.note.selectAll()

    def finish_note(self) -> None:
        """Save the note of the row."""
        self.state.note(self.controls.note.text())

    def undo(self) -> None:
        """Undo the last change, and ask for its row to be opened."""
        self.finish_note()
        self.state.undo()

    def redo(self) -> None:
        """Redo the change that was undone last, and ask for its row to be opened."""
        self.finish_note()
        self.state.redo()

    def _choose(self, label: str) -> None:
        self._label(partial(self.state.choose, label))

    def _label(self, label: Callable[[], None]) -> None:
        """Label the row if its image is on screen; otherwise ask for the image."""
        self.finish_note()
        self.about_to_label.emit()
        if self._visibility.visible and not self._visibility.pending:
            label()
        elif self.state.ready:
            if not self._visibility.pending:  # it is loading already
                self.name.want()
            self.hint.refuse()
            self._show()

    def _mark_unusable(self, reason: str) -> None:
        self._label(partial(self.state.mark_unusable, reason))

    def _clear_label(self) -> None:
        self.finish_note()
        self.state.clear()

    def _leave_note(self) -> None:
        self.controls.note.setText(self.state.entry.note)
        self.setFocus()

    def _labelled(self, path: str) -> None:
        self._saving_timer.start()
        self._show_saving()
        self.labelled.emit(path)

    def _show(self) -> None:
        """Show the row with its annotation."""
        state, row, entry = self.state, self.state.row, self.state.entry
        probabilities = row.probabilities if row and not state.is_withheld else ()
        self.buttons.show_answers(probabilities, state.predicted_choices, state.chosen)
        notable = row is not None and state.annotations is not None
        self.controls.show_entry(entry, notable=notable, steps=row is not None)
        apart = state.is_done_apart and state.is_hidden
        self.controls.agree.setEnabled(apart or not state.is_withheld)
        self.controls.agree.setText('Done (Space)' if apart else 'Agree (Space)')
        self.name.show_row(row, self.title_of(row) if row else '')
        doubts = []
        if row is not None and not state.is_hidden:
            doubts = [caution.text for caution in row.warnings if caution.doubts_the_image]
        if state.is_doubtful and not state.is_hidden:
            doubts.append(_WITHHELD)
        self.doubt.setText('\n'.join(doubts))
        self.doubt.setVisible(bool(doubts))
        self._show_hint()
        self._show_counts()
        self._show_saving()
        self._show_earlier()

    def _show_hint(self) -> None:
        state = self.state
        visibility = self._visibility
        self._enabled_parts.set_enabled(
            state.ready and visibility.visible and not visibility.waiting
        )
        self.name.offer(not visibility.visible)
        self.hint.show_text(
            next_step_message(state, self._why_not, visibility), visibility.pending
        )
        self.reader.setVisible(bool(state.labels))
        self.head.setVisible(state.total > 0 and state.annotations is not None)
        annotatable = bool(state.labels) and not state.nothing_to_annotate
        self.buttons.setVisible(annotatable)
        self.controls.setVisible(annotatable)

    def _show_counts(self) -> None:
        counts, reading = self.state.counts, self.state.annotations
        self.head.show_counts(counts, self.state.total)
        self.export.setEnabled(bool(counts.read or counts.noted))
        undo, redo = (reading.undoable, reading.redoable) if reading else (None, None)
        self.head.show_history(undo is not None, redo is not None)

    def _show_earlier(self) -> None:
        """Offer earlier annotations, as long as there are rows that they are for."""
        self.earlier.offer(self.state.adoptable if self.state.earlier else [])

    def _show_saving(self) -> None:
        """Show what is not saved: at once if saving fails, after a while if it is slow."""
        reading = self.state.annotations
        problem = unsaved_message(reading) if reading else ''
        if problem:
            self.message.show_error(problem)
            if not self._unsaved:
                scroll_up(self)
        elif self._unsaved:
            self.message.clear()
        self._unsaved = bool(problem)
        self.retry.setVisible(self._unsaved)
        slow = reading and reading.unsaved and not self._saving_timer.isActive()
        self.head.show_saving('saving…' if slow else '')

    def _connect(self) -> None:
        state = self.state
        state.changed.connect(self._show)
        state.labelled.connect(self._labelled)
        state.advanced.connect(self.advanced)
        state.revealed.connect(self.revealed)
        state.row_wanted.connect(self.row_wanted)
        state.refused.connect(self.message.show_error)
        self.saving_changed.connect(self._show_saving)
        self._saving_timer.timeout.connect(self._show_saving)
        self.name.wanted.connect(self.row_wanted)
        self.buttons.chosen.connect(self._choose)
        controls = self.controls
        controls.agree.clicked.connect(self.agree)
        controls.unsure.clicked.connect(self.mark_unsure)
        controls.unusable.chosen.connect(self._mark_unusable)
        controls.clear.clicked.connect(self._clear_label)
        controls.note.editingFinished.connect(self.finish_note)
        controls.note.returnPressed.connect(self.setFocus)
        controls.escape.activated.connect(self._leave_note)
        controls.previous.clicked.connect(lambda: self.step.emit(-1))
        controls.next.clicked.connect(lambda: self.step.emit(1))
        controls.auto_advance.toggled.connect(lambda on: setattr(state, 'auto_advance', on))
        self.export.wanted.connect(self.export_wanted)
        self.head.undo.clicked.connect(self.undo)
        self.head.redo.clicked.connect(self.redo)
        self.retry.clicked.connect(state.retry)
        self.earlier.wanted.connect(self.adopt_wanted)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        top: tuple[QWidget, ...] = (self.reader, self.message, self.retry, self.head, self.earlier)
        row = (self.name, self.hint, self.doubt, self.others, self.buttons, self.controls)
        for part in (*top, *row):
            layout.addWidget(part)
        self.others.hide()
