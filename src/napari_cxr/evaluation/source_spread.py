"""The spread of a result between sources: what a hospital that nobody has seen may give.

An interval by patient says how sure one can be of these hospitals. The unit of generalisation is
the hospital, so a random-effects model of the areas by source, on the logit scale, says what to
expect of another. The variance between sources is Paule's and Mandel's (J. Res. NBS 1982;87:377).
How uncertain it is follows from the generalised Q statistic, which has a chi-squared distribution
at the true variance (Viechtbauer, Stat. Med. 2007;26:37), and both intervals are averaged over
that (Iyer, Wang and Mathew, JASA 2004;99:1060): intervals that take the variance for known, as
that of Higgins, Thompson and Spiegelhalter, held a new source only 91 times in 100 where there
were six.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.performance import figure
from napari_cxr.metrics.confidence_intervals import Interval
from napari_cxr.metrics.delong import macro_auc_covariance

__all__ = ['FEWEST_SOURCES', 'RandomEffects', 'random_effects', 'source_spread']

#: With fewer sources their spread cannot be told from chance, and no interval is given.
FEWEST_SOURCES = 5

#: Variances between sources over which intervals are averaged.
_QUANTILES = 400


@dataclass(frozen=True)
class RandomEffects:
    """Effects that differ between sources.

    Parameters
    ----------
    mean, low, high : float
        Their mean over sources, and its 95 % interval.
    new_low, new_high : float
        The 95 % interval for one more source.
    between : float
        Standard deviation between sources.
    """

    mean: float
    low: float
    high: float
    new_low: float
    new_high: float
    between: float


def random_effects(effects: Sequence[float], variances: Sequence[float]) -> RandomEffects:
    """Fit a random-effects model to an effect from each source.

    Parameters
    ----------
    effects, variances : sequence of float, length k
        Estimates from k sources, and the variance of each within its source, above 0.

    Returns
    -------
    RandomEffects
        The interval for a new source is NaN with fewer than three sources, the one of the mean
        with fewer than two.
    """
    y, v = np.asarray(effects, np.float64), np.asarray(variances, np.float64)
    k = len(y)
    if k < 2:
        mean = float(y[0]) if k else math.nan
        return RandomEffects(mean, *[math.nan] * 5)
    between = _paule_mandel(y, v)
    weights = 1 / (v + between)
    mean = float(weights @ y / weights.sum())
    possible = _possible_variances(y, v)
    each = 1 / (v[:, None] + possible)
    middles, errors = (each * y[:, None]).sum(0) / each.sum(0), 1 / each.sum(0)
    low, high = _quantiles(middles, np.sqrt(errors))
    new = (math.nan, math.nan)
    if k > 2:
        new = _quantiles(middles, np.sqrt(errors + possible))
    return RandomEffects(mean, low, high, *new, between**0.5)


def _possible_variances(y: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return variances between sources, each as likely as the next, given the effects."""
    from scipy.stats import chi2

    draws = chi2.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES, len(y) - 1)
    # The weighted spread falls with the variance; where it never is so large, that is 0.
    scale = float(np.var(y) + v.mean())
    grid = np.r_[0, scale * np.geomspace(1e-6, 1e5, 2000)]
    weights = 1 / (v[:, None] + grid)
    means = (weights * y[:, None]).sum(0) / weights.sum(0)
    spread = (weights * (y[:, None] - means) ** 2).sum(0)
    return np.asarray(np.interp(draws, spread[::-1], grid[::-1]))


def _quantiles(middles: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % points of an even mixture of normal distributions."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    ends = float((middles - 9 * errors).min()), float((middles + 9 * errors).max())

    def at(share: float) -> float:
        return float(
            brentq(lambda x: float(norm.cdf((x - middles) / errors).mean()) - share, *ends)
        )

    return at(0.025), at(0.975)


def _paule_mandel(y: np.ndarray, v: np.ndarray) -> float:
    """Return the variance between sources at which the weighted spread is what is expected."""
    from scipy.optimize import brentq

    def excess(between: float) -> float:
        weights = 1 / (v + between)
        mean = weights @ y / weights.sum()
        return float(weights @ (y - mean) ** 2) - (len(y) - 1)

    if excess(0.0) <= 0:
        return 0.0
    high = float(np.var(y)) + 1.0
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=1e-12))


