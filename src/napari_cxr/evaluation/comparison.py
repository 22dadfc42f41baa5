"""Two classifiers on the same images: areas under the curve, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics.figures import auc
from napari_cxr.metrics.intervals import bootstrap

__all__ = ['compare', 'within_auc']


def within_auc(
    positive: np.ndarray,
    scores: np.ndarray,
    strata: Sequence[Hashable],
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the area under the curve among pairs of images of the same stratum.

    A positive is compared with the negatives of its own stratum only (its projection, its
    hospital), so what tells strata apart gives nothing. It is the mean of the strata's areas,
    each weighted by its number of pairs (the stratified Mann-Whitney statistic; Van Elteren,
    Bull. Int. Stat. Inst. 1960;37:351, with weights that make it the share of all such pairs
    that are in the right order).

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : ndarray, shape (n,)
        Higher means more likely.
    strata : sequence, length n
        What each image is compared within.
    weights : ndarray, shape (..., n), optional
        How often each image counts; once by default.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN where no stratum has both a positive and a negative.
    """
    positive = np.asarray(positive, bool)
    weights = np.ones(len(positive)) if weights is None else np.asarray(weights, np.float64)
    right = np.zeros(weights.shape[:-1])
    pairs = np.zeros(weights.shape[:-1])
    names = np.array([str(stratum) for stratum in strata])
    for name in np.unique(names):
        there = names == name
        if positive[there].all() or not positive[there].any():
            continue
        own = weights[..., there]
        count = (own * positive[there]).sum(-1) * (own * ~positive[there]).sum(-1)
        area = np.nan_to_num(auc(positive[there], scores[there], own))
        right, pairs = right + area * count, pairs + count
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(right / pairs)


def compare(
    positive: np.ndarray,
    scores: Mapping[str, np.ndarray],
    strata: Sequence[Hashable],
    groups: Sequence[Hashable],
    *,
    times: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a classifier and what stands beside it, on the same resamples of patients.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : mapping of str to ndarray, shape (n,)
        By the name of the classifier; the first is the one that the others are compared with.
    strata : sequence, length n
        The projection of each image, or whatever must not give the answer away.
    groups : sequence, length n
        The patient of each.
    times, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``images``, ``positives``, ``patients``; by classifier ``auc`` and ``auc_within`` as
        [value, low, high]; and for each of the others ``difference`` and
        ``difference_within``, the first minus it, with the interval of that difference.
    """
    positive = np.asarray(positive, bool)
    names = list(scores)

    def measured(weights: np.ndarray) -> np.ndarray:
        plain = [auc(positive, scores[name], weights) for name in names]
        within = [within_auc(positive, scores[name], strata, weights) for name in names]
        apart = [values[0] - value for values in (plain, within) for value in values[1:]]
        return np.stack([*plain, *within, *apart], axis=-1)

    classes = list(zip(positive.tolist(), map(str, strata), strict=True))
    found = bootstrap(measured, groups, classes, times=times, seed=seed)
    lists = [interval.to_list() for interval in found]
    count = len(names)
    out: dict[str, Any] = {
        'images': len(positive),
        'positives': int(positive.sum()),
        'patients': len(set(groups)),
    }
    for i, name in enumerate(names):
        out[name] = {'auc': lists[i], 'auc_within': lists[count + i]}
        if i:
            out[name]['difference'] = lists[2 * count + i - 1]
            out[name]['difference_within'] = lists[3 * count - 1 + i - 1]
    return out
