"""Sets of labels of which one is right for a stated fraction of images: 'normal or pneumonia'.

Split-conformal prediction by class (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
World, 2005, chapter 4.5: label-conditional). A label is in the set unless the image's probability
of it is as low as that of only a fraction alpha of the calibration images that have this label.
So of the images of each class at least 1 - alpha have it in their set, if they are like those of
the calibration; images of another hospital may not be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ['fit_prediction_sets', 'prediction_set', 'prediction_set_text']


def fit_prediction_sets(
    inside: np.ndarray,
    probabilities: np.ndarray,
    labels: Sequence[str],
    alpha: float,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """Choose from which probability on each label is in the set.

    Parameters
    ----------
    inside : ndarray of bool, shape (n, labels)
        Which labels each image has; images that the model was not trained on.
    probabilities : ndarray, shape (n, labels)
        Of each label.
    labels : sequence of str
        Their names.
    alpha : float
        The fraction of the images of a label whose set may lack it, in (0, 1).
    weights : ndarray, shape (n,), optional
        How often each image counts; once by default.

    Returns
    -------
    dict
        The entry ``prediction_sets`` of a card. With fewer than 1 / alpha - 1 images of a label
        nothing can be promised unless it is in every set: its threshold is 0.
    """
    if not 0 < alpha < 1:
        raise ValueError('alpha must be between 0 and 1')
    weights = np.ones(len(inside)) if weights is None else np.asarray(weights, np.float64)
    thresholds, images = {}, {}
    for k, label in enumerate(labels):
        own = np.asarray(inside, bool)[:, k]
        rising, place = np.unique(probabilities[own, k], return_inverse=True)
        counted = np.cumsum(np.bincount(place, weights[own], len(rising)))
        total = float(counted[-1]) if len(counted) else 0.0
        images[label] = round(total)
        # The p-value of a label, (1 + images of it that are as low) / (n + 1), is above alpha.
        # The small term is for 0.1 * 10 < 1.
        allowed = alpha * (total + 1) - 1 + 1e-9
        first = int(np.searchsorted(counted, allowed, side='right'))
        if allowed < 0 or first == len(rising):
            thresholds[label] = 0.0
            continue
        # Between two images, so that the last digits of a backend decide nothing.
        below = rising[first - 1] if first else rising[first] * (1 - 1e-6)
        thresholds[label] = float((rising[first] + below) / 2)
    return {'alpha': float(alpha), 'thresholds': thresholds, 'images': images}


def prediction_set(
    labels: Sequence[str], probabilities: Sequence[float], sets: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the labels that cannot be excluded, in the model's order.

    Parameters
    ----------
    labels, probabilities : sequence
        Of one image.
    sets : mapping
        As `fit_prediction_sets` returned it.
    """
    thresholds = sets['thresholds']
    return tuple(
        label
        for label, p in zip(labels, probabilities, strict=True)
        if p >= thresholds.get(label, 0.0)
    )


def prediction_set_text(found: Sequence[str], sets: Mapping[str, Any], multilabel: bool) -> str:
    """Return one sentence about a set, for people."""
    sure = f'{100 * (1 - sets["alpha"]):.3g} %'
    if multilabel:
        named = ', '.join(found)
        return (
            f'Cannot be excluded at {sure}: {named}.'
            if found
            else f'At {sure}, every finding can be excluded.'
        )
    if not found:
        return f'At {sure}, no class fits: the image is unlike those of the calibration.'
    every = len(found) == len(sets['thresholds']) and len(found) > 1
    named = ' or '.join(found)
    return f'At {sure}: {named}.' + (' No class can be excluded.' if every else '')
