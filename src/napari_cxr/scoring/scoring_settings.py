"""How to score: batch, precision, heatmaps, and by which thresholds classes are predicted.

Thresholds come out of a model's card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_cxr.checkpoint import Card
from napari_cxr.checkpoint.model_images import ModelImages
from napari_cxr.inference.label_rule import LabelRule

__all__ = ['Decision', 'DecisionError', 'ScoringSettings']


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
            there = ', '.join(repr(_threshold_name(name)) for name in names)
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


def _threshold_name(name: str) -> str:
    """Return how a person asks for an operating point of the card."""
    return name.lower().replace(' ', '=')


def _plain(words: str) -> tuple[str, float | str]:
    """Return name and number of an operating point, however they are written."""
    name, _, number = _threshold_name(words.strip()).partition('=')
    try:
        return name, float(number)
    except ValueError:
        return name, number


@dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """How to score.

    Parameters
    ----------
    batch : int
        Images that the network takes at once; 0 to choose by device and size of the input.
    heatmaps : Path, optional
        Folder for a picture of each file's heatmap, and its numbers.
    shares : bool
        Whether to say where heatmaps lie; with `heatmaps` in any case.
    precision : {'auto', 'float32', 'bfloat16'}
        What the network computes in; 'auto' is float32, unless the model's card says that the
        model was checked in bfloat16.
    backend : str
        What runs the network, see `napari_cxr.inference.backends.backend.backend_names`; empty
        for the preferred one of those that are installed.
    decision : Decision, optional
        Thresholds, for a column of the classes that reach them; where an image can have several
        labels they decide the label, in the place of the card's.
    identify : bool
        Whether patients are named in the table.
    retry_errors : bool
        Whether rows with errors are made again when a table is gone on with.
    full_resolution : bool
        Whether every file is decoded at its full size, also where a half or a quarter of it
        is enough for the model, see `Preprocessing.least_decoded`.
    include_doubtful : bool
        Whether doubtful images count in the metrics.
    images : ModelImages, optional
        The images of the model's own run, where these are known; rows then tell which of them
        it was trained on.
    prior : mapping of str to float
        The fraction of images that have a class where the model is used, by class, as
        `napari_cxr.inference.stated_prevalence.card_at_prevalence` takes it; empty for that of
        the model's card. The thresholds of `decision` are to be of the card that it returns.
    """

    batch: int = 0
    heatmaps: Path | None = None
    shares: bool = False
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto'
    backend: str = ''
    decision: Decision | None = None
    identify: bool = False
    retry_errors: bool = False
    full_resolution: bool = False
    include_doubtful: bool = False
    images: ModelImages | None = None
    prior: Mapping[str, float] = field(default_factory=dict)

    @property
    def with_shares(self) -> bool:
        """Whether to say where heatmaps lie."""
        return self.shares or self.heatmaps is not None

    def rule(self, rule: LabelRule) -> LabelRule:
        """Return how probabilities become labels, by a model's own rule and the decision."""
        return rule if self.decision is None else self.decision.applied(rule)
