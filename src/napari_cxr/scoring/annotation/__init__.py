"""A person's labels for the rows of a table: kept beside it, and exported.

Here is what a person says of one image, and what one who agrees with the model would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from napari_cxr.scoring.score_row import ScoreRow

__all__ = [
    'NOT_USABLE_REASONS',
    'Annotation',
    'AnnotationCounts',
    'ReadingCircumstances',
    'model_annotation',
]

_HALF = 0.5

#: Why an image cannot be read at all, as a person is offered it.
NOT_USABLE_REASONS = (
    'poor exposure',
    'motion blur',
    'cut off',
    'rotated patient',
    'not frontal',
    'not a chest radiograph',
    'burnt-in marks',
    'other',
)


@dataclass(frozen=True, slots=True)
class ReadingCircumstances:
    """How an answer was given: to which image, how fast, and whether blinded.

    Parameters
    ----------
    image : str
        The image, as `napari_cxr.checkpoint.model_images.image_digest` names its file; empty
        if unknown.
    size : int
        Bytes of that file.
    seconds : float
        From the image on screen to the answer; 0 if unknown.
    blinded : bool
        Whether the model's answer was hidden until then.
    shown : bool
        Whether it is shown now.
    """

    image: str = ''
    size: int = 0
    seconds: float = 0.0
    blinded: bool = False
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a person says of one image.

    Parameters
    ----------
    labels : tuple of str
        Its classes, in the order of the model's; with several, there may be none.
    note : str
        In the person's own words.
    answer : {'', 'labels', 'unsure', 'unusable'}
        What the person has settled on: the labels, that it cannot be told, that the image
        cannot be used, or nothing yet.
    agreed : bool
        Whether the labels were the model's own.
    when : str
        The time of the last change in UTC, in ISO 8601.
    reason : str
        Why the image cannot be used.
    image, size, seconds, blinded, shown
        As of `ReadingCircumstances`, when the answer was given.
    """

    labels: tuple[str, ...] = ()
    note: str = ''
    answer: Literal['', 'labels', 'unsure', 'unusable'] = ''
    agreed: bool = False
    when: str = ''
    reason: str = ''
    image: str = ''
    size: int = 0
    seconds: float = 0.0
    blinded: bool = False
    shown: bool = False

    @property
    def read(self) -> bool:
        """Whether the person is done with it."""
        return bool(self.answer)

    @property
    def unsure(self) -> bool:
        """Whether it cannot be told."""
        return self.answer == 'unsure'

    @property
    def unusable(self) -> bool:
        """Whether the image cannot be used."""
        return self.answer == 'unusable'

    def to_dict(self) -> dict[str, Any]:
        """Return what is in it, fit for JSON; what is as it always was is left out."""
        later = {
            'reason': self.reason,
            'image': self.image,
            'size': self.size,
            'seconds': self.seconds,
            'blinded': self.blinded,
            'shown': self.shown,
        }
        return {
            'labels': list(self.labels),
            'note': self.note,
            'answer': self.answer,
            'agreed': self.agreed,
            'when': self.when,
            **{name: value for name, value in later.items() if value},
        }

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Annotation:
        """Read what `to_dict` returned."""
        return cls(**{**entries, 'labels': tuple(entries['labels'])})


@dataclass(frozen=True)
class AnnotationCounts:
    """How far a reading list is.

    Parameters
    ----------
    read : int
        Images that the person is done with.
    agreed : int
        Those of them with the model's own labels.
    unsure : int
        Those of them that cannot be told.
    noted : int
        Images with a note, read or not.
    unusable : int
        Those of them that cannot be used.
    """

    read: int = 0
    agreed: int = 0
    unsure: int = 0
    noted: int = 0
    unusable: int = 0

    @classmethod
    def of(cls, entries: Iterable[Annotation]) -> AnnotationCounts:
        """Count what was said."""
        said = list(entries)
        answers = [entry.answer for entry in said]
        return cls(
            read=len(answers) - answers.count(''),
            agreed=sum(entry.agreed for entry in said),
            unsure=answers.count('unsure'),
            noted=sum(bool(entry.note) for entry in said),
            unusable=answers.count('unusable'),
        )


def model_annotation(
    row: ScoreRow, labels: Sequence[str], *, multilabel: bool, decision: bool = False
) -> tuple[str, ...]:
    """Return what a person who agrees with the model would say of an image.

    Parameters
    ----------
    row : Row
        What the model said.
    labels : sequence of str
        Its classes.
    multilabel : bool
        Whether an image can have several: then those that reach their thresholds, in a table
        from before there were any those of at least one half; else the most probable one.
    decision : bool
        Whether the rows say which classes reach thresholds that were asked for; in a table
        from before there were others it is those.
    """
    if row.status != 'scored':
        return ()
    if not multilabel:
        return (row.label,)
    if row.answer:
        return tuple(label for label in labels if label in row.above)
    if decision:
        return tuple(label for label in labels if label in row.called)
    return tuple(label for label, p in zip(labels, row.probabilities, strict=True) if p >= _HALF)
