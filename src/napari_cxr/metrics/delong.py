"""Areas under the ROC curve, and how they vary together, without resampling.

DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837; where a patient has several images,
Obuchowski, Biometrics 1997;53:567, which is the same where each has one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ['AucCovariance', 'auc_covariance', 'macro_auc_covariance']


@dataclass(frozen=True, eq=False)
class AucCovariance:
    """Areas of several classifiers on the same images.

    Parameters
    ----------
    areas : ndarray, shape (m,)
        The area of each.
    covariance : ndarray, shape (m, m)
        Of these areas; NaN where a class has fewer than two patients.
    """

    areas: np.ndarray
    covariance: np.ndarray

    def difference(self, first: int, second: int) -> tuple[float, float, float]:
        """Return the first area minus the second, its standard error, and the p-value.

        The p-value is two-sided, that both areas are the same; 1 where they do not differ at
        all.
        """
        apart = float(self.areas[first] - self.areas[second])
        c = self.covariance
        variance = float(c[first, first] + c[second, second] - 2 * c[first, second])
        error = math.sqrt(max(0.0, variance)) if math.isfinite(variance) else math.nan
        if not error > 0:
            return apart, error, 1.0 if apart == 0 and error == 0 else math.nan
        from scipy.stats import norm

        return apart, error, float(2 * norm.sf(abs(apart) / error))


def auc_covariance(
    positive: np.ndarray, scores: np.ndarray, groups: Sequence[Hashable] | None = None
) -> AucCovariance:
    """Return areas and their covariance.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image belongs to the class.
    scores : ndarray, shape (n, m)
        Of m classifiers; higher means more likely.
    groups : sequence, optional
        The patient of each image; by default each image is a patient of its own.

    Returns
    -------
    AucCovariance
        NaN without a positive or without a negative.
    """
    positive, scores = np.asarray(positive, bool), np.asarray(scores, np.float64)
    models = scores.shape[1]
    have, lack = int(positive.sum()), int((~positive).sum())
    if not have or not lack:
        return AucCovariance(np.full(models, np.nan), np.full((models, models), np.nan))
    # For each positive the fraction of negatives below it, and the other way round.
    above = np.stack([_placements(s[positive], s[~positive]) for s in scores.T], axis=1)
    below = np.stack([1 - _placements(s[~positive], s[positive]) for s in scores.T], axis=1)
    areas = above.mean(axis=0)
    names = list(range(len(positive))) if groups is None else list(groups)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    member = np.array([numbers[name] for name in names])
    sums = [
        np.stack(
            [np.bincount(member[which], (v - area), len(numbers)) for v, area in columns], axis=1
        )
        for which, columns in (
            (positive, list(zip(above.T, areas, strict=True))),
            (~positive, list(zip(below.T, areas, strict=True))),
        )
    ]
    counts = [len(np.unique(member[which])) for which in (positive, ~positive)]
    if min(counts) < 2:
        return AucCovariance(areas, np.full((models, models), np.nan))
    (first, second), (clusters, others) = sums, counts
    own = first.T @ first * clusters / (clusters - 1) / have**2
    theirs = second.T @ second * others / (others - 1) / lack**2
    total = len(numbers)
    both = first.T @ second * total / (total - 1) / (have * lack)
    return AucCovariance(areas, own + theirs + both + both.T)


def _placements(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each value the fraction of others that are lower; ties count half."""
    ranked = np.sort(others)
    lower = np.searchsorted(ranked, values, side='left')
    not_higher = np.searchsorted(ranked, values, side='right')
    return np.asarray((lower + not_higher) / (2 * len(ranked)))


def macro_auc_covariance(
    truth: np.ndarray,
    scores: Sequence[np.ndarray],
    groups: Sequence[Hashable] | None = None,
    known: np.ndarray | None = None,
) -> AucCovariance:
    """Return macro AUCs, each the mean of the classes' areas, and their covariance.

    Each image's influence on the mean is summed by patient (the same placements as DeLong's).

    Parameters
    ----------
    truth : ndarray of bool, shape (n, K)
        Which classes each image has; classes of all images or of none do not count.
    scores : sequence of ndarray, shape (n, K)
        Of each of m classifiers.
    groups : sequence, optional
        The patient of each image.
    known : ndarray of bool, shape (n, K), optional
        Of which classes it is known whether an image has them; by default all.

    Returns
    -------
    AucCovariance
        NaN where no class has images with it and without it.
    """
    truth = np.asarray(truth, bool)
    known = np.ones_like(truth) if known is None else known
    has, lacks = truth & known, ~truth & known
    measured = [k for k in range(truth.shape[1]) if has[:, k].any() and lacks[:, k].any()]
    models = len(scores)
    if not measured:
        return AucCovariance(np.full(models, np.nan), np.full((models, models), np.nan))
    if len(measured) == 1:
        (k,) = measured
        own = np.flatnonzero(known[:, k])
        names = own.tolist() if groups is None else [groups[i] for i in own.tolist()]
        return auc_covariance(truth[own, k], np.stack([s[own, k] for s in scores], axis=1), names)
    names = list(range(len(truth))) if groups is None else list(groups)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    member = np.array([numbers[name] for name in names])
    areas, sums = np.zeros(models), np.zeros((len(numbers), models))
    for j, score in enumerate(scores):
        influence = np.zeros(len(truth))
        for k in measured:
            positive, negative = has[:, k], lacks[:, k]
            values = np.asarray(score, np.float64)[:, k]
            above = _placements(values[positive], values[negative])
            below = 1 - _placements(values[negative], values[positive])
            area = above.mean()
            areas[j] += area / len(measured)
            influence[positive] += (above - area) / positive.sum() / len(measured)
            influence[negative] += (below - area) / negative.sum() / len(measured)
        sums[:, j] = np.bincount(member, influence, len(numbers))
    if len(numbers) < 2:
        return AucCovariance(areas, np.full((models, models), np.nan))
    return AucCovariance(areas, sums.T @ sums * len(numbers) / (len(numbers) - 1))
