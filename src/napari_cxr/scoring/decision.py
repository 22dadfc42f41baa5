"""Which classes are called, by thresholds out of a model's card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_cxr.checkpoint import Card
from napari_cxr.inference.label_rule import LabelRule

__all__ = ['Decision', 'DecisionError']


class DecisionError(Exception):
    """A decision that cannot be made with this model; the message says which can."""


@dataclass(frozen=True)
class Decision:
    """Thresholds on the probability of each class.

    Parameters
    ----------
    name : str
        What they were chosen for, as in the card: 'sensitivity 0.95', 'Youden'.
    thresholds : dict of str to float
        By class; a class without one is never called.
    """

    name: str
    thresholds: dict[str, float]

    @classmethod
    def of_card(cls, words: str, card: Card) -> Decision:
        """Look a decision up in a card.

        Parameters
        ----------
        words : str
            'sensitivity=0.95' or 'youden'.
        card : Card
            The model's.

        Raises
        ------
        DecisionError
            If the card has no such operating point.
        """
        names = sorted(
            {name for points in card.operating_points.values() for name in points}, key=str.lower
        )
        wanted = _plain(words)
        name = next((name for name in names if _plain(name) == wanted), None)
        if name is None:
            there = ', '.join(repr(_asked(name)) for name in names)
            raise DecisionError(
                f'The model {card.name!r} has no operating point {words!r}; '
                + (f'it has {there}.' if names else 'its card has none at all.')
            )
        return cls(
            name,
            {
                label: points[name]
                for label, points in card.operating_points.items()
                if name in points
            },
        )

    def applied(self, rule: LabelRule) -> LabelRule:
        """Return a rule with these thresholds; a label without one here keeps its own."""
        return rule.with_thresholds(self.thresholds)

    def called(self, labels: Sequence[str], probabilities: Sequence[float]) -> tuple[str, ...]:
        """Return the classes whose probability reaches their threshold."""
        return tuple(
            label
            for label, p in zip(labels, probabilities, strict=True)
            if label in self.thresholds and p >= self.thresholds[label]
        )


def _asked(name: str) -> str:
    """Return how a person asks for an operating point of the card."""
    return name.lower().replace(' ', '=')


def _plain(words: str) -> tuple[str, float | str]:
    """Return name and number of an operating point, however they are written."""
    name, _, number = _asked(words.strip()).partition('=')
    try:
        return name, float(number)
    except ValueError:
        return name, number
