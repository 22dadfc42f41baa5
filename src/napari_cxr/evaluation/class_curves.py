"""Curves of a classifier, with bands resampled by patient, ready to be drawn.

Plain lists of numbers, as they stand in ``metrics.json``, so that whoever draws them computes
nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.performance import figure
from napari_cxr.metrics.classification import auc
from napari_cxr.metrics.confidence_intervals import bootstrap, mean_interval, proportion_interval

__all__ = ['class_curves']

#: Places on the x axis at which a curve has a value and a band.
_GRID = np.linspace(0, 1, 51)
_RESAMPLES, _COST = 300, 3_000_000
#: Bins of the reliability curve, and of the histograms of probabilities.
_BINS, _BARS = 10, 20


def class_curves(
    table: EvaluationTable, classifier: str, label: str, *, seed: int = 0
) -> dict[str, Any]:
    """Return the curves of one class against the rest.

    Parameters
    ----------
    table : EvaluationTable
        The images to evaluate by.
    classifier, label : str
        Whose probabilities, and of which class.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``roc``: ``x`` (1 - specificity), ``y`` (recall), ``low``, ``high``;
        ``precision_recall``: ``x`` (recall), ``y`` (precision), ``low``, ``high``;
        ``reliability``: ``x`` (mean probability of a bin), ``y`` (fraction with the class),
        ``low``, ``high``, ``images``; ``by_class``: by true class ``mean``, as `figure`, and
        ``bars``, how many images there are in each of 20 bins of the probability.
        Empty where all images have the class, or none.
    """
    k, table = table.labels.index(label), table.of_class(label)
    positive, scores = table.truth[:, k], table.probabilities[classifier][:, k]
    if positive.all() or not positive.any():
        return {}
    order = np.argsort(-scores, kind='stable')
    ends = np.flatnonzero(np.r_[scores[order][1:] != scores[order][:-1], True])
    times = max(50, min(_RESAMPLES, _COST // len(table)))

    def both(weights: np.ndarray) -> np.ndarray:
        found = np.cumsum((weights * positive)[:, order], axis=1)[:, ends]
        wrong = np.cumsum((weights * ~positive)[:, order], axis=1)[:, ends]
        return np.stack([_curves(f, w) for f, w in zip(found, wrong, strict=True)])

    spread = bootstrap(both, table.patients, positive.tolist(), times=times, seed=seed)
    values, lows, highs = np.array([[i.value, i.low, i.high] for i in spread]).T.round(5).tolist()
    n = len(_GRID)
    grid = _GRID.round(4).tolist()

    def curve(part: slice) -> dict[str, list[float]]:
        return {'x': grid, 'y': values[part], 'low': lows[part], 'high': highs[part]}

    return {
        'auc': round(float(auc(positive, scores)), 6),
        'roc': curve(slice(0, n)),
        'precision_recall': curve(slice(n, 2 * n)),
        'reliability': _reliability(table, positive, scores),
        'by_class': _by_class(table, scores),
    }


def _curves(found: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return recall at each place of 1 - specificity, then precision at each recall."""
    if found[-1] == 0 or wrong[-1] == 0:
        return np.full(2 * len(_GRID), np.nan)
    x, y = np.r_[0, wrong / wrong[-1]], np.r_[0, found / found[-1]]
    # The empirical curve is made of steps: the highest recall at so many false alarms.
    roc = y[np.searchsorted(x, _GRID + 1e-12, side='right') - 1]
    called = np.maximum(found + wrong, 1e-12)
    # The best precision at this recall or a higher one, so that the curve falls.
    precision = np.maximum.accumulate((found / called)[::-1])[::-1]
    at = np.minimum(np.searchsorted(found / found[-1], _GRID), len(found) - 1)
    return np.concatenate([roc, precision[at]])


def _reliability(
    table: EvaluationTable, positive: np.ndarray, scores: np.ndarray
) -> dict[str, list[float]]:
    order = np.argsort(scores, kind='stable')
    out: dict[str, list[float]] = {'x': [], 'y': [], 'low': [], 'high': [], 'images': []}
    for part in np.array_split(order, min(_BINS, len(order))):
        share = proportion_interval(positive[part], [table.patients[i] for i in part.tolist()])
        numbers = (float(scores[part].mean()), share.value, share.low, share.high)
        for name, number in zip(('x', 'y', 'low', 'high'), numbers, strict=True):
            out[name].append(round(number, 5))
        out['images'].append(len(part))
    return out


def _by_class(table: EvaluationTable, scores: np.ndarray) -> dict[str, dict[str, Any]]:
    edges = np.linspace(0, 1, _BARS + 1)
    kinds = {name: table.truth[:, k] for k, name in enumerate(table.labels)}
    if table.multilabel:
        kinds['none of them'] = np.asarray((~table.truth & table.known).all(axis=1))
    out = {}
    for name, inside in kinds.items():
        if inside.any():
            who = [table.patients[i] for i in np.flatnonzero(inside)]
            out[name] = {
                'mean': figure(mean_interval(scores[inside], who)),
                'bars': np.histogram(scores[inside], edges)[0].tolist(),
            }
    return out
