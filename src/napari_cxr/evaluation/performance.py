"""Every metric of a classifier on a set of images, with intervals by patient.

Metrics are functions of the weight of each image, so one pass over thousands of resamples gives
the intervals of those for which nothing better is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.metrics.class_metrics import bootstrap_metrics, fewest_patients
from napari_cxr.metrics.classification import (
    auc,
    confusion_matrix,
    f1,
    label_confusions,
    one_hot,
    precision,
    predicted_labels,
    sensitivity,
    specificity,
)
from napari_cxr.metrics.confidence_intervals import (
    Interval,
    auc_interval,
    balanced_accuracy_interval,
    f1_interval,
    macro_auc_interval,
    mean_f1_interval,
    proportion_interval,
)
from napari_cxr.metrics.probability_scores import (
    average_precision,
    brier_score,
    expected_calibration_error,
    mean_log_loss,
    multiclass_mcc,
)

__all__ = ['CLASS_METRICS', 'OVERALL_METRICS', 'PerformanceMetrics', 'figure', 'performance']

#: Metrics of all classes together, in the order of a report; those of classes are their means.
OVERALL_METRICS = (
    *('accuracy', 'balanced_accuracy', 'precision', 'recall', 'f1', 'specificity'),
    *('auc', 'average_precision', 'mcc', 'brier', 'log_loss', 'ece'),
)
#: Metrics of one class against the rest.
CLASS_METRICS = ('recall', 'specificity', 'precision', 'f1', 'auc', 'average_precision')

_SCORES = {
    'brier': brier_score,
    'log_loss': mean_log_loss,
    'ece': expected_calibration_error,
}
#: Resamples, and what they may cost: resamples times images times classes.
_RESAMPLES, _FEWEST, _COST = 2000, 200, 60_000_000


class PerformanceMetrics:
    """The metrics of one classifier, for one sample or for thousands of resamples at once.

    Parameters
    ----------
    truth : ndarray of bool, shape (n, K)
        Which classes each image has.
    probabilities : ndarray, shape (n, K)
        Of each class.
    labels : sequence of str
        The classes.
    multilabel : bool
        Whether an image can have several.
    thresholds : sequence of float, optional
        With `multilabel`, the probability from which each label is predicted; 0.5 by default.
    known : ndarray of bool, shape (n, K), optional
        With `multilabel`, of which labels it is known whether an image has them; others do not
        count.
    """

    def __init__(
        self,
        truth: np.ndarray,
        probabilities: np.ndarray,
        labels: Sequence[str],
        *,
        multilabel: bool,
        thresholds: Sequence[float] | None = None,
        known: np.ndarray | None = None,
    ) -> None:
        self.truth, self.labels = np.asarray(truth, bool), list(labels)
        self.multilabel = multilabel
        self.probabilities = np.asarray(probabilities, np.float64)
        self.predicted = one_hot(
            predicted_labels(self.probabilities, multilabel, thresholds or None), len(labels)
        )
        self.known = np.ones_like(self.truth) if known is None else np.asarray(known, bool)
        self.truth = self.truth & self.known
        self.present = [k for k in range(len(labels)) if self.truth[:, k].any()]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images by class that are rightly and wrongly predicted: tp, fp, fn, tn."""
        each = label_confusions(self.truth, self.predicted, known=self.known)
        each = each.astype(int).tolist()
        return {
            label: {'tp': tp, 'fp': fp, 'fn': fn, 'tn': tn}
            for label, ((tn, fp), (fn, tp)) in zip(self.labels, each, strict=True)
        }

    @property
    def confusion(self) -> np.ndarray:
        """Images by true class (rows) and predicted class, if an image has one label."""
        return self.truth.T.astype(int) @ self.predicted

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics by name, those of a class as 'auc of CLASS'.

        Parameters
        ----------
        weights : ndarray, shape (m, n)
            Weight of each image in each of m resamples.

        Returns
        -------
        dict of str to ndarray, shape (m,)
            NaN where a metric is undefined; a class without images in the set counts in no mean.
        """
        each = label_confusions(self.truth, self.predicted, weights, self.known)
        of_class = {
            'recall': sensitivity(each)[..., 1],
            'specificity': specificity(each)[..., 1],
            'precision': precision(each)[..., 1],
            'f1': f1(each)[..., 1],
        }
        columns = range(len(self.labels))
        for name, metric in (('auc', auc), ('average_precision', average_precision)):
            of_class[name] = np.stack(
                [
                    metric(self.truth[:, k], self.probabilities[:, k], weights * self.known[:, k])
                    for k in columns
                ],
                axis=-1,
            )
        right = each[..., 0, 0] + each[..., 1, 1]
        total = weights.sum(axis=-1)
        means = {name: _mean(values[..., self.present]) for name, values in of_class.items()}
        # A class that is never predicted has no precision of its own, and counts as 0 in the mean.
        means['precision'] = np.nan_to_num(of_class['precision'][..., self.present]).mean(axis=-1)
        if self.multilabel:
            with np.errstate(invalid='ignore', divide='ignore'):
                accuracy = right.sum(axis=-1) / each.sum(axis=(-3, -2, -1))
            balanced = (means['recall'] + means['specificity']) / 2
            mcc = _mean(np.stack([multiclass_mcc(each[..., k, :, :]) for k in self.present], -1))
        else:
            whole = confusion_matrix(
                self.truth.argmax(1), self.predicted.argmax(1), len(self.labels), weights
            )
            with np.errstate(invalid='ignore', divide='ignore'):
                accuracy = np.trace(whole, axis1=-2, axis2=-1) / total
            balanced, mcc = means['recall'], multiclass_mcc(whole)
        scores = {
            name: metric(self.truth, self.probabilities, weights, self.multilabel, self.known)
            for name, metric in _SCORES.items()
        }
        out = {'accuracy': accuracy, 'balanced_accuracy': balanced, 'mcc': mcc, **means, **scores}
        out = {name: out[name] for name in OVERALL_METRICS}
        for k in self.present:
            out |= {
                f'{name} of {self.labels[k]}': of_class[name][..., k] for name in CLASS_METRICS
            }
        return out


def performance(
    table: EvaluationTable,
    classifier: str,
    thresholds: Sequence[float] | None = None,
    *,
    times: int = _RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate a classifier on all images of a table.

    Parameters
    ----------
    table : EvaluationTable
        The images to evaluate by, and nothing else.
    classifier : str
        Its name in the table.
    thresholds : sequence of float, optional
        With several labels, from which probability each is predicted.
    times, seed : int
        Of the bootstrap; with very many images there are fewer resamples.

    Returns
    -------
    dict
        ``images``, ``patients``; each of `OVERALL_METRICS` as `figure` makes it; ``classes``: by
        class ``images``, ``counts`` and `CLASS_METRICS`; ``confusion`` if an image has one label.
        Empty where the images have fewer than two different labels.
    """
    if not table.varies:
        return {}
    metrics = PerformanceMetrics(
        table.truth,
        table.probabilities[classifier],
        table.labels,
        multilabel=table.multilabel,
        thresholds=thresholds,
        known=table.known,
    )
    spread = bootstrap_metrics(
        metrics,
        table.patients,
        table.strata,
        times=resamples(table, times),
        seed=seed,
        fewest=fewest_patients(
            metrics.truth[:, metrics.present], table.patients, metrics.multilabel
        ),
    )
    spread |= _by_patient(metrics, table)
    counts = metrics.counts
    return {
        'images': len(table),
        'patients': len(set(table.patients)),
        **{name: figure(spread[name]) for name in OVERALL_METRICS},
        'classes': {
            label: {
                'images': int(table.truth[:, k].sum()),
                'counts': counts[label],
                **{name: figure(spread[f'{name} of {label}']) for name in CLASS_METRICS},
            }
            for k, label in enumerate(table.labels)
            if k in metrics.present
        },
        **({} if table.multilabel else {'confusion': metrics.confusion.tolist()}),
    }


