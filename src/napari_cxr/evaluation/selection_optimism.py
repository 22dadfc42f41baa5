"""How much too good the best of several results is.

Of several models that are evaluated by the same images, the one with the best result was lucky as
well as good. Whoever reports it reports the luck too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.metrics.classification import macro_auc

__all__ = ['best_of_chance', 'nested_optimism']

_RESAMPLES = 200


def nested_optimism(
    table: EvaluationTable, classifiers: Sequence[str], *, times: int = _RESAMPLES, seed: int = 0
) -> float:
    """Return by how much the macro AUC of the best of these is too high, on average.

    The nested estimate: patients are drawn with replacement, the best classifier is chosen by
    those that were drawn, and judged by those that were not. The mean difference of its two
    areas is the optimism of choosing by a set of this size (Efron, JASA 1983;78:316).

    Parameters
    ----------
    table : EvaluationTable
        The images that were chosen by.
    classifiers : sequence of str
        Between which one chose.
    times, seed : int
        Of the resampling.

    Returns
    -------
    float
        0 for a single classifier; NaN where no resample can judge.
    """
    if len(classifiers) < 2:
        return 0.0
    random = np.random.default_rng(seed)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(table.patients))}
    member = np.array([numbers[name] for name in table.patients])
    drawn = random.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), times)
    inside = drawn[:, member].astype(np.float64)
    outside = (inside == 0).astype(np.float64)
    truth = table.classes
    chosen_by, judged_by = (
        np.stack(
            [macro_auc(truth, table.probabilities[c], weights, table.known) for c in classifiers]
        )
        for weights in (inside, outside)
    )
    best = np.nan_to_num(chosen_by, nan=-1).argmax(axis=0)
    rows = np.arange(times)
    apart = chosen_by[best, rows] - judged_by[best, rows]
    known = np.isfinite(apart)
    return float(apart[known].mean()) if known.any() else math.nan


def best_of_chance(configurations: int, error: float) -> float:
    """Return how far the best of so many equally good results lies above the truth.

    The expected maximum of so many independent normal numbers, times the standard error of one.
    Results of similar models go up and down together, so this is the most that it can be.

    Parameters
    ----------
    configurations : int
        How many there were.
    error : float
        Standard error of one result.
    """
    if configurations < 2 or not math.isfinite(error):
        return 0.0
    from scipy.integrate import quad
    from scipy.stats import norm

    def density(x: float) -> float:
        return float(x * configurations * norm.pdf(x) * norm.cdf(x) ** (configurations - 1))

    return float(error * quad(density, -10, 10, limit=200)[0])
