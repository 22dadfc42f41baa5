"""Confidence intervals of metrics that hold on small sets and with several images a patient.

Each is chosen by simulated coverage (``scripts/interval_coverage.py``; the table is in
``docs/intervals.md``): of data of which the truth is known, at least 93 % of the intervals
contain it, from five patients of each class on. With fewer, all but proportions and means have
none: the limits are NaN.

Images of a patient are not independent. How much that widens an interval, the design effect, is
estimated by leaving out one patient after another (the jackknife). From few patients it cannot be
estimated well, so there it is drawn towards the worst case, in which all images of a patient are
alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    'FEWEST_PATIENTS',
    'Interval',
    'auc_interval',
    'balanced_accuracy_interval',
    'bootstrap',
    'f1_interval',
    'macro_auc_interval',
    'mean_f1_interval',
    'mean_interval',
    'patients_by_class',
    'proportion_interval',
    'wilson_interval',
]

#: With fewer patients of a class than this, intervals of what compares classes say too little.
FEWEST_PATIENTS = 5

#: Quantile of the normal distribution for 95 %.
_Z = 1.959964

#: A design effect from so many patients counts as much as the worst case; chosen by simulation.
_WORST_CASE_PATIENTS = 7

#: Resamples times images in memory at once.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A metric and its 95 % confidence interval.

    Parameters
    ----------
    value : float
        The metric.
    low, high : float
        Its interval.
    """

    value: float
    low: float
    high: float

    def to_list(self) -> list[float | None]:
        """Return value, low and high rounded to four decimals, None if undefined."""
        return [
            round(x, 4) if math.isfinite(x) else None for x in (self.value, self.low, self.high)
        ]


