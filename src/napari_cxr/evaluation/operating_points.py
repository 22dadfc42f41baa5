"""Thresholds that are fixed on validation images, and what they do on others.

A threshold that is chosen by the images that it is judged by looks better than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.performance import figure, resamples
from napari_cxr.metrics.confidence_intervals import Interval, bootstrap, proportion_interval
from napari_cxr.training.answer_fitting import operating_points

__all__ = ['choose_thresholds', 'performance_at', 'predictive_values']


def choose_thresholds(
    tuning: EvaluationTable, classifier: str, cost: float = 0, prevalence: float | None = None
) -> dict[str, dict[str, float]]:
    """Choose thresholds for each class.

    Parameters
    ----------
    tuning : EvaluationTable
        Validation images, which nothing is judged by.
    classifier : str
        Its name in the table.
    cost : float
        How many false alarms one missed case is worth; 0 for no threshold by cost.
    prevalence : float, optional
        How frequent the class is where the model is to be used; by default as in `tuning`.

    Returns
    -------
    dict
        By class and criterion: 'sensitivity 0.90', '0.95', '0.975', 'Youden', and 'cost N': the
        threshold with the least expected cost of misses and false alarms.
    """
    labels, probabilities = tuning.labels, tuning.probabilities[classifier]
    points = operating_points(
        tuning.truth if tuning.multilabel else tuning.classes,
        probabilities,
        labels,
        known=tuning.known if tuning.multilabel else None,
    )
    if cost:
        for label, found in points.items():
            k = labels.index(label)
            found[f'cost {cost:g}'] = _least_cost(
                tuning.truth[tuning.known[:, k], k],
                probabilities[tuning.known[:, k], k],
                cost,
                prevalence,
            )
    return points


def _least_cost(
    positive: np.ndarray, scores: np.ndarray, cost: float, prevalence: float | None
) -> float:
    share = float(positive.mean()) if prevalence is None else prevalence
    thresholds = np.unique(scores)
    missed = np.searchsorted(np.sort(scores[positive]), thresholds) / positive.sum()
    alarms = 1 - np.searchsorted(np.sort(scores[~positive]), thresholds) / (~positive).sum()
    expected = cost * share * missed + (1 - share) * alarms
    # The lowest of those that cost the same misses the fewest.
    return float(thresholds[int(np.argmin(np.round(expected, 12)))])


def performance_at(
    table: EvaluationTable,
    classifier: str,
    points: Mapping[str, Mapping[str, float]],
    prevalence: float | None = None,
    *,
    times: int,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what thresholds do that were chosen on other images.

    Parameters
    ----------
    table : EvaluationTable
        The images to judge by.
    classifier : str
        Its name in the table.
    points : mapping
        As `choose_thresholds` returns them.
    prevalence : float, optional
        For which predictive values are computed, beside those at the set's own.
    times, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        By class and criterion: ``threshold``; ``recall``, ``specificity``, ``ppv``, ``npv``, and
        with a prevalence ``ppv_at_prevalence``, ``npv_at_prevalence``, as `figure` makes them.
    """
    wanted = [
        (label, name, threshold)
        for label, found in points.items()
        if label in table.labels and table.truth[:, table.labels.index(label)].any()
        for name, threshold in found.items()
    ]
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for label, name, threshold in wanted:
        k, own = table.labels.index(label), table.of_class(label)
        has = own.truth[:, k]
        called = own.probabilities[classifier][:, k] >= threshold
        out.setdefault(label, {})[name] = {
            'threshold': threshold,
            'recall': figure(_share(called, has, own)),
            'specificity': figure(_share(~called, ~has, own)),
            'ppv': figure(_share(has, called, own)),
            'npv': figure(_share(~has, ~called, own)),
        }
    if prevalence is not None and wanted:
        spread = _at_prevalence(table, classifier, wanted, prevalence, times, seed)
        for i, (label, name, _) in enumerate(wanted):
            positive, negative = spread[2 * i : 2 * i + 2]
            out[label][name] |= {
                'ppv_at_prevalence': figure(positive),
                'npv_at_prevalence': figure(negative),
            }
    return out


def _share(right: np.ndarray, of: np.ndarray, table: EvaluationTable) -> Interval:
    """Return which fraction of some images is right."""
    patients = [table.patients[i] for i in np.flatnonzero(of)]
    return proportion_interval(right[of], patients)


def _at_prevalence(
    table: EvaluationTable,
    classifier: str,
    wanted: Sequence[tuple[str, str, float]],
    prevalence: float,
    times: int,
    seed: int,
) -> list[Interval]:
    """Return both predictive values of each class and threshold, one after the other."""

    def values(weights: np.ndarray) -> np.ndarray:
        columns: list[np.ndarray] = []
        for label, _, threshold in wanted:
            k = table.labels.index(label)
            has = table.truth[:, k]
            called = table.probabilities[classifier][:, k] >= threshold
            with np.errstate(invalid='ignore', divide='ignore'):
                lacks = ~has & table.known[:, k]
                recall = weights @ (has & called) / (weights @ has)
                specificity = weights @ (lacks & ~called) / (weights @ lacks)
            columns += predictive_values(recall, specificity, prevalence)
        return np.stack(columns, axis=-1)

    return bootstrap(
        values, table.patients, table.strata, times=resamples(table, times), seed=seed
    )


def predictive_values(
    recall: np.ndarray, specificity: np.ndarray, prevalence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return positive and negative predictive value at a prevalence, by Bayes' rule."""
    share, rest = prevalence, 1 - prevalence
    with np.errstate(invalid='ignore', divide='ignore'):
        positive = share * recall / (share * recall + rest * (1 - specificity))
        negative = rest * specificity / (rest * specificity + share * (1 - recall))
    return np.asarray(positive), np.asarray(negative)
