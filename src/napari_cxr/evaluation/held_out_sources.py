"""Held-out sources: strata, weights, folds, and the comparison of classifiers within strata."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cxr.metrics.classification import auc
from napari_cxr.metrics.confidence_intervals import bootstrap

__all__ = [
    'Stratum',
    'balanced_weights',
    'compare',
    'leave_one_source_out',
    'patient_folds',
    'within_auc',
]


@dataclass(frozen=True, order=True)
class Stratum:
    """Images that may be compared with one another: one source, one projection."""

    source: str
    projection: str = ''


def balanced_weights(positive: np.ndarray, strata: Sequence[Stratum]) -> np.ndarray:
    """Weight training images so that neither source nor projection predicts the label.

    Both classes have the same weight within a stratum, a stratum counts by its number of images
    within its source, and all sources have the same weight. A stratum with one class only has
    weight zero, since there the stratum predicts the label.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    strata : sequence of Stratum, length n
        Of each image.

    Returns
    -------
    ndarray of float64, shape (n,)
        Weights with a mean of 1; `ValueError` if no stratum has both classes.
    """
    positive = np.asarray(positive, bool)
    names = np.array([f'{s.source}\0{s.projection}' for s in strata])
    sources = np.array([s.source for s in strata])
    weights = np.zeros(len(positive))
    for name in np.unique(names):
        there = names == name
        have, lack = there & positive, there & ~positive
        if have.any() and lack.any():
            weights[have] = there.sum() / have.sum()
            weights[lack] = there.sum() / lack.sum()
    for source in np.unique(sources):
        there = sources == source
        if weights[there].any():
            weights[there] /= weights[there].sum()
    if not weights.any():
        raise ValueError('No source and projection has images with the finding and without it.')
    return weights / weights.mean()


def patient_folds(
    groups: Sequence[Hashable], positive: np.ndarray, folds: int, seed: int = 0
) -> list[np.ndarray]:
    """Split images into folds by patient, stratified by class as far as patients allow.

    Parameters
    ----------
    groups : sequence, length n
        The patient of each image.
    positive : ndarray of bool, shape (n,)
        Whether each has the finding.
    folds, seed : int
        Number of folds; seed of the order in which patients of equal size are assigned.

    Returns
    -------
    list of ndarray of int
        Indices of the images of each fold, ascending.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    patients = [numbers[group] for group in groups]
    labels = np.asarray(positive, int)
    return [held for _, held in splitter.split(np.zeros(len(labels)), labels, patients)]


def leave_one_source_out(sources: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each source with the indices of all other images and of its own."""
    names = np.asarray(sources)
    for source in sorted(set(sources)):
        yield source, np.flatnonzero(names != source), np.flatnonzero(names == source)


def within_auc(
    positive: np.ndarray,
    scores: np.ndarray,
    strata: Sequence[Hashable],
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the area under the curve among pairs of images of the same stratum.

    A positive is compared only with the negatives of its own stratum (its projection, its
    hospital), so a score that only separates strata gains nothing. The result is the mean of
    the strata's areas, weighted by their numbers of pairs: the fraction of all such pairs that
    are in the right order (the stratified Mann-Whitney statistic; Van Elteren, Bull. Int. Stat.
    Inst. 1960;37:351).

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : ndarray, shape (n,)
        Higher means more likely.
    strata : sequence, length n
        The stratum of each image.
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
    """Evaluate a classifier and its competitors on the same bootstrap resamples of patients.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : mapping of str to ndarray, shape (n,)
        By the name of the classifier; the others are compared with the first.
    strata : sequence, length n
        The projection of each image, or whatever else must not predict the label.
    groups : sequence, length n
        The patient of each.
    times, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``images``, ``positives``, ``patients``; by classifier ``auc`` and ``auc_within`` as
        [value, low, high]; for all but the first also ``difference`` and
        ``difference_within``, the first minus this one, with the interval of the difference.
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
    count, positives, patients = len(names), int(positive.sum()), len(set(groups))
    out: dict[str, Any] = {'images': len(positive), 'positives': positives, 'patients': patients}
    for i, name in enumerate(names):
        out[name] = {'auc': lists[i], 'auc_within': lists[count + i]}
        if i:
            out[name]['difference'] = lists[2 * count + i - 1]
            out[name]['difference_within'] = lists[3 * count - 1 + i - 1]
    return out
