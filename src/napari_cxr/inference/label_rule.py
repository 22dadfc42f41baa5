"""How probabilities become a label, a sentence that gives the reason, and a measure of doubt.

The only place where probabilities become words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_cxr.metrics.calibration import normalised

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Card

__all__ = [
    'CANNOT_SAY',
    'NOTHING_ABOVE',
    'NO_CLASS',
    'NO_FINDING',
    'UNDECIDED_ANSWERS',
    'UNKNOWN_MARK',
    'LabelRule',
    'answer_reason',
    'known_and_unknown',
    'percent',
    'uncertainty',
]

#: The answer where a probability lies in the band in which a model does not decide.
CANNOT_SAY = 'cannot say'

#: The answer where classes exclude each other and the two most probable are nearly alike.
NO_CLASS = 'no class stands out'

#: The answers that are no label.
UNDECIDED_ANSWERS = (CANNOT_SAY, NO_CLASS)

#: The label of an image that has none of several findings, as in NIH ChestX-ray14; an image
#: of which nobody knows has none.
NO_FINDING = 'No finding'

#: Ends a label of which nobody knows whether the image has it: 'pneumonia|effusion?'.
UNKNOWN_MARK = '?'


def known_and_unknown(text: str) -> tuple[list[str], list[str]]:
    """Return the labels that an image was given, and those of which nobody knows.

    Parameters
    ----------
    text : str
        As of `napari_cxr.scoring.input_lists.Item`: 'pneumonia|effusion?'.
    """
    named = [name for name in text.split('|') if name]
    unknown = [name for name in named if name.endswith(UNKNOWN_MARK)]
    known = [name for name in named if name not in unknown]
    return known, [name.removesuffix(UNKNOWN_MARK) for name in unknown]


_HALF = 0.5


@dataclass(frozen=True)
class LabelRule:
    """How the probabilities of an image become a label and an answer.

    Of classes that exclude each other the most probable is the label, and the answer if it is
    more probable than the next one by a margin: the "margin" of active learning, best versus
    second best (Scheffer, Decomain and Wrobel, IDA 2001). Where an image can have
    several, each label is compared with its threshold: the label of the image is the one
    that is furthest above, by `napari_cxr.metrics.calibration.normalised`, or `negative` if
    none reaches its threshold.

    Parameters
    ----------
    labels : tuple of str
        In the order of the probabilities.
    multilabel : bool
        Whether an image can have several of them, or none.
    thresholds : tuple of float
        Of each label; empty for 0.5 each.
    negative : str
        The label of an image where no label reaches its threshold.
    undecided : mapping of str to (float, float)
        For labels that have it, the band of probabilities in which nothing is decided. It is
        stretched to a threshold outside of it, so that a higher probability never gets an answer
        that is further from the label.
    least_margin : float
        Without `multilabel`: the least by which the probability of the most probable class
        must exceed that of the next one, for the answer to be that class.
    """

    labels: tuple[str, ...]
    multilabel: bool = False
    thresholds: tuple[float, ...] = ()
    negative: str = ''
    undecided: Mapping[str, Sequence[float]] = field(default_factory=dict)
    least_margin: float = 0.0

    @classmethod
    def of_card(cls, card: Card) -> LabelRule:
        """Return the rule by which a model decides where a person asks for no other."""
        return cls(
            card.labels,
            card.multilabel,
            card.thresholds,
            card.negative_label,
            card.undecided,
            card.margin,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what decides, fit for JSON; nothing where the most probable class always does."""
        if not self.multilabel:
            return {'least_margin': self.least_margin} if self.least_margin else {}
        return {
            'thresholds': {label: self.threshold(label) for label in self.labels},
            'negative': self.negative,
            'undecided': {label: list(band) for label, band in self.undecided.items()},
        }

    @classmethod
    def from_dict(
        cls, labels: Sequence[str], multilabel: bool, entries: Mapping[str, Any]
    ) -> Self:
        """Return the rule that `to_dict` wrote; raises ValueError where it cannot be one."""
        if not entries:  # written before there was one
            return cls(tuple(labels), multilabel)
        if not multilabel:
            margin = entries.get('least_margin')
            if not isinstance(margin, int | float) or not 0 <= margin <= 1:
                raise ValueError('no rule of labels')
            return cls(tuple(labels), least_margin=float(margin))
        thresholds, undecided = entries.get('thresholds'), entries.get('undecided')
        if not (
            isinstance(thresholds, Mapping)
            and all(isinstance(thresholds.get(label), int | float) for label in labels)
            and isinstance(undecided, Mapping)
            and all(isinstance(band, Sequence) and len(band) == 2 for band in undecided.values())
        ):
            raise ValueError('no rule of labels')
        return cls(
            tuple(labels),
            multilabel,
            tuple(float(thresholds[label]) for label in labels),
            str(entries.get('negative', '')),
            dict(undecided),
        )

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Self:
        """Return the rule with other thresholds; a label that has none there keeps its own."""
        if not self.multilabel:
            return self
        found = tuple(thresholds.get(label, self.threshold(label)) for label in self.labels)
        return replace(self, thresholds=found)

    def is_negative(self, word: str) -> bool:
        """Return whether a label that an image was given says that it has none of the labels.

        That is `negative`, whatever its case and with '_' or '-' for spaces, as in names of
        folders; and 'No finding', as in NIH ChestX-ray14. A class of that name is itself.
        """
        plain = _plain(word)
        if not self.multilabel or plain in map(_plain, self.labels):
            return False
        return plain in (_plain(self.negative), _plain(NO_FINDING))

    def threshold(self, label: str) -> float:
        """Return the probability from which on a label is predicted."""
        return self.thresholds[self.labels.index(label)] if self.thresholds else _HALF

    def distances(self, probabilities: Sequence[float]) -> tuple[float, ...]:
        """Return how far each label is above its threshold, which is 0.5, or below it."""
        if not self.multilabel:
            return tuple(probabilities)
        return tuple(normalised(np.asarray(probabilities), self._all_thresholds).tolist())

    @cached_property
    def _all_thresholds(self) -> np.ndarray:
        return np.array([self.threshold(label) for label in self.labels])

    def ordered(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        """Return the labels from the furthest above its threshold to the furthest below."""
        distances = dict(zip(self.labels, self.distances(probabilities), strict=True))
        return tuple(sorted(self.labels, key=lambda label: -distances[label]))

    def above(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        """Return the labels that reach their thresholds, the furthest above first.

        Of classes that exclude each other it is the most probable one.
        """
        ordered = self.ordered(probabilities)
        if not self.multilabel:
            return ordered[:1]
        known = dict(zip(self.labels, probabilities, strict=True))
        return tuple(label for label in ordered if known[label] >= self.threshold(label))

    def leading(self, probabilities: Sequence[float]) -> str:
        """Return the label that is furthest above its threshold or the least below it."""
        return self.ordered(probabilities)[0]

    def label(self, probabilities: Sequence[float]) -> str:
        """Return the label of an image; `negative` where no label reaches its threshold."""
        above = self.above(probabilities)
        return above[0] if above else self.negative

    def in_doubt(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        """Return the labels whose band keeps the answer from being given.

        That is the label of the image where its probability lies in its own band. Where no
        label reaches its threshold, it is each that lies in its band: only if all are surely
        absent is there nothing.
        """
        if not self.multilabel:
            return ()
        known = dict(zip(self.labels, probabilities, strict=True))
        deciding = self.above(probabilities)[:1] or self.ordered(probabilities)
        return tuple(label for label in deciding if self.in_uncertain_band(label, known[label]))

    @property
    def undecided_answer(self) -> str:
        """The answer that is no label, if this rule can give one; else empty."""
        if self.multilabel:
            return CANNOT_SAY if self.undecided else ''
        return NO_CLASS if self.least_margin else ''

    def margin(self, probabilities: Sequence[float]) -> float:
        """Return by how much the most probable class exceeds the next one."""
        best, second = sorted(probabilities)[-1:-3:-1]
        return best - second

    def near_tie(self, probabilities: Sequence[float]) -> bool:
        """Return whether classes exclude each other and none of them stands out."""
        # Probabilities have 7 digits in a table, and must mean the same there.
        return (
            not self.multilabel
            and len(self.labels) > 1
            and round(self.margin(probabilities), 6) < self.least_margin
        )

    def answer(self, probabilities: Sequence[float]) -> str:
        """Return the label of an image, or why there is none.

        That is `CANNOT_SAY` where the model does not decide, and `NO_CLASS` where the most
        probable class does not stand out.
        """
        if self.near_tie(probabilities):
            return NO_CLASS
        return CANNOT_SAY if self.in_doubt(probabilities) else self.label(probabilities)

    def band(self, label: str) -> tuple[float, float] | None:
        """Return between which probabilities of a label nothing is decided; None for no band.

        It is stretched to a threshold outside of it, which another operating point may have.
        """
        if label not in self.undecided:
            return None
        low, high = self.undecided[label]
        threshold = self.threshold(label)
        return min(low, threshold), max(high, threshold)

    def in_uncertain_band(self, label: str, probability: float) -> bool:
        """Return whether a probability of a label lies where nothing is decided."""
        band = self.band(label)
        if band is None:
            return False
        # At a threshold the label is predicted, and what is more probable is in doubt.
        at_the_edge = probability == band[0] == self.threshold(label)
        return (band[0] < probability or at_the_edge) and probability < band[1]


def _plain(word: str) -> str:
    return ' '.join(word.replace('_', ' ').replace('-', ' ').casefold().split())


NOTHING_ABOVE = 'Nothing is above its threshold.'


def answer_reason(rule: LabelRule, probabilities: Sequence[float]) -> str:
    """Say why an image got its answer; nothing where that is a class that stands out.

    Parameters
    ----------
    rule : LabelRule
        How the answer came about.
    probabilities : sequence of float
        Of each label.

    Returns
    -------
    str
        For instance 'The probability of opacity, 62 %, is above its threshold, 41 %.'
    """
    if rule.near_tie(probabilities):
        first, second = rule.ordered(probabilities)[:2]
        apart, needed = _distinct_points(rule.margin(probabilities), rule.least_margin)
        return (
            f'{first} and {second} are {apart} points apart, and this model needs {needed} to '
            'name a class.'
        )
    if not rule.multilabel:
        return ''
    known = dict(zip(rule.labels, probabilities, strict=True))
    if doubtful := rule.in_doubt(probabilities):
        label = doubtful[0]
        band = rule.band(label)
        assert band is not None
        (p_low, low), (p_high, high) = (distinct_percents(known[label], end) for end in band)
        return (
            f'The probability of {label}, {max(p_low, p_high, key=len)}, lies between {low} '
            f'and {high}, where this model does not decide.'
        )
    above = rule.above(probabilities)
    if len(rule.labels) > 1:
        if not above:
            return NOTHING_ABOVE
        return (
            f'{len(above)} of {len(rule.labels)} findings {"is" if len(above) == 1 else "are"} '
            f'above {"its threshold" if len(above) == 1 else "their thresholds"}.'
        )
    (label,) = rule.labels
    where = 'above' if above else 'below'
    # Two numbers that read the same must not be called above or below.
    p, threshold = distinct_percents(known[label], rule.threshold(label))
    return f'The probability of {label}, {p}, is {where} its threshold, {threshold}.'


def _distinct_points(p: float, q: float) -> tuple[str, str]:
    """Return two differences in percentage points with as few digits as tell them apart."""
    for digits in range(1, 4):
        first, second = (f'{100 * each:.{digits}f}'.rstrip('0').rstrip('.') for each in (p, q))
        if first != second:
            break
    return first, second


def percent(p: float, digits: int = 0) -> str:
    """Return a probability in per cent."""
    return f'{100 * p:.{digits}f}\u00a0%'


def distinct_percents(p: float, q: float) -> tuple[str, str]:
    """Return two probabilities with as few digits as tell them apart, at most three."""
    for digits in range(3):
        if (first := percent(p, digits)) != (second := percent(q, digits)):
            return first, second
    return percent(p, 3), percent(q, 3)


def uncertainty(
    probabilities: np.ndarray, multilabel: bool, thresholds: Sequence[float] = ()
) -> np.ndarray:
    """Return the entropy of each answer, as a fraction of its largest possible value.

    This is uncertainty sampling by entropy: B. Settles, Active Learning Literature Survey,
    Computer Sciences Technical Report 1648, University of Wisconsin-Madison, 2009, section
    3.1: H = -sum p_k log p_k, here divided by log K. With several labels each class is a
    question of its own, so the mean of K binary entropies is taken, each divided by log 2.

    Parameters
    ----------
    probabilities : array_like, shape (n, K)
        Of each image and class; NaN where an image has none.
    multilabel : bool
        Whether an image can have several classes.
    thresholds : sequence of float
        With `multilabel`, from which probability on each class is predicted; by default one half.
        A class is least certain at its threshold, so entropies are of probabilities that are
        moved so far that it becomes one half, see `napari_cxr.metrics.normalised`.

    Returns
    -------
    ndarray of float64, shape (n,)
        From 0, where the model is certain, to 1, where all classes are alike to it; NaN where
        an image has no probabilities.

    Raises
    ------
    ValueError
        If `probabilities` has not two dimensions.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2:
        raise ValueError(f'Probabilities have 2 dimensions, not {p.ndim}.')
    known = p.shape[1] > 0 and np.isfinite(p).all(axis=1)
    p = np.clip(np.nan_to_num(p), 0.0, 1.0)
    if multilabel:
        if len(thresholds):
            p = normalised(p, np.asarray(thresholds))
        entropy = (_bits(p) + _bits(1 - p)).mean(axis=1) if p.shape[1] else np.zeros(len(p))
    else:
        entropy = _bits(p).sum(axis=1) / max(np.log2(max(p.shape[1], 1)), 1.0)
    return np.where(known, np.clip(entropy, 0.0, 1.0), np.nan)


def _bits(p: np.ndarray) -> np.ndarray:
    """Return -p log2 p, which is 0 for 0."""
    return -p * np.log2(np.where(p > 0, p, 1.0))