def source_spread(table: EvaluationTable, classifier: str) -> dict[str, Any]:
    """Return how much a classifier's macro AUC differs between sources.

    Parameters
    ----------
    table : EvaluationTable
        With a column 'source'.
    classifier : str
        Its name in the table.

    Returns
    -------
    dict
        ``known``: how many sources hold images of two classes, so that an area can be had from
        each; ``areas`` by source, as `figure`; ``mean`` over sources and ``new_source``, with
        intervals that are None where there are fewer than `FEWEST_SOURCES`; ``between``, the
        standard deviation between sources on the logit scale; ``said``: this in words.
    """
    sources = np.array(table.columns.get('source', ()), dtype=object)
    names = table.values('source')
    effects, variances, areas = [], [], {}
    for name in names:
        own = table.subset(sources == name)
        found = macro_auc_covariance(
            own.truth, [own.probabilities[classifier]], own.patients, own.known
        )
        area, variance = float(found.areas[0]), float(found.covariance[0, 0])
        if not math.isfinite(area) or not math.isfinite(variance):
            continue
        logit, error = _on_logit_scale(area, variance, own.truth)
        half = 1.959964 * error
        areas[name] = figure(Interval(area, _inverse(logit - half), _inverse(logit + half)))
        effects.append(logit)
        variances.append(error**2)
    fitted = random_effects(effects, variances)
    enough = len(effects) >= FEWEST_SOURCES
    nothing = math.nan
    mean = Interval(
        _inverse(fitted.mean),
        *((_inverse(fitted.low), _inverse(fitted.high)) if enough else (nothing, nothing)),
    )
    new = Interval(
        _inverse(fitted.mean),
        *((_inverse(fitted.new_low), _inverse(fitted.new_high)) if enough else (nothing, nothing)),
    )
    return {
        'known': len(effects),
        'named': len(names),
        'areas': areas,
        'mean': figure(mean),
        'new_source': figure(new),
        'between': round(fitted.between, 6) if math.isfinite(fitted.between) else None,
        'said': _in_words(names, areas, new),
    }


def _on_logit_scale(area: float, variance: float, truth: np.ndarray) -> tuple[float, float]:
    """Return logit and standard error; an area of 0 or 1 is moved by half a pair."""
    pairs = max(float(truth[:, k].sum() * (~truth[:, k]).sum()) for k in range(truth.shape[1]))
    moved = min(max(area, 0.5 / pairs), 1 - 0.5 / pairs)
    if variance <= 0:
        # Hanley and McNeil (Radiology 1982;143:29), where the sample shows no spread.
        k = int(np.argmax([(t.sum() * (~t).sum()) for t in truth.T]))
        have, lack = float(truth[:, k].sum()), float((~truth[:, k]).sum())
        q1, q2 = moved / (2 - moved), 2 * moved**2 / (1 + moved)
        variance = (
            moved * (1 - moved) + (have - 1) * (q1 - moved**2) + (lack - 1) * (q2 - moved**2)
        ) / (have * lack)
    return math.log(moved / (1 - moved)), math.sqrt(variance) / (moved * (1 - moved))


def _inverse(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if math.isfinite(logit) else math.nan


def _in_words(names: Sequence[str], areas: dict[str, Any], new: Interval) -> str:
    if not names:
        return (
            'Nothing says which hospital or collection an image comes from, so nothing '
            'can be said of others. Add a column "source".'
        )
    if len(names) == 1:
        return (
            f'All images come from one source, {names[0]}. What the model does in another '
            'hospital cannot be known from them.'
        )
    if not areas:
        return (
            f'No source of these {len(names)} holds images of two classes with at least two '
            'patients each, so the model may be telling sources apart, and nothing here can show '
            'otherwise.'
        )
    if len(areas) < FEWEST_SOURCES:
        one = len(areas) == 1
        counted = (
            f'All {len(names)} sources hold images of two classes.'
            if len(areas) == len(names)
            else f'Only {len(areas)} of {len(names)} sources hold{"s" if one else ""} images of '
            'two classes.'
        )
        return (
            f'{counted} With fewer than {FEWEST_SOURCES} sources nobody can know how much '
            'hospitals differ, so no interval for another hospital is given. The interval by '
            'patient does not stand in for it.'
        )
    return (
        f'In another hospital, expect an AUC between {new.low:.2f} and {new.high:.2f} (95 % '
        f'prediction interval from {len(areas)} sources).'
    )
