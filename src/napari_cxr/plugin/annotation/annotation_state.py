"""The state of annotation: the current row, its labels, and messages about it.

Independent of widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from qtpy.QtCore import QObject, Signal

from napari_cxr.inference.label_rule import NO_CLASS, UNDECIDED_ANSWERS
from napari_cxr.scoring.annotation import (
    Annotation,
    AnnotationCounts,
    ReadingCircumstances,
    model_annotation,
)
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
    """Updates a reading list as the user annotates rows; independent of widgets.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.

    Attributes
    ----------
    labels : tuple of str
        The classes of the table; empty without a table.
    multilabel : bool
        Whether an image can have more than one of them.
    negative : str
        With several labels, the class for none of them; empty if there is no such class.
    annotations : ReadingList or None
        Where labels are saved.
    row : ScoreRow or None
        The current row.
    failed : int
        Number of rows that failed.
    complete : bool
        Whether no more rows are to come.
    earlier : mapping of str to Annotation
        Annotations of the same images in other tables, by their path.
    auto_advance : bool
        Whether the next row is opened as soon as one has a label.
    reveals_doubtful : bool
        Whether the predictions of doubtful images are shown.
    blinded : bool
        Whether the model's answer is hidden.
    reveals_after : bool
        Whether it is shown once the user has answered, if it is hidden.
    circumstances : callable
        Returns which image is on screen and for how long.
    """

    #: The row or its annotation has changed.
    changed = Signal()
    #: The annotation of a row has changed: its path.
    labelled = Signal(str)
    #: The row has a label, and the next one that can be annotated is to be opened.
    advanced = Signal()
    #: A row is to be opened, because a change of it was undone or redone: its path.
    row_wanted = Signal(str)
    #: The answer of the model is shown now, after that of the user.
    revealed = Signal()
    #: A change could not be saved: the reason.
    refused = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.labels: tuple[str, ...] = ()
        self.multilabel = False
        self.negative = ''
        self.annotations: ReadingList | None = None
        self.row: ScoreRow | None = None
        self.failed = 0
        self.complete = False
        self.earlier: Mapping[str, Annotation] = {}
        self.auto_advance = True
        self.reveals_doubtful = False
        self.blinded = False
        self.reveals_after = True
        self.circumstances: Callable[[], ReadingCircumstances] = ReadingCircumstances
        self._decision = False
        self._paths: set[str] = set()

    def start(
        self, labels: Sequence[str], multilabel: bool, decision: bool, negative: str = ''
    ) -> None:
        """Start with another table, without a reading list yet."""
        self.labels, self.multilabel, self._decision = tuple(labels), multilabel, decision
        self.negative = negative if multilabel else ''
        self.annotations, self.row, self.failed, self.complete = None, None, 0, False
        self.earlier = {}
        self.reveals_doubtful = False
        self._paths.clear()

    def add(self, rows: Iterable[ScoreRow]) -> None:
        """Count rows of the table."""
        for row in rows:
            if row.status == 'scored':
                self._paths.add(row.path)
            else:
                self.failed += 1

    def show_row(self, row: ScoreRow | None) -> None:
        """Change to another row, or none."""
        self.row = row
        self.changed.emit()

    @property
    def adoptable(self) -> list[str]:
        """Paths of the rows that have an earlier annotation, and none here."""
        here = self.annotations
        if here is None:
            return []
        return [path for path in self.earlier if path in self._paths and here.get(path) is None]

    @property
    def nothing_to_annotate(self) -> bool:
        """Whether all files of the table failed."""
        return self.complete and self.failed > 0 and not self._paths

    @property
    def total(self) -> int:
        """Number of images that can be annotated."""
        return len(self._paths)

    @property
    def counts(self) -> AnnotationCounts:
        """How many of them are annotated."""
        return (
            AnnotationCounts()
            if self.annotations is None
            else self.annotations.counts(self._paths)
        )

    @property
    def entry(self) -> Annotation:
        """Annotation of the row; an empty one if it has none."""
        if self.annotations is None or self.row is None:
            return Annotation()
        return self.annotations.get(self.row.path) or Annotation()

    @property
    def predicted(self) -> tuple[str, ...]:
        """Labels that the model predicts for the row."""
        return () if self.row is None else self._predicted_for(self.row)

    @property
    def choices(self) -> tuple[str, ...]:
        """The classes to choose from, including the negative one."""
        return (*self.labels, *([self.negative] if self.negative else ()))

    @property
    def chosen(self) -> tuple[str, ...]:
        """Those of `choices` that the user has chosen."""
        return self._as_choices(self.entry.labels) if self.entry.answer == 'labels' else ()

    @property
    def predicted_choices(self) -> tuple[str, ...]:
        """Those of `choices` that the model predicts; none where it is undecided or withheld."""
        if self.row is None or self.row.status != 'scored' or self.is_undecided:
            return ()
        if self.is_withheld:
            return ()
        return self._as_choices(self.predicted)

    @property
    def is_undecided(self) -> bool:
        """Whether the model is undecided about the row."""
        return self.row is not None and self.row.answer in UNDECIDED_ANSWERS

    @property
    def is_withheld(self) -> bool:
        """Whether the prediction is withheld: the image is doubtful, or it is read blinded."""
        return self.is_doubtful or self.is_hidden

    @property
    def is_doubtful(self) -> bool:
        """Whether the prediction is withheld because the image is doubtful."""
        return self.row is not None and bool(self.row.doubts) and not self.reveals_doubtful

    @property
    def is_hidden(self) -> bool:
        """Whether the prediction is hidden because the row is read blinded."""
        return self.row is not None and self.hides(self.row)

    def hides(self, row: ScoreRow) -> bool:
        """Return whether the prediction of a row is hidden, because it is read blinded."""
        if not self.blinded:
            return False
        here = self.annotations
        return not (self.reveals_after and here is not None and here.was_shown(row.path))

    @property
    def is_done_apart(self) -> bool:
        """Whether an answer of several findings is finished by a button of its own."""
        return self.blinded and self.multilabel and len(self.labels) > 1

    @property
    def ready(self) -> bool:
        """Whether the row can be annotated: it was scored, and there is a reading list."""
        return (
            self.annotations is not None and self.row is not None and self.row.status == 'scored'
        )

    def choose(self, label: str) -> None:
        """Choose a class; with several labels, choosing it again removes it."""
        if self.negative and label == self.negative:
            self._record(())
        elif not self.multilabel or (self.negative and len(self.labels) == 1):
            self._record((label,))
        else:
            there = set(self.entry.labels) ^ {label}
            self._record([name for name in self.labels if name in there], advance=False)

    def agree(self) -> None:
        """Take the labels of the model; mark the row as unsure where the model is undecided.

        Nobody can agree with a prediction that is withheld. Where an image can have several
        findings and is read blinded, this finishes the answer.
        """
        if self.is_done_apart and self.is_hidden:
            self._record(self.entry.labels)
            return
        if self.is_withheld:
            return
        if self.is_undecided:
            self.mark_unsure()
        else:
            self._record(self.predicted)

    def mark_unsure(self) -> None:
        """Mark the row as one that cannot be labelled."""
        if self.ready:
            how = self._how(finished=True)
            self._change(lambda reading, path: reading.unsure(path, how), advance=True)

    def mark_unusable(self, reason: str) -> None:
        """Mark the row as one that cannot be used, and why."""
        if self.ready:
            how = self._how(finished=True)
            self._change(lambda reading, path: reading.unusable(path, reason, how), advance=True)

    def clear(self) -> None:
        """Remove the label; the note stays."""
        if self.ready:
            self._change(lambda reading, path: reading.clear(path))

    def note(self, text: str) -> None:
        """Save a note, unless it is the same as before."""
        if text.strip() != self.entry.note:
            self._change(lambda reading, path: reading.note(path, text))

    def undo(self) -> None:
        """Undo the last change, and ask for its row to be opened."""
        if self.annotations is not None:
            self._revert(self.annotations.undoable, self.annotations.undo)

    def redo(self) -> None:
        """Redo the change that was undone last, and ask for its row to be opened."""
        if self.annotations is not None:
            self._revert(self.annotations.redoable, self.annotations.redo)

    def adopt(self, rows: Iterable[ScoreRow]) -> None:
        """Take over the earlier annotations of rows that have none here."""
        here, wanted = self.annotations, set(self.adoptable)
        if here is None:
            return
        try:
            for row in rows:
                if row.path in wanted:
                    self._adopt(here, row, self.earlier[row.path])
        except ScoringError as error:
            self.refused.emit(str(error))
        self.changed.emit()

    def _adopt(self, here: ReadingList, row: ScoreRow, entry: Annotation) -> None:
        if entry.answer == 'labels':
            predicted = self._predicted_for(row)
            # Whether the user agrees is about the model of this table.
            agreed = set(entry.labels) == set(predicted) and row.answer not in UNDECIDED_ANSWERS
            entry = replace(entry, agreed=agreed)
        here.take(row.path, entry)

    def retry(self) -> None:
        """Try again to save changes that are not saved yet."""
        if self.annotations is not None:
            self.annotations.retry()

    def _record(self, labels: Sequence[str], advance: bool = True) -> None:
        if self.ready:
            hidden = self.is_undecided or self.is_doubtful
            agreed = tuple(labels) == self.predicted and not hidden
            how = self._how(finished=advance)
            self._change(
                lambda reading, path: reading.set(path, labels, agreed=agreed, how=how),
                advance=advance,
            )

    def _how(self, *, finished: bool) -> ReadingCircumstances:
        """Return how an answer is given now."""
        hidden = self.is_hidden
        shown = hidden and self.reveals_after and finished
        return replace(self.circumstances(), blinded=hidden, shown=shown)

    def _predicted_for(self, row: ScoreRow) -> tuple[str, ...]:
        return model_annotation(
            row, self.labels, multilabel=self.multilabel, decision=self._decision
        )

    def _as_choices(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return labels or ((self.negative,) if self.negative else ())

    def _revert(self, path: str | None, revert: Callable[[], object]) -> None:
        if path is None or not self._apply(revert):
            return
        self.changed.emit()
        self.labelled.emit(path)
        if self.row is None or self.row.path != path:
            self.row_wanted.emit(path)

    def _change(self, change: Callable[[ReadingList, str], object], advance: bool = False) -> None:
        if self.annotations is None or self.row is None:
            return
        reading, path = self.annotations, self.row.path
        was_hidden = self.is_hidden
        applied = self._apply(lambda: change(reading, path))
        self.changed.emit()
        if applied:
            self.labelled.emit(path)
            if was_hidden and not self.is_hidden:
                self.revealed.emit()
            elif advance and self.auto_advance:
                self.advanced.emit()

    def _apply(self, change: Callable[[], object]) -> bool:
        try:
            change()
        except ScoringError as error:
            self.refused.emit(str(error))
            return False
        return True


_NOT_ON_SCREEN = 'Not on screen: '


@dataclass(frozen=True)
class RowVisibility:
    """Whether the image of the current row is on screen.

    Parameters
    ----------
    visible : bool
        Whether it is on screen, or about to be.
    pending : bool
        Whether the user cannot have seen it yet: a key pressed now is about the previous image.
    waiting : bool
        Whether it is still being loaded, and nothing is on screen meanwhile.
    problem : str
        Why it cannot be shown, or not with its heatmap; otherwise empty.
    """

    visible: bool = True
    pending: bool = False
    waiting: bool = False
    problem: str = ''


def next_step_message(state: AnnotationState, why_not: str, visibility: RowVisibility) -> str:
    """Return the state of the annotation of the row, or what to do next.

    Parameters
    ----------
    state : AnnotationState
        The row and its annotation.
    why_not : str
        Why there is no reading list; empty if there is one, or it is still being opened.
    visibility : RowVisibility
        Whether the image is on screen.
    """
    text, problem = _answer_text(state, why_not), visibility.problem
    if state.row is None or state.annotations is None:
        return text
    if problem:
        return (
            text
            if problem in text
            else f'{text} {"" if visibility.visible else _NOT_ON_SCREEN}{problem}'
        )
    if visibility.waiting:
        return f'{text} Loading the image…'
    return text if visibility.visible else f'{text} {_NOT_ON_SCREEN}Enter opens it.'


def refusal_message(pending: bool) -> str:
    """Return why a label was refused: the image was not visible yet."""
    if pending:
        return 'Not labelled: the image is still loading.'
    return 'The label was ignored, because the image was not visible yet.'


def end_of_table_message(state: AnnotationState) -> str:
    """Return what to do after the last row."""
    left = state.total - state.counts.read
    if not left:
        return 'This is the last row, and all images are annotated.'
    return (
        'This is the last row. Filter the table for those not annotated yet: '
        f'{left:,} of {state.total:,}.'
    )


def unsaved_message(reading: ReadingList) -> str:
    """Return how many changes are not saved and why; empty if saving does not fail."""
    unsaved, problem = reading.unsaved, reading.problem
    if not (unsaved and problem):
        return ''
    changes = '1 change is' if unsaved == 1 else f'{unsaved:,} changes are'
    return (
        f'{changes} not saved: {reading.path} cannot be written ({problem}). Free some disk '
        'space or reconnect the drive, and do not close napari until then.'
    )


def _answer_text(state: AnnotationState, why_not: str) -> str:
    row, entry = state.row, state.entry
    if not state.labels:
        return 'Nothing to annotate yet. Score a folder, or open a table.'
    if state.annotations is None:
        return why_not or 'Opening the reading list…'
    if row is None:
        if state.nothing_to_annotate:
            return 'All files of this table failed, so there is nothing to annotate.'
        if not state.total:
            return 'No image has been scored yet.'
        return 'Choose a row of the table to annotate it.'
    if row.status != 'scored':
        return f'This file failed, so it cannot be labelled: {row.error}'
    if entry.unusable:
        return f'Not usable: {entry.reason}.' if entry.reason else 'Not usable.'
    if entry.unsure and state.is_hidden:
        return 'You are unsure.'
    if entry.unsure:
        return f'You are unsure{f", and {_undecided(row)}" if state.is_undecided else ""}.'
    if not entry.read:
        return 'Not annotated yet.'
    yours = _joined_labels(state.chosen)
    if state.is_withheld:
        return f'Your label: {yours}.'
    if entry.agreed:
        return f'Your label: {yours}, as predicted.'
    if state.is_undecided:
        said = _undecided(row)
        return f'Your label: {yours}. {said[0].upper()}{said[1:]}.'
    if state.multilabel and len(state.labels) > 1:
        # The predicted labels can be many, and are shown on the buttons.
        return f'Your labels: {yours}, not as predicted.'
    return f'Your label: {yours}. Predicted: {_joined_labels(state.predicted_choices)}.'


def _undecided(row: ScoreRow) -> str:
    """Return the answer of a row that is no label, in a sentence."""
    return row.answer if row.answer == NO_CLASS else f'the model {row.answer}'


def _joined_labels(labels: tuple[str, ...]) -> str:
    return ', '.join(labels) or 'none of these'
