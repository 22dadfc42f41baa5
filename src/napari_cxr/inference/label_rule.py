"""Which label an image gets: the one place where probabilities become words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_cxr.metrics.calibration import normalised

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Card

__all__ = ['CANNOT_SAY', 'NO_FINDING', 'LabelRule']

#: The answer where a probability lies in the band in which a model does not decide.
CANNOT_SAY = 'cannot say'
#: The label of an image that has none of several findings, as in NIH ChestX-ray14; an image
#: of which nobody knows has none.
NO_FINDING = 'No finding'
_HALF = 0.5


@dataclass(frozen=True)
class LabelRule:
    """How the probabilities of an image become a label and an answer.

    Of classes that exclude each other the most probable is the label. Where an image can have
    `several`, each label is compared with its threshold: the label of the image is the one
    that is furthest above, by `napari_cxr.metrics.calibration.normalised`, or `negative` if
    none reaches its threshold.

    Parameters
    ----------
    labels : tuple of str
        In the order of the probabilities.
    several : bool
        Whether an image can have several of them, or none.
    thresholds : tuple of float
        Of each label; empty for 0.5 each.
    negative : str
        What is said where no label reaches its threshold.
    undecided : mapping of str to (float, float)
        For labels that have it, the band of probabilities in which nothing is decided. It is
        stretched to a threshold outside of it, so that a higher probability never gets an answer
        that is further from the label.
    """

    labels: tuple[str, ...]
    several: bool = False
    thresholds: tuple[float, ...] = ()
    negative: str = ''
    undecided: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of_card(cls, card: Card) -> LabelRule:
        """Return the rule by which a model decides where a person asks for no other."""
        return cls(card.labels, card.several, card.thresholds, card.negative_label, card.undecided)

    def to_dict(self) -> dict[str, Any]:
        """Return what decides, fit for JSON; nothing where classes exclude each other."""
        if not self.several:
            return {}
        return {
            'thresholds': {label: self.threshold(label) for label in self.labels},
            'negative': self.negative,
            'undecided': {label: list(band) for label, band in self.undecided.items()},
        }

    @classmethod
    def from_dict(cls, labels: Sequence[str], several: bool, entries: Mapping[str, Any]) -> Self:
        """Return the rule that `to_dict` wrote; raises ValueError where it cannot be one."""
        if not entries:  # written before there was one
            return cls(tuple(labels), several)
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
            several,
            tuple(float(thresholds[label]) for label in labels),
            str(entries.get('negative', '')),
            dict(undecided),
        )

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Self:
        """Return the rule with other thresholds; a label that has none there keeps its own."""
        if not self.several:
            return self
        found = tuple(thresholds.get(label, self.threshold(label)) for label in self.labels)
        return replace(self, thresholds=found)

    def is_negative(self, word: str) -> bool:
        """Return whether a label that an image was given says that it has none of the labels.

        That is `negative`, whatever its case and with '_' or '-' for spaces, as in names of
        folders; and 'No finding', as in NIH ChestX-ray14. A class of that name is itself.
        """
        plain = _plain(word)
        if not self.several or plain in map(_plain, self.labels):
            return False
        return plain in (_plain(self.negative), _plain(NO_FINDING))

    def threshold(self, label: str) -> float:
        """Return the probability from which on a label is predicted."""
        return self.thresholds[self.labels.index(label)] if self.thresholds else _HALF

    def distances(self, probabilities: Sequence[float]) -> tuple[float, ...]:
        """Return how far each label is above its threshold, which is 0.5, or below it."""
        if not self.several:
            return tuple(probabilities)
        thresholds = np.array([self.threshold(label) for label in self.labels])
        return tuple(float(d) for d in normalised(np.asarray(probabilities), thresholds))

    def ordered(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        """Return the labels from the furthest above its threshold to the furthest below."""
        distances = dict(zip(self.labels, self.distances(probabilities), strict=True))
        return tuple(sorted(self.labels, key=lambda label: -distances[label]))

    def above(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        """Return the labels that reach their thresholds, the furthest above first.

        Of classes that exclude each other it is the most probable one.
        """
        ordered = self.ordered(probabilities)
        if not self.several:
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
        if not self.several:
            return ()
        known = dict(zip(self.labels, probabilities, strict=True))
        deciding = self.above(probabilities)[:1] or self.ordered(probabilities)
        return tuple(label for label in deciding if self.is_undecided(label, known[label]))

    def answer(self, probabilities: Sequence[float]) -> str:
        """Return the label of an image, or `CANNOT_SAY` where the model does not decide."""
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

    def is_undecided(self, label: str, probability: float) -> bool:
        """Return whether a probability of a label lies where nothing is decided."""
        band = self.band(label)
        if band is None:
            return False
        # At a threshold the label is predicted, and what is more probable is in doubt.
        at_the_edge = probability == band[0] == self.threshold(label)
        return (band[0] < probability or at_the_edge) and probability < band[1]


def _plain(word: str) -> str:
    return ' '.join(word.replace('_', ' ').replace('-', ' ').casefold().split())