def _by_patient(metrics: PerformanceMetrics, table: EvaluationTable) -> dict[str, Interval]:
    """Return the intervals of metrics that need no bootstrap, which hold on small sets as well."""
    truth, predicted, scores = metrics.truth, metrics.predicted, metrics.probabilities
    numbers = {name: i for i, name in enumerate(dict.fromkeys(table.patients))}
    patient = np.array([numbers[name] for name in table.patients])
    found: dict[str, Interval] = {}
    for k in metrics.present:
        own = metrics.known[:, k]
        label, has, called = metrics.labels[k], truth[own, k], predicted[own, k]
        who = patient[own]
        found |= {
            f'recall of {label}': proportion_interval(called[has], who[has]),
            f'specificity of {label}': proportion_interval(~called[~has], who[~has]),
            f'precision of {label}': proportion_interval(has[called], who[called]),
            f'f1 of {label}': f1_interval(has, called, who),
            f'auc of {label}': auc_interval(has, scores[own, k], who),
        }
    if metrics.multilabel:
        decisions = (predicted == truth)[metrics.known]
        whose = np.repeat(patient, truth.shape[1]).reshape(truth.shape)[metrics.known]
        found['accuracy'] = proportion_interval(decisions, whose)
    else:
        found['accuracy'] = proportion_interval((predicted & truth).any(axis=1), patient)
        rates = [found[f'recall of {metrics.labels[k]}'] for k in metrics.present]
        found['balanced_accuracy'] = found['recall'] = balanced_accuracy_interval(rates)
    found['f1'] = mean_f1_interval([found[f'f1 of {metrics.labels[k]}'] for k in metrics.present])
    # With two classes of which each image has one, both areas are the same one.
    two = truth.shape[1] == 2 and not metrics.multilabel
    areas = metrics.present[:1] if two else metrics.present
    found['auc'] = macro_auc_interval(
        truth[:, areas], scores[:, areas], patient, metrics.known[:, areas]
    )
    return found


def resamples(table: EvaluationTable, times: int = _RESAMPLES) -> int:
    """Return how many resamples a table of this size gets."""
    return max(min(times, _FEWEST), min(times, _COST // max(1, table.truth.size)))


def figure(interval: Interval) -> dict[str, Any]:
    """Return a number as it stands in ``metrics.json``: value, and interval or None.

    Rounded to six digits, so that computing again gives the same text.
    """
    value, low, high = (
        round(x, 6) if math.isfinite(x) else None
        for x in (interval.value, interval.low, interval.high)
    )
    return {'value': value, 'interval': None if low is None or high is None else [low, high]}


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of what is defined."""
    known = np.isfinite(values)
    counted = known.sum(axis=-1)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(known, values, 0).sum(axis=-1) / np.where(counted, counted, np.nan)
