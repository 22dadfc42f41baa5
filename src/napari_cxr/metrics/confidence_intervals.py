"""Confidence intervals of metrics, given the number of patients."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ['Interval', 'bootstrap', 'mean_interval', 'wilson_interval']

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


def wilson_interval(fraction: float, n: float, z: float = 1.959964) -> Interval:
    """Return the score interval of a proportion (Wilson, JASA 1927;22:209).

    Unlike bootstrap intervals it has a width if all or none were right.

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


def mean_interval(values: np.ndarray, groups: Sequence[Hashable]) -> Interval:
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
) -> list[Interval]:
    """Return metrics with percentile intervals, resampling patients within strata.

    All images of a patient are drawn together, because they are not independent
    (Field and Welsh, J. R. Stat. Soc. B 2007;69:369); within strata, so that
    every resample has as many patients of each class as the sample.

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

    Returns
    -------
    list of Interval
        One for each metric.
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
    return [Interval(float(value), *_percentiles(spread[:, i])) for i, value in enumerate(values)]


def _numbered(groups: Sequence[Hashable]) -> tuple[int, np.ndarray]:
    numbers: dict[Hashable, int] = {}
    member = np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.intp)
    return len(numbers), member


def _columns(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
