"""The row that is being annotated: what a person says of it, and the sentences about its state.

It knows nothing of widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import QObject, Signal

from napari_cxr.inference.label_rule import CANNOT_SAY
from napari_cxr.scoring.annotation import Annotation, AnnotationCounts, model_annotation
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.score_row import ScoreRow

__all__ = [
    'AnnotationState',
    'RowVisibility',
    'end_of_table_message',
    'next_step_message',
    'refusal_message',
    'unsaved_message',
]


class AnnotationState(QObject):
    """Keeps a reading list in step with what a person does; knows nothing of widgets.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.

    Attributes
    ----------
    labels : tuple of str
        The classes of the table; empty while there is none.
    multilabel : bool
        Whether an image can have several of them.
    negative : str
        The word for an image that has none of several; empty where there is none.
    reading : ReadingList or None
        Where the labels go.
    row : Row or None
        The row on show.
    failed : int
        Rows of the table that were not scored.
    going_on : bool
        Whether the next row is wanted as soon as one has its label.
    """

    #: What there is to show is another thing now.
    changed = Signal()
    #: The path of a row of which something else is said now.
    labelled = Signal(str)
    #: The next row is wanted (1), or the one before (-1).
    step = Signal(int)
    #: The path of a row that is wanted, because something was taken back there.
    row_wanted = Signal(str)
    #: Why a change could not be saved.
    refused = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.labels: tuple[str, ...] = ()
        self.multilabel = False
        self.negative = ''
        self.reading: ReadingList | None = None
        self.row: ScoreRow | None = None
        self.failed = 0
        self.going_on = True
        self._decision = False
        self._paths: set[str] = set()

    def start(
        self, labels: Sequence[str], multilabel: bool, decision: bool, negative: str = ''
    ) -> None:
        """Begin with another table, as yet without a reading list."""
        self.labels, self.multilabel, self._decision = tuple(labels), multilabel, decision
        self.negative = negative if multilabel else ''
        self.reading, self.row, self.failed = None, None, 0
        self._paths.clear()

    def add(self, rows: Iterable[ScoreRow]) -> None:
        """Count rows of the table among those to read."""
        for row in rows:
            if row.status == 'scored':
                self._paths.add(row.path)
            else:
                self.failed += 1

    def show_row(self, row: ScoreRow | None) -> None:
        """Take another row, or none."""
        self.row = row
        self.changed.emit()

    @property
    def total(self) -> int:
        """How many images there are to read."""
        return len(self._paths)

    @property
    def counts(self) -> AnnotationCounts:
        """How far the reading of this table is."""
        return AnnotationCounts() if self.reading is None else self.reading.counts(self._paths)

    @property
    def entry(self) -> Annotation:
        """What the person says of the row; an empty one if nothing."""
        if self.reading is None or self.row is None:
            return Annotation()
        return self.reading.get(self.row.path) or Annotation()

    @property
    def models(self) -> tuple[str, ...]:
        """What the model says of the row."""
        if self.row is None:
            return ()
        return model_annotation(
            self.row, self.labels, multilabel=self.multilabel, decision=self._decision
        )

    @property
    def choices(self) -> tuple[str, ...]:
        """What a person can choose from: the classes, and the word for none of them."""
        return (*self.labels, *([self.negative] if self.negative else ()))

    @property
    def chosen(self) -> tuple[str, ...]:
        """What of `choices` the person has put down."""
        return self._as_choices(self.entry.labels) if self.entry.answer == 'labels' else ()

    @property
    def models_choices(self) -> tuple[str, ...]:
        """What of `choices` the model says; nothing where it cannot say."""
        if self.row is None or self.row.status != 'scored' or self.is_undecided:
            return ()
        return self._as_choices(self.models)

    @property
    def is_undecided(self) -> bool:
        """Whether the model does not decide about the row."""
        return self.row is not None and self.row.answer == CANNOT_SAY

    @property
    def ready(self) -> bool:
        """Whether there is an image to read, and a list to put it down."""
        return self.reading is not None and self.row is not None and self.row.status == 'scored'

    def choose(self, label: str) -> None:
        """Put a class down; one of several that is there already is taken away."""
        if self.negative and label == self.negative:
            self._put_down(())
        elif not self.multilabel or (self.negative and len(self.labels) == 1):
            self._put_down((label,))
        else:
            there = set(self.entry.labels) ^ {label}
            self._put_down([name for name in self.labels if name in there], go_on=False)

    def agree(self) -> None:
        """Put down what the model says; where it cannot say, that the person is unsure too."""
        if self.is_undecided:
            self.say_unsure()
        else:
            self._put_down(self.models)

    def say_unsure(self) -> None:
        """Put down that the image was read and cannot be told."""
        if self.ready:
            self._change(lambda reading, path: reading.unsure(path), go_on=True)

    def clear(self) -> None:
        """Take the person's answer away; the note stays."""
        if self.ready:
            self._change(lambda reading, path: reading.clear(path))

    def note(self, text: str) -> None:
        """Put words down; nothing happens if they are there already."""
        if text.strip() != self.entry.note:
            self._change(lambda reading, path: reading.note(path, text))

    def undo(self) -> None:
        """Take back the last change, and ask for the row that it was about."""
        if self.reading is not None:
            self._take_back(self.reading.undoable, self.reading.undo)

    def redo(self) -> None:
        """Make the change again that was undone last, and ask for its row."""
        if self.reading is not None:
            self._take_back(self.reading.redoable, self.reading.redo)

    def retry(self) -> None:
        """Try again to save what is not saved yet."""
        if self.reading is not None:
            self.reading.retry()

    def _put_down(self, labels: Sequence[str], go_on: bool = True) -> None:
        if self.ready:
            agreed = tuple(labels) == self.models and not self.is_undecided
            self._change(
                lambda reading, path: reading.set(path, labels, agreed=agreed), go_on=go_on
            )

    def _as_choices(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return labels or ((self.negative,) if self.negative else ())

    def _take_back(self, path: str | None, take_back: Callable[[], object]) -> None:
        if path is None or not self._made(take_back):
            return
        self.changed.emit()
        self.labelled.emit(path)
        if self.row is None or self.row.path != path:
            self.row_wanted.emit(path)

    def _change(self, change: Callable[[ReadingList, str], object], go_on: bool = False) -> None:
        if self.reading is None or self.row is None:
            return
        reading, path = self.reading, self.row.path
        made = self._made(lambda: change(reading, path))
        self.changed.emit()
        if made:
            self.labelled.emit(path)
            if go_on and self.going_on:
                self.step.emit(1)

    def _made(self, change: Callable[[], object]) -> bool:
        try:
            change()
        except ScoringError as error:
            self.refused.emit(str(error))
            return False
        return True


_NOT_ON_SCREEN = 'Not on screen: '


@dataclass(frozen=True)
class RowVisibility:
    """What there is to see of the row on show.

    Parameters
    ----------
    seen : bool
        Whether its image is on screen, or is about to be.
    coming : bool
        Whether nobody can have seen it yet. What is said so soon is about the image before.
    awaited : bool
        Whether it was not there at once, so that nothing is on screen meanwhile.
    problem : str
        Why it cannot be shown, or not with its heatmap; empty if it can, or nobody tried.
    """

    seen: bool = True
    coming: bool = False
    awaited: bool = False
    problem: str = ''


def next_step_message(reads: AnnotationState, why_not: str, sight: RowVisibility) -> str:
    """Return where the reading stands, or what to do next.

    Parameters
    ----------
    reads : ReadingRow
        With the row on show.
    why_not : str
        Why there is no reading list, where there is none.
    sight : Sight
        What there is to see.
    """
    words, problem = _answer_text(reads, why_not), sight.problem
    if reads.row is None or reads.reading is None:
        return words
    if problem:
        return (
            words
            if problem in words
            else f'{words} {"" if sight.seen else _NOT_ON_SCREEN}{problem}'
        )
    if sight.awaited:
        return f'{words} Its image is coming…'
    return words if sight.seen else f'{words} {_NOT_ON_SCREEN}Enter opens it.'


def refusal_message(coming: bool) -> str:
    """Return what is said where a row was to be labelled before anybody could see it."""
    if coming:
        return 'Not labelled: its image is still to come.'
    return 'What was said before its image came was not taken.'


def end_of_table_message(reads: AnnotationState) -> str:
    """Return what to do where there is no further row."""
    left = reads.total - reads.counts.read
    if not left:
        return 'This is the last row, and all images are read.'
    return f'This is the last row. Filter above for those not read: {left:,} of {reads.total:,}.'


def unsaved_message(reading: ReadingList) -> str:
    """Return what is not on the disk and why; empty where nothing is known to prevent it."""
    unsaved, problem = reading.unsaved, reading.problem
    if not (unsaved and problem):
        return ''
    changes = '1 change is' if unsaved == 1 else f'{unsaved:,} changes are'
    return (
        f'{changes} not saved: {reading.path} cannot be written ({problem}). Make room, or '
        'connect its drive again; until then do not close napari.'
    )


def _answer_text(reads: AnnotationState, why_not: str) -> str:
    row, entry = reads.row, reads.entry
    if not reads.labels:
        return 'Nothing to read yet: score a folder, or open a table.'
    if reads.reading is None:
        return why_not or 'Opening the reading list…'
    if row is None:
        if reads.failed and not reads.total:
            return 'No image of this table could be scored, so there is nothing to read.'
        return 'Choose a row of the table to read it.'
    if row.status != 'scored':
        return f'This file was not scored: {row.error}'
    if entry.unsure:
        return f'You are unsure{", and the model cannot say" if reads.is_undecided else ""}.'
    if not entry.read:
        return 'Not read yet.'
    yours = _joined_labels(reads.chosen)
    if entry.agreed:
        return f'Your answer: {yours}, as the model.'
    if reads.is_undecided:
        return f'Your answer: {yours}. The model cannot say.'
    if reads.multilabel and len(reads.labels) > 1:
        # What the model says can be long, and stands on the buttons.
        return f'Your answer: {yours}, not as the model.'
    return f'Your answer: {yours}. The model says {_joined_labels(reads.models_choices)}.'


def _joined_labels(labels: tuple[str, ...]) -> str:
    return ', '.join(labels) or 'none of these'
