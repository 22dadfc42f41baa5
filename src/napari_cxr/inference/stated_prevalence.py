"""A model's card for a place where classes are more or less frequent than its card says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from napari_cxr.checkpoint import Card
from napari_cxr.metrics.calibration import at_prevalence

__all__ = ['card_at_prevalence', 'parse_prior']


def parse_prior(stated: Iterable[str]) -> dict[str, float]:
    """Return the prevalence of classes by name, as a person states it.

    Parameters
    ----------
    stated : iterable of str
        ``CLASS=FRACTION`` each.

    Raises
    ------
    ValueError
        If one is not of that form, or no fraction. The message is one sentence.
    """
    prior: dict[str, float] = {}
    for one in stated:
        label, sign, text = one.rpartition('=')
        try:
            prior[label.strip()] = float(text)
        except ValueError:
            sign = ''
        if not sign or not label.strip() or not 0 < prior[label.strip()] < 1:
            raise ValueError(
                f'{one.strip()!r} is not of the form CLASS=FRACTION, with a fraction above 0 and '
                'below 1.'
            )
    return prior


def card_at_prevalence(card: Card, prior: Mapping[str, float]) -> Card:
    """Return a card whose probabilities hold at another prevalence, by Bayes' rule.

    The order of images and what the model answers from its thresholds stay as they are: thresholds
    move with the probabilities. With more than two classes that exclude each other they cannot, so
    that operating points and sets of classes that cannot be excluded are left out.

    Parameters
    ----------
    card : Card
        Of the model.
    prior : mapping of str to float
        The fraction of images that have a class, for some or all of them; for none of them the
        card stays as it is. Of classes that exclude each other, those that are not named share
        the rest as they do on the card.

    Raises
    ------
    ValueError
        If it names a class that the model lacks, is no prevalence, or the card does not say at
        which prevalence its probabilities hold. The message is one sentence.
    """
    labels = card.labels
    if not prior:
        return card
    if unknown := [label for label in prior if label not in labels]:
        raise ValueError(f'{card.name} has no class {unknown[0]!r}; it has {", ".join(labels)}.')
    if not all(0 < p < 1 for p in prior.values()):
        raise ValueError('A prevalence is a fraction above 0 and below 1, such as 0.05.')
    if set(card.prevalence) != set(labels):
        raise ValueError(
            f'The card of {card.name} does not say for which prevalence its probabilities hold, '
            'so they cannot be moved to another one.'
        )
    measured = np.array([card.prevalence[label] for label in labels])
    stated = np.array([prior.get(label, p) for label, p in zip(labels, measured, strict=True)])
    if not card.multilabel:
        rest = np.array([label not in prior for label in labels])
        left = 1 - stated[~rest].sum()
        if (rest.any() and left <= 0) or (not rest.any() and abs(left) > 1e-3):
            raise ValueError('An image has one class, so the prevalences must add up to 1.')
        stated[rest] *= left / measured[rest].sum() if measured[rest].sum() else 1
    before = np.array(card.bias or (0.0,) * len(labels))
    bias = at_prevalence(before.tolist(), card.multilabel, measured, stated)
    changes = np.array(bias) - before
    if not card.multilabel:
        changes -= changes[::-1] if len(labels) == 2 else 0
    moved = replace(
        card,
        bias=bias,
        prevalence={label: float(p) for label, p in zip(labels, stated, strict=True)},
    )
    if not card.multilabel and len(labels) > 2:
        return replace(moved, operating_points={}, prediction_sets={})
    shift = dict(zip(labels, changes.tolist(), strict=True))
    sets = card.prediction_sets
    return replace(
        moved,
        operating_points={
            label: {name: _moved(p, shift[label]) for name, p in points.items()}
            for label, points in card.operating_points.items()
        },
        undecided={
            label: [_moved(p, shift[label]) for p in band]
            for label, band in card.undecided.items()
        },
        prediction_sets=sets
        and {
            **sets,
            'thresholds': {
                label: _moved(p, shift[label]) for label, p in sets['thresholds'].items()
            },
        },
    )


def _moved(probability: float, shift: float) -> float:
    """Return a probability after its log odds have moved."""
    if not 0 < probability < 1:
        return probability
    odds = probability / (1 - probability) * float(np.exp(shift))
    return odds / (1 + odds)