def wilson_interval(fraction: float, n: float, z: float = _Z) -> Interval:
    """Return the score interval of a proportion of independent cases (Wilson, JASA 1927;22:209).

    For images of which patients may have several, and for few cases, see `proportion_interval`.

    Parameters
    ----------
    fraction : float
        The proportion, in [0, 1].
    n : float
        Number of independent cases.
    z : float
        Quantile of the normal distribution; 1.96 for 95 %.
    """
    if not n > 0 or not math.isfinite(fraction):
        return Interval(fraction, math.nan, math.nan)
    middle = (fraction + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(fraction * (1 - fraction) / n + z * z / (4 * n * n))
    return Interval(fraction, max(0.0, middle - half), min(1.0, middle + half))


def proportion_interval(right: np.ndarray, groups: Sequence[Hashable] | np.ndarray) -> Interval:
    """Return a proportion of images with its exact interval, widened by the design effect.

    With one image for each patient it is that of Clopper and Pearson (Biometrika 1934;26:404).
    Else there are as many cases as images divided by the design effect, as of Korn and Graubard
    (Survey Methodology 1998;24:193).

    Parameters
    ----------
    right : ndarray of bool, shape (n,)
        Whether each image counts.
    groups : sequence
        The patient of each image.

    Returns
    -------
    Interval
        NaN if there is no image.
    """
    right = np.asarray(right, dtype=np.float64)
    if not len(right):
        return Interval(math.nan, math.nan, math.nan)
    patients, member = _numbered(groups)
    images = np.bincount(member, minlength=patients)
    value, n = float(right.mean()), len(right)
    variance = value * (1 - value) / n
    effect = 1.0
    if images.max() > 1:
        worst = float((images.astype(np.float64) ** 2).sum()) / n
        effect = worst
        if variance > 0 and patients > 1:
            off = np.bincount(member, weights=right - value, minlength=patients)
            estimated = float(((off / (n - images)) ** 2).sum()) / variance
            # n / worst patients of equal size would tell as much in the worst case.
            effect = max(1.0, _design_effect(estimated, worst, n / worst))
    return Interval(value, *_clopper_pearson(value, n / effect))


def _clopper_pearson(fraction: float, n: float) -> tuple[float, float]:
    from scipy.stats import beta

    right = fraction * n
    low = 0.0 if fraction <= 0 else float(beta.ppf(0.025, right, n - right + 1))
    high = 1.0 if fraction >= 1 else float(beta.ppf(0.975, right + 1, n - right))
    return low, high


def _design_effect(estimated: float, worst: float, patients: float) -> float:
    """Return a design effect, drawn to the worst case if patients are few."""
    weight = patients / (patients + _WORST_CASE_PATIENTS)
    return max(estimated, weight * estimated + (1 - weight) * worst)


def f1_interval(
    inside: np.ndarray, predicted: np.ndarray, groups: Sequence[Hashable] | np.ndarray
) -> Interval:
    """Return the F1 of a class with its interval.

    F1 is 2 J / (1 + J) for the proportion J of true positives among the images that have the
    class or are predicted to have it, so the interval is that of this proportion.

    Parameters
    ----------
    inside, predicted : ndarray of bool, shape (n,)
        Whether each image has the class, and whether it is predicted.
    groups : sequence
        The patient of each image.
    """
    inside, predicted = np.asarray(inside, bool), np.asarray(predicted, bool)
    either = inside | predicted
    found = proportion_interval((inside & predicted)[either], _members(groups)[either])
    return Interval(*(2 * j / (1 + j) for j in (found.value, found.low, found.high)))


def mean_f1_interval(classes: Sequence[Interval]) -> Interval:
    """Return the mean F1 of classes with its interval.

    The classes share their errors, so their F1 are taken to move together: the distances to the
    limits add up without the root of `balanced_accuracy_interval`, with which the interval would
    hold the true value for 82 % of some small sets.

    Parameters
    ----------
    classes : sequence of Interval
        Of each class that has images, as `f1_interval` returns them.
    """
    if not classes:
        return Interval(math.nan, math.nan, math.nan)
    value, low, high = (
        sum(getattr(one, name) for one in classes) / len(classes)
        for name in ('value', 'low', 'high')
    )
    return Interval(value, low, high)


def balanced_accuracy_interval(sensitivities: Sequence[Interval]) -> Interval:
    """Return the mean of the sensitivities of classes with its interval.

    The distances to the limits add up as standard errors do (MOVER; Zou and Donner, Statistics
    in Medicine 2008;27:1693), since the classes have different images.

    Parameters
    ----------
    sensitivities : sequence of Interval
        Of each class that has images, as `proportion_interval` returns them.
    """
    count = len(sensitivities)
    value = sum(s.value for s in sensitivities) / count if count else math.nan
    below = math.sqrt(sum((s.value - s.low) ** 2 for s in sensitivities)) / max(count, 1)
    above = math.sqrt(sum((s.high - s.value) ** 2 for s in sensitivities)) / max(count, 1)
    return Interval(value, value - below, value + above)


def auc_interval(
    positive: np.ndarray, scores: np.ndarray, groups: Sequence[Hashable] | np.ndarray
) -> Interval:
    """Return the area under the receiver operating characteristic with its interval.

    It is a score interval: the areas from which the measured one differs by no more than 1.96 of
    the standard errors that they would have by Hanley and McNeil (Newcombe, Statistics in
    Medicine 2006;25:559, method 5). So it has a width even if all images are in the right order.
    The variance is enlarged where that of DeLong, by patients (Obuchowski, Biometrics
    1997;53:567), is larger.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image belongs to the class.
    scores : ndarray, shape (n,)
        Higher means more likely.
    groups : sequence
        The patient of each image.

    Returns
    -------
    Interval
        Without limits if fewer than `FEWEST_PATIENTS` patients have the class, or have images
        without it.
    """
    return macro_auc_interval(np.asarray(positive)[:, None], np.asarray(scores)[:, None], groups)


def macro_auc_interval(
    inside: np.ndarray,
    scores: np.ndarray,
    groups: Sequence[Hashable] | np.ndarray,
    known: np.ndarray | None = None,
) -> Interval:
    """Return the mean AUC of classes, each against the rest, with its interval.

    As `auc_interval`, with the mean of the classes' standard errors, as if their areas moved
    together; lowered by what the jackknife finds, as far as there are enough patients.

    Parameters
    ----------
    inside : ndarray of bool, shape (n, classes)
        Which classes each image has. A class that no image has, or all have, does not count.
    scores : ndarray, shape (n, classes)
        Higher means more likely.
    groups : sequence
        The patient of each image.
    known : ndarray of bool, shape (n, classes), optional
        Where it is known whether an image has the class; by default everywhere.
    """
    inside, scores = np.asarray(inside, bool), np.asarray(scores, np.float64)
    patients, member = _numbered(groups)
    areas = []
    for k in range(inside.shape[1]):
        here = np.arange(len(inside)) if known is None else np.flatnonzero(known[:, k])
        if inside[here, k].any() and not inside[here, k].all():
            areas.append(_Area(inside[here, k], scores[here, k], member[here], patients))
    if not areas:
        return Interval(math.nan, math.nan, math.nan)
    value = float(np.mean([area.value for area in areas]))
    fewest = min(area.fewest for area in areas)
    if fewest < FEWEST_PATIENTS:
        return Interval(value, math.nan, math.nan)

    def variance(area: float) -> float:
        return float(np.mean([math.sqrt(a.variance(area)) for a in areas])) ** 2

    effect = worst = max(area.worst for area in areas)
    influence = np.mean([area.influence for area in areas], axis=0)
    measured, expected = float((influence**2).sum()), variance(value)
    if measured > 0 and expected > 0:
        # Of few patients the jackknife's variance is itself uncertain.
        measured *= (fewest + 2) / (fewest - 1)
        size = min(area.effective for area in areas)
        effect = _design_effect(measured / expected, worst, size)
        if len(areas) == 1:
            effect = max(1.0, effect)
    return Interval(value, *_score_limits(value, lambda area: effect * variance(area)))


class _Area:
    """One area under the curve, and what its variance depends on."""

    def __init__(
        self, positive: np.ndarray, scores: np.ndarray, member: np.ndarray, patients: int
    ) -> None:
        from scipy.stats import rankdata

        has, lacks = positive, ~positive
        ranks = rankdata(scores)
        self.counts = m, n = int(has.sum()), int(lacks.sum())
        # The fraction of the other class that each image is ranked rightly against.
        over = (ranks[has] - rankdata(scores[has])) / n
        under = 1 - (ranks[lacks] - rankdata(scores[lacks])) / m
        self.value = float(over.mean())
        images = [np.bincount(member[side], minlength=patients) for side in (has, lacks)]
        off = [
            np.bincount(member[side], weights=values - self.value, minlength=patients)
            for side, values in ((has, over), (lacks, under))
        ]
        self.fewest = min(int((count > 0).sum()) for count in images)
        effective = [int(count.sum()) ** 2 / float((count**2.0).sum()) for count in images]
        self.effective = min(effective)
        self.worst = max(m / effective[0], n / effective[1])
        #: By how much the area falls if a patient is left out.
        left = [np.maximum(count.sum() - count, 1) for count in images]
        self.influence = off[0] / left[0] + off[1] / left[1]

    def variance(self, area: float) -> float:
        """Return the variance that an area would have (Hanley and McNeil, Radiology 1982)."""
        m, n = self.counts
        pairs = (m + n) / 2 - 1
        return (
            area
            * (1 - area)
            * (1 + pairs * ((1 - area) / (2 - area) + area / (1 + area)))
            / (m * n)
        )


def _score_limits(value: float, variance: Callable[[float], float]) -> tuple[float, float]:
    """Return the least and greatest true values that are within 1.96 standard errors."""

    def limit(end: float) -> float:
        if value == end:
            return end
        outside, inside = end, value
        for _ in range(50):
            middle = (outside + inside) / 2
            if (value - middle) ** 2 > _Z * _Z * variance(middle):
                outside = middle
            else:
                inside = middle
        return inside

    return limit(0.0), limit(1.0)


def mean_interval(values: np.ndarray, groups: Sequence[Hashable] | np.ndarray) -> Interval:
    """Return the mean and its t interval, where images of a patient are dependent.

    With one image for each patient it is the usual m ± t s / √n; with more, the standard
    error is that of sums over patients (Liang and Zeger, Biometrika 1986;73:13).

    Parameters
    ----------
    values : ndarray, shape (n,)
        One for each image.
    groups : sequence
        The patient of each image.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    middle = float(values.mean())
    count, member = _numbered(groups)
    if count < 2:
        return Interval(middle, math.nan, math.nan)
    from scipy.stats import t

    sums = np.bincount(member, weights=values - middle, minlength=count)
    error = math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(values)
    half = float(t.ppf(0.975, count - 1)) * error
    return Interval(middle, middle - half, middle + half)


def bootstrap(
    metric: Callable[[np.ndarray], np.ndarray],
    groups: Sequence[Hashable],
    strata: Sequence[Hashable],
    *,
    times: int = 2000,
    seed: int = 0,
    fewest: int | None = None,
) -> list[Interval]:
    """Return metrics with expanded percentile intervals, resampling patients within strata.

    All images of a patient are drawn together, because they are not independent
    (Field and Welsh, J. R. Stat. Soc. B 2007;69:369); within strata, so that
    every resample has as many patients of each class as the sample. Resamples of few patients
    differ too little from one another, so the percentiles are further out than 2.5 and 97.5 by
    as much as the interval of a mean of so many would be too narrow (Hesterberg, The American
    Statistician 2015;69:371).

    Parameters
    ----------
    metric : callable
        Takes weights of shape (m, n), of each of n images in each of m resamples, and
        returns m values, or (m, f) for f metrics at once.
    groups : sequence
        The patient of each image.
    strata : sequence
        The class of each image; a patient with several classes belongs to the first.
    times : int
        Number of resamples.
    seed : int
        Seed of the resampling.
    fewest : int, optional
        Patients of the class that has the fewest; by default of the smallest stratum.

    Returns
    -------
    list of Interval
        One for each metric. It has no width if all resamples agree, and says little if patients
        are fewer than `FEWEST_PATIENTS`.
    """
    names, member = _numbered(groups)
    stratum_of: dict[int, Hashable] = {}
    for group, stratum in zip(member, strata, strict=True):
        stratum_of.setdefault(int(group), stratum)
    pools: dict[Hashable, list[int]] = {}
    for group, stratum in stratum_of.items():
        pools.setdefault(stratum, []).append(group)
    random = np.random.default_rng(seed)
    block = max(1, min(times, _BLOCK // max(1, len(member))))
    drawn = []
    for start in range(0, times, block):
        rows = min(block, times - start)
        counts = np.zeros((rows, names), dtype=np.float64)
        for pool in pools.values():
            # As many draws as groups, each group equally likely: a multinomial count.
            counts[:, pool] = random.multinomial(
                len(pool), np.full(len(pool), 1 / len(pool)), size=rows
            )
        drawn.append(_columns(metric(counts[:, member])))
    values = _columns(metric(np.ones((1, len(member)))))[0]
    spread = np.concatenate(drawn)
    if fewest is None:
        fewest = min(map(len, pools.values()), default=0)
    return [
        Interval(float(value), *_percentiles(spread[:, i], fewest))
        for i, value in enumerate(values)
    ]


def patients_by_class(inside: np.ndarray, groups: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Return how many patients have images of each class, shape (classes,).

    Parameters
    ----------
    inside : ndarray of bool, shape (n, classes)
        Which classes each image has.
    groups : sequence
        The patient of each image.
    """
    member = _members(groups)
    return np.array([len(np.unique(member[column])) for column in np.asarray(inside, bool).T])


def _numbered(groups: Sequence[Hashable] | np.ndarray) -> tuple[int, np.ndarray]:
    member = _members(groups)
    return int(member.max()) + 1 if len(member) else 0, member


def _members(groups: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Return the number of each image's patient."""
    if isinstance(groups, np.ndarray):
        return np.unique(groups, return_inverse=True)[1]
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.intp)


def _columns(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _percentiles(values: np.ndarray, patients: int) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    from scipy.stats import norm, t

    patients = max(patients, 2)
    wider = math.sqrt(patients / (patients - 1)) * float(t.ppf(0.975, patients - 1))
    beyond = 100 * float(norm.cdf(-wider))
    low, high = np.percentile(known, [beyond, 100 - beyond])
    return float(low), float(high)
