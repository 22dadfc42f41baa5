"""All metrics of one set of images, with their intervals, ready for a card.

They are functions of the weight of each image, so that they can be resampled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from napari_cxr.metrics.calibration import calibration_error, reliability
from napari_cxr.metrics.classification import (
    auc,
    f1,
    keras_auc,
    label_confusions,
    label_metrics,
    one_hot,
    precision,
    predicted_labels,
    sensitivity,
    specificity,
)
from napari_cxr.metrics.confidence_intervals import (
    FEWEST_PATIENTS,
    Interval,
    auc_interval,
    balanced_accuracy_interval,
    bootstrap,
    f1_interval,
    macro_auc_interval,
    mean_f1_interval,
    mean_interval,
    patients_by_class,
    proportion_interval,
)
from napari_cxr.metrics.probability_scores import (
    average_precision,
    image_losses,
)

__all__ = [
    'CLASS_METRICS',
    'OVERALL_METRICS',
    'WeightedMetrics',
    'bootstrap_metrics',
    'fewest_patients',
    'interval_lists',
    'restricted',
    'summarise',
]

#: Metrics of all classes together in a summary; Keras' AUC with two classes only.
OVERALL_METRICS = (
    'accuracy',
    'balanced_accuracy',
    'macro_f1',
    'macro_auc',
    'keras_auc',
    'log_loss',
    'brier',
)

#: Metrics of a class in a summary.
CLASS_METRICS = (
    *('sensitivity', 'specificity', 'precision', 'f1', 'auc', 'mean_probability'),
    'average_precision',
)


class WeightedMetrics:
    """Metrics of one set of images, for one sample or for thousands of resamples at once.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or the labels of each image, if it can have several.
    probabilities : ndarray, shape (n, classes)
        Probabilities of each class.
    labels : sequence of str
        Names of the classes.
    pairs : bool
        Whether to compute the AUC between each two classes, if an image has one label and
        there are more than two classes.
    thresholds : sequence of float, optional
        If an image can have several labels, the probability from which each is predicted;
        0.5 by default.
    known : ndarray of bool, shape (n, classes), optional
        With several labels, where it is known whether the image has them; others do not count.

    Attributes
    ----------
    present : list of int
        The classes that have images.
    inside, predicted : ndarray of bool, shape (n, classes)
        Which classes each image has, and which are predicted: the most probable one, or with
        several labels those that reach their thresholds.
    """

    def __init__(
        self,
        truth: np.ndarray,
        probabilities: np.ndarray,
        labels: Sequence[str],
        *,
        pairs: bool = False,
        thresholds: Sequence[float] | None = None,
        known: np.ndarray | None = None,
    ) -> None:
        truth = np.asarray(truth)
        self.multilabel = truth.ndim == 2
        self.labels = list(labels)
        classes = len(self.labels)
        self.known = np.ones((len(truth), classes), bool) if known is None else known
        self.inside = one_hot(truth, classes) & self.known
        self.predicted = one_hot(
            predicted_labels(probabilities, self.multilabel, thresholds), classes
        )
        self.present = [i for i in range(classes) if self.inside[:, i].any()]
        self._truth, self._probabilities = truth, probabilities
        self._two = classes == 2 and not self.multilabel
        between = combinations(self.present, 2) if pairs else ()
        self.pairs = [] if self.multilabel or classes == 2 else list(between)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics.

        Parameters
        ----------
        weights : ndarray, shape (m, n)
            Weight of each image in each of m resamples.

        Returns
        -------
        dict of str to ndarray, shape (m,)
            ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``macro_auc``, with two
            classes ``keras_auc``, ``log_loss``, ``brier``; then 'f1 of CLASS' and so on, see
            `CLASS_METRICS`; then 'CLASS against CLASS', the AUC between two classes, by the
            first's fraction of both probabilities. NaN if a metric is undefined.
        """
        each = label_confusions(self.inside, self.predicted, weights, self.known)
        right, balanced, harmonic = self._overall(each)
        areas = [self._ranked(auc, i, weights) for i in self.present]
        known = np.array(areas).reshape(len(areas), *weights.shape[:-1])
        counted = np.isfinite(known).sum(axis=0)
        with np.errstate(invalid='ignore'):
            macro = np.nansum(known, axis=0) / np.where(counted, counted, np.nan)
        out = {
            'accuracy': right,
            'balanced_accuracy': balanced,
            'macro_f1': harmonic,
            'macro_auc': macro,
        }
        if self._two:
            out['keras_auc'] = keras_auc(self._truth, self._probabilities, weights)
        for name, losses in self.losses.items():
            with np.errstate(invalid='ignore'):
                out[name] = weights @ losses / weights.sum(axis=-1)
        rates = [metric(each)[..., 1] for metric in (sensitivity, specificity, precision, f1)]
        for place, i in enumerate(self.present):
            own = weights * self.inside[:, i]
            with np.errstate(invalid='ignore'):
                mean = own @ self._of(i) / own.sum(axis=-1)
            ranked = self._ranked(average_precision, i, weights)
            values = (*(rate[:, i] for rate in rates), areas[place], mean, ranked)
            out |= {
                f'{name} of {self.labels[i]}': value
                for name, value in zip(CLASS_METRICS, values, strict=True)
            }
        for i, j in self.pairs:
            rows = np.flatnonzero(self.inside[:, i] | self.inside[:, j])
            score = restricted(self._probabilities[rows], (i, j))[:, 0]
            area = auc(self.inside[rows, i], score, weights[:, rows])
            out[f'{self.labels[i]} against {self.labels[j]}'] = area
        return out

    @property
    def class_pairs(self) -> list[str]:
        """Names of the metrics that compare two classes."""
        return [f'{self.labels[i]} against {self.labels[j]}' for i, j in self.pairs]

    @property
    def losses(self) -> dict[str, np.ndarray]:
        """What each image adds to ``log_loss`` and ``brier``, shape (n,) each."""
        known = None if self.known.all() else self.known
        return image_losses(self.inside, self._probabilities, self.multilabel, known)

    def _ranked(
        self, metric: Callable[..., np.ndarray], i: int, weights: np.ndarray
    ) -> np.ndarray:
        """Return a metric of the order in which a class is found."""
        own = self.known[:, i]
        if own.all():
            return metric(self.inside[:, i], self._of(i), weights)
        return metric(self.inside[own, i], self._of(i)[own], weights[:, own])

    def _of(self, i: int) -> np.ndarray:
        column: np.ndarray = self._probabilities[:, i]
        return column

    def _overall(self, each: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return accuracy, balanced accuracy and macro F1 from the classes' own counts."""
        if self.multilabel:
            return label_metrics(each)
        _, _, harmonic = label_metrics(each)
        found = each[..., 1, :].sum(axis=-1) > 0
        sensitivities = np.where(found, sensitivity(each)[..., 1], 0)
        # A resample of all folds may contain no image of a small one: it is undefined there.
        with np.errstate(invalid='ignore'):
            right = each[..., 1, 1].sum(axis=-1) / each[..., 0, :, :].sum(axis=(-2, -1))
            balanced = sensitivities.sum(axis=-1) / found.sum(axis=-1)
        return right, balanced, harmonic


def restricted(probabilities: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return the probabilities restricted to some classes, shape (n, len(classes)).

    Normalised to a sum of 1; equal if all of them are 0.
    """
    chosen = np.asarray(probabilities, dtype=np.float64)[:, list(classes)]
    total = chosen.sum(axis=1, keepdims=True)
    alike = np.full_like(chosen, 1 / chosen.shape[1])
    return np.divide(chosen, total, out=alike, where=total > 0)


def summarise(
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    *,
    pairs: bool = False,
    thresholds: Sequence[float] | None = None,
    times: int = 2000,
    seed: int = 0,
    known: np.ndarray | None = None,
) -> dict[str, Any]:
    """Evaluate a classifier on one set of images.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or the labels of each image, if it can have several.
    probabilities : ndarray, shape (n, classes)
        Probabilities of each class.
    labels : sequence of str
        Names of the classes.
    groups : sequence, optional
        The patient of each image; by default each image is a patient of its own.
    pairs : bool
        Whether to compare each two classes by themselves; for images of one source, which
        cannot be told apart by their source.
    thresholds : sequence of float, optional
        If an image can have several labels, the probability from which each is predicted;
        0.5 by default.
    times, seed : int
        Of the bootstrap.
    known : ndarray of bool, shape (n, classes), optional
        With several labels, where it is known whether the image has them; others do not count.

    Returns
    -------
    dict
        ``images``, ``patients``, and, as [value, low, high] with 95 % intervals:
        ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``macro_auc``, ``log_loss``,
        ``brier`` and, with two classes of which an image has one, ``keras_auc`` (see the
        function). For each class that has images, under ``classes``, its ``sensitivity``,
        ``specificity``, ``precision``, ``f1``, ``auc``, ``mean_probability`` (of the class,
        over its own images) and ``average_precision``; ``reliability``, see the function; and
        ``counts``: ``tp``, ``fp``, ``tn``, ``fn`` of the predicted labels.
        ``confusion`` (rows are the true classes) if an image has one label. ``pairs``, if
        wanted and there are any: by 'CLASS against CLASS' the AUC between these two, see
        `WeightedMetrics`.

        All intervals are by patient, see `napari_cxr.metrics.confidence_intervals`; those of
        ``macro_f1`` and ``keras_auc``, and with several labels of ``balanced_accuracy``, are of
        the bootstrap. ``calibration_error`` has none. For the meaning of accuracy and the
        others with several labels see `validation_metrics`.
    """
    names = list(range(len(truth))) if groups is None else list(groups)
    metrics = WeightedMetrics(
        truth, probabilities, labels, pairs=pairs, thresholds=thresholds, known=known
    )
    probabilities = np.asarray(probabilities, dtype=np.float64)
    inside, predicted, multilabel = metrics.inside, metrics.predicted, metrics.multilabel
    fewest = fewest_patients(inside[:, metrics.present], names, multilabel)
    # With several labels there would be nearly as many strata as patients.
    strata = [0] * len(inside) if multilabel else [int(t) for t in truth]
    spread = bootstrap_metrics(metrics, names, strata, times=times, seed=seed, fewest=fewest)
    known = metrics.known
    each = label_confusions(inside, predicted, known=known)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    member = np.array([numbers[name] for name in names])
    classes: dict[str, Any] = {}
    sensitivities, harmonic = [], []
    for i in metrics.present:
        label, own = labels[i], known[:, i]
        there, called = inside[:, i], predicted[:, i] & own
        (tn, fp), (fn, tp) = each[i].astype(int).tolist()
        sensitivities.append(proportion_interval(called[there], member[there]))
        harmonic.append(f1_interval(there, called, member))
        classes[label] = {
            'images': int(there.sum()),
            **interval_lists(
                {
                    'sensitivity': sensitivities[-1],
                    'specificity': proportion_interval(
                        ~called[~there & own], member[~there & own]
                    ),
                    'precision': proportion_interval(there[called], member[called]),
                    'f1': harmonic[-1],
                    'auc': auc_interval(there[own], probabilities[own, i], member[own]),
                    'mean_probability': mean_interval(probabilities[there, i], member[there]),
                    'average_precision': spread[f'average_precision of {label}'],
                }
            ),
            'reliability': reliability(there[own], probabilities[own, i]),
            'counts': {'tp': tp, 'fp': fp, 'tn': tn, 'fn': fn},
        }
    compared = {}
    for name, (i, j) in zip(metrics.class_pairs, metrics.pairs, strict=True):
        rows = np.flatnonzero(inside[:, i] | inside[:, j])
        score = restricted(probabilities[rows], (i, j))[:, 0]
        compared[name] = auc_interval(inside[rows, i], score, member[rows])
    patients = len(set(names))
    whole = {name: spread[name] for name in OVERALL_METRICS if name in spread}
    # With two classes both areas are the same one.
    areas = metrics.present[:1] if len(labels) == 2 and not multilabel else metrics.present
    whole['macro_auc'] = macro_auc_interval(
        inside[:, areas], probabilities[:, areas], member, known[:, areas]
    )
    whole['macro_f1'] = mean_f1_interval(harmonic)
    whole |= {name: mean_interval(values, member) for name, values in metrics.losses.items()}
    if multilabel:
        decisions = (predicted == inside)[known]
        decided_of = np.repeat(member, len(labels)).reshape(known.shape)[known]
        whole['accuracy'] = proportion_interval(decisions, decided_of)
    else:
        right = (predicted & inside).any(axis=1)
        whole['accuracy'] = proportion_interval(right, member)
        whole['balanced_accuracy'] = balanced_accuracy_interval(sensitivities)
    return {
        'images': len(inside),
        'patients': patients,
        **interval_lists(whole),
        'calibration_error': round(calibration_error(truth, probabilities, known=known), 4),
        'classes': classes,
        **({'pairs': interval_lists(compared)} if compared else {}),
        **({} if multilabel else {'confusion': (inside.T.astype(int) @ predicted).tolist()}),
    }


def bootstrap_metrics(
    metrics: Callable[[np.ndarray], dict[str, np.ndarray]],
    groups: Sequence[Hashable],
    strata: Sequence[Hashable],
    *,
    times: int,
    seed: int,
    fewest: int | None = None,
) -> dict[str, Interval]:
    """Return metrics by name with bootstrap intervals, where these say something.

    They do not, and are NaN, if all resamples agree or a class has too few patients; see
    `bootstrap` and `FEWEST_PATIENTS`.
    """
    found: list[str] = []

    def columns(weights: np.ndarray) -> np.ndarray:
        by_name = metrics(weights)
        found[:] = by_name
        return np.column_stack(list(by_name.values()))

    spread = bootstrap(columns, groups, strata, times=times, seed=seed, fewest=fewest)
    if fewest is None:
        firsts = dict(reversed(list(zip(groups, strata, strict=True))))
        fewest = min(Counter(firsts.values()).values(), default=0)
    return {
        name: Interval(one.value, math.nan, math.nan)
        if fewest < FEWEST_PATIENTS or one.low == one.high
        else one
        for name, one in zip(found, spread, strict=True)
    }


def fewest_patients(inside: np.ndarray, groups: Sequence[Hashable], multilabel: bool) -> int:
    """Return the number of patients of the class that has the fewest.

    Parameters
    ----------
    inside : ndarray of bool, shape (n, classes)
        Which classes each image has; those that no image has do not count.
    groups : sequence
        The patient of each image.
    multilabel : bool
        Whether an image can have several; those without a class then count like a class.
    """
    counts = patients_by_class(inside, groups)
    if multilabel:
        counts = np.concatenate([counts, patients_by_class(~inside, groups)])
    return int(counts[counts > 0].min(initial=len(set(groups))))


def interval_lists(intervals: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    """Return intervals as lists, as in a card."""
    return {name: interval.to_list() for name, interval in intervals.items()}
