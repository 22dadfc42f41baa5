"""Thresholds on a class's probability: chosen on some images, measured on others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics.figures import memberships
from napari_cxr.metrics.intervals import wilson

__all__ = ['measured_at', 'operating_points']

#: Share of a class's images that its threshold must still call.
_SENSITIVITIES = (0.9, 0.95)


def operating_points(
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: tuple[str, ...],
    weights: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """Choose thresholds; only ever from images that are neither trained nor tested on.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        As `truth_of` gives it.
    probabilities : ndarray, shape (n, classes)
        Calibrated.
    labels : tuple of str
        Names of the classes.
    weights : ndarray, shape (n,), optional
        How much each image counts; alike by default.

    Returns
    -------
    dict
        For each class the highest threshold that still calls 90 or 95 % of its
        images ('sensitivity 0.90'), and the one with the largest sum of
        sensitivity and specificity ('Youden', Cancer 1950;3:32).
    """
    points: dict[str, dict[str, float]] = {}
    belongs = memberships(truth, len(labels))
    weights = np.ones(len(belongs)) if weights is None else weights
    for k, label in enumerate(labels):
        inside, scores = belongs[:, k], probabilities[:, k]
        if not inside.any() or inside.all():
            continue
        order = np.argsort(scores[inside], kind='stable')
        rising, missed = scores[inside][order], np.cumsum(weights[inside][order])
        found = {
            # The small term is for 0.1 * 10 < 1.
            f'sensitivity {s:.2f}': float(
                rising[np.searchsorted(missed, (1 - s) * missed[-1] + 1e-9, side='right')]
            )
            for s in _SENSITIVITIES
        }
        thresholds = np.unique(scores)
        sums = [
            np.average(scores[inside] >= t, weights=weights[inside])
            + np.average(scores[~inside] < t, weights=weights[~inside])
            for t in thresholds
        ]
        found['Youden'] = float(thresholds[int(np.argmax(sums))])
        points[label] = found  # not rounded: rounded up, it would miss the image that it is of
    return points


def measured_at(
    points: dict[str, dict[str, float]],
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: tuple[str, ...],
    groups: Sequence[Hashable],
) -> dict[str, Any]:
    """Return sensitivity and specificity at thresholds that were chosen elsewhere.

    Parameters
    ----------
    points : dict
        As `operating_points` chose them.
    truth, probabilities, labels
        As of `operating_points`, of the images that are measured.
    groups : sequence
        The patient of each: Wilson's intervals count these.

    Returns
    -------
    dict
        By class and criterion ``sensitivity`` and ``specificity`` as [value, low, high].
    """
    out: dict[str, Any] = {}
    for label, found in points.items():
        k = labels.index(label)
        called, inside = probabilities[:, k], memberships(truth, len(labels))[:, k]
        for name, threshold in found.items():
            shares = {}
            for figure, which, right in (
                ('sensitivity', inside, called >= threshold),
                ('specificity', ~inside, called < threshold),
            ):
                share = float(right[which].mean()) if which.any() else float('nan')
                patients = len({groups[i] for i in np.flatnonzero(which).tolist()})
                shares[figure] = wilson(share, patients).to_list()
            out.setdefault(label, {})[name] = shares
    return out
