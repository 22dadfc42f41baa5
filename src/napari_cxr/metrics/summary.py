"""All figures of one set of images, with their intervals, ready for a card."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics.calibration import calibration_error
from napari_cxr.metrics.figures import (
    auc,
    f1,
    keras_auc,
    label_confusions,
    label_figures,
    macro_auc,
    memberships,
    precision,
    sensitivity,
    specificity,
)
from napari_cxr.metrics.intervals import Interval, bootstrap, mean, wilson
from napari_cxr.metrics.validation import called_of

__all__ = ['summarise']


def summarise(
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    *,
    times: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a classifier on one set of images.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or, where an image can have several labels, which it has.
    probabilities : ndarray, shape (n, classes)
        Of each class.
    labels : sequence of str
        Names of the classes.
    groups : sequence, optional
        The patient of each image; by default every image is a patient of its own.
    times, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``images``, ``patients``, and, as [value, low, high] with 95 % intervals:
        ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``macro_auc`` and, with two
        classes of which an image has one, ``keras_auc`` (see the function). For each class
        that has images, under ``classes``, its ``sensitivity``, ``specificity``,
        ``precision``, ``f1``, ``auc`` and ``mean_probability`` (of the class, over its own
        images), and ``counts``: ``tp``, ``fp``, ``tn``, ``fn`` where the most probable class
        is called or, of several labels, those with a probability of one half or more.
        ``confusion`` (rows are the truth) where an image has one label.

        Proportions have Wilson's interval, with as many independent cases as there are
        patients among the images that they count; the mean probability the t interval; the
        rest the bootstrap's. ``calibration_error`` has none. What accuracy and its like
        mean for several labels, `validation_figures` says.
    """
    truth = np.asarray(truth)
    several = truth.ndim == 2
    names = list(range(len(truth))) if groups is None else list(groups)
    k = len(labels)
    inside = memberships(truth, k)
    called = memberships(called_of(probabilities, several), k)
    present = [i for i in range(k) if inside[:, i].any()]
    two = k == 2 and not several

    def figures(weights: np.ndarray) -> np.ndarray:
        each = label_confusions(inside, called, weights)
        areas = [auc(inside[:, i], probabilities[:, i], weights) for i in present]
        return np.column_stack(
            [
                *_overall(each, several),
                macro_auc(truth, probabilities, weights),
                *([keras_auc(truth, probabilities, weights)] if two else []),
                f1(each)[:, present, 1],
                *areas,
            ]
        )

    # With several labels there would be nearly as many strata as patients.
    strata = [0] * len(truth) if several else [int(t) for t in truth]
    spread = bootstrap(figures, names, strata, times=times, seed=seed)
    areas = spread[len(spread) - len(present) :]
    f1s = spread[len(spread) - 2 * len(present) : len(spread) - len(present)]
    each = label_confusions(inside, called)
    shares = [share(each)[:, 1] for share in (sensitivity, specificity, precision)]
    classes: dict[str, Any] = {}
    for place, i in enumerate(present):
        counted = (inside[:, i], ~inside[:, i], called[:, i])
        cases = [len({names[j] for j in np.flatnonzero(which)}) for which in counted]
        intervals = [wilson(float(s[i]), n) for s, n in zip(shares, cases, strict=True)]
        own = np.flatnonzero(inside[:, i])
        (tn, fp), (fn, tp) = each[i].astype(int).tolist()
        classes[labels[i]] = {
            'images': len(own),
            **_lists(
                sensitivity=intervals[0],
                specificity=intervals[1],
                precision=intervals[2],
                f1=f1s[place],
                auc=areas[place],
                mean_probability=mean(probabilities[own, i], [names[j] for j in own]),
            ),
            'counts': {'tp': tp, 'fp': fp, 'tn': tn, 'fn': fn},
        }
    patients = len(set(names))
    accuracy = spread[0] if several else wilson(spread[0].value, patients)
    return {
        'images': len(truth),
        'patients': patients,
        **_lists(
            accuracy=accuracy,
            balanced_accuracy=spread[1],
            macro_f1=spread[2],
            macro_auc=spread[3],
            **({'keras_auc': spread[4]} if two else {}),
        ),
        'calibration_error': round(calibration_error(truth, probabilities), 4),
        'classes': classes,
        **({} if several else {'confusion': (inside.T.astype(int) @ called).tolist()}),
    }


def _overall(each: np.ndarray, several: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return accuracy, balanced accuracy and macro F1 from the classes' own counts."""
    if several:
        return label_figures(each)
    right = each[..., 1, 1].sum(axis=-1) / each[..., 0, :, :].sum(axis=(-2, -1))
    _, _, harmonic = label_figures(each)
    found = each[..., 1, :].sum(axis=-1) > 0
    sensitivities = np.where(found, sensitivity(each)[..., 1], 0)
    return right, sensitivities.sum(axis=-1) / found.sum(axis=-1), harmonic


def _lists(**intervals: Interval) -> dict[str, list[float | None]]:
    return {name: interval.to_list() for name, interval in intervals.items()}
