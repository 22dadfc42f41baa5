"""What the dock shows of an evaluation, and which images are behind a number. No Qt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_events import EvaluationResult
from napari_cxr.evaluation.metric_text import figure_text
from napari_cxr.evaluation.operating_points import predictive_values
from napari_cxr.evaluation.report import images_text
from napari_cxr.metrics.confidence_intervals import Interval, proportion_interval
from napari_cxr.training.run_table import negative_class

__all__ = [
    'Confusion',
    'ThresholdRates',
    'best_baseline',
    'confusion',
    'first_class',
    'paths_in_bin',
    'paths_in_cell',
    'rates_at',
    'worth_headline',
    'worth_sentence',
]


def worth_headline(metrics: Mapping[str, Any], model: str) -> str:
    """Return the one figure of a model that stands first."""
    auc = metrics['models'][model].get('auc')
    return f'AUC {figure_text(auc)}' if auc else 'Nothing can be measured'


def worth_sentence(metrics: Mapping[str, Any], model: str) -> str:
    """Return what that figure is worth: patients, and what sees no anatomy.

    Parameters
    ----------
    metrics : mapping
        As in ``metrics.json``.
    model : str
        Its name there.
    """
    about, own = metrics['set'], metrics['models'][model]
    images = images_text(about)
    if not own.get('auc'):
        return f'{model}: the {images} have one label only.'
    said = f'{model}, on {images}.'
    if name := best_baseline(metrics):
        value = metrics['baselines'][name]['auc']['value']
        said += f' A classifier that sees no anatomy reaches {value:.3f} ({name}).'
    return said


def best_baseline(metrics: Mapping[str, Any]) -> str:
    """Return the best classifier that sees no anatomy and knows all sources; empty for none."""
    known = [
        (one['auc']['value'], name)
        for name, one in metrics['baselines'].items()
        if one.get('auc') and one['auc']['value'] is not None and 'left out' not in name
    ]
    return max(known)[1] if known else ''


def first_class(result: EvaluationResult) -> str:
    """Return the class whose curves are shown first.

    The first that some of the images have and some have not; a disease goes before the class
    without it.
    """
    labels, counts = result.table.labels, result.table.truth.sum(axis=0)
    negative = negative_class(labels)

    def order(k: int) -> tuple[bool, bool]:
        return (not 0 < counts[k] < len(result.table), labels[k] == negative)

    return labels[min(range(len(labels)), key=order)]


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix.

    Parameters
    ----------
    rows, columns : tuple of str
        True and predicted.
    counts : ndarray of int, shape (r, c)
        Images.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: np.ndarray


def confusion(result: EvaluationResult, model: str, label: str, threshold: float) -> Confusion:
    """Return the confusion matrix of all classes, or with several labels that of one.

    Parameters
    ----------
    result : EvaluationResult
        The evaluation.
    model, label : str
        Of several labels: which one, predicted from the `threshold` on.
    threshold : float
        See `label`.
    """
    table = result.table
    rows, columns, of_row, of_column = _cells(result, model, label, threshold)
    counts = np.zeros((len(rows), len(columns)), dtype=np.intp)
    np.add.at(counts, (of_row, of_column), 1)
    assert len(of_row) == len(table)
    return Confusion(rows, columns, counts)


def paths_in_cell(
    result: EvaluationResult, model: str, label: str, threshold: float, cell: tuple[int, int]
) -> tuple[list[str], str]:
    """Return the images in a cell of that matrix, and what they are in a few words."""
    rows, columns, of_row, of_column = _cells(result, model, label, threshold)
    places = np.flatnonzero((of_row == cell[0]) & (of_column == cell[1]))
    return _paths(result, places), f'{rows[cell[0]]} → {columns[cell[1]]}'


def _cells(
    result: EvaluationResult, model: str, label: str, threshold: float
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray, np.ndarray]:
    table = result.table
    probabilities = table.probabilities[model]
    if not table.multilabel:
        names = table.labels
        return names, names, table.truth.argmax(axis=1), probabilities.argmax(axis=1)
    k = table.labels.index(label)
    names = (label, f'no {label}')
    called = probabilities[:, k] >= threshold
    return names, names, 1 - table.truth[:, k].astype(int), 1 - called.astype(int)


def paths_in_bin(
    result: EvaluationResult, model: str, label: str, number: int
) -> tuple[list[str], str]:
    """Return the images of a bin of the reliability curve, and what they are.

    Bins hold about as many images each, by rising probability, as in ``metrics.json``.
    """
    k = result.table.labels.index(label)
    scores = result.table.probabilities[model][:, k]
    bins = len(result.metrics['models'][model]['curves'][label]['reliability']['x'])
    parts = np.array_split(np.argsort(scores, kind='stable'), bins)
    places = parts[number]
    low, high = scores[places].min(), scores[places].max()
    return _paths(result, places), f'p({label}) from {low:.3f} to {high:.3f}'


def _paths(result: EvaluationResult, places: np.ndarray) -> list[str]:
    return [path for path in (result.table.paths[i] for i in places.tolist()) if path]


@dataclass(frozen=True)
class ThresholdRates:
    """What a threshold does.

    Parameters
    ----------
    sensitivity, specificity : Interval
        With intervals by patient.
    ppv, npv : float
        Predictive values at a prevalence; NaN where they are undefined.
    """

    sensitivity: Interval
    specificity: Interval
    ppv: float
    npv: float


def rates_at(
    result: EvaluationResult, model: str, label: str, threshold: float, prevalence: float
) -> ThresholdRates:
    """Return what a threshold does where so many patients have the class.

    Parameters
    ----------
    result : EvaluationResult
        The evaluation.
    model, label : str
        Whose threshold, and of which class.
    threshold : float
        From which probability on the class is predicted.
    prevalence : float
        In [0, 1].
    """
    table = result.table
    k = table.labels.index(label)
    positive = table.truth[:, k]
    called = table.probabilities[model][:, k] >= threshold
    patients = np.array(table.patients, dtype=object)
    rates = [
        proportion_interval(right[which], patients[which].tolist())
        if which.any()
        else Interval(math.nan, math.nan, math.nan)
        for right, which in ((called, positive), (~called, ~positive))
    ]
    ppv, npv = predictive_values(np.array(rates[0].value), np.array(rates[1].value), prevalence)
    return ThresholdRates(rates[0], rates[1], float(ppv), float(npv))
