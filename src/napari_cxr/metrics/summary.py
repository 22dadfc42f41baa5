"""All figures of one set of images, with their intervals, ready for a card."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics.calibration import calibration_error
from napari_cxr.metrics.figures import (
    accuracy,
    auc,
    balanced_accuracy,
    confusion_matrix,
    f1,
    macro_auc,
    precision,
    sensitivity,
    specificity,
)
from napari_cxr.metrics.intervals import Interval, bootstrap, wilson

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
    truth : ndarray of int, shape (n,)
        Class numbers.
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
        ``images``, ``patients``, ``confusion`` (rows are the truth), and, as
        [value, low, high] with 95 % intervals: ``accuracy``,
        ``balanced_accuracy``, ``macro_auc``, and for each class that has images
        under ``classes`` its ``sensitivity``, ``specificity``, ``precision``,
        ``f1`` and ``auc``. Proportions have Wilson's interval, with as many
        independent cases as there are patients among the images that they count;
        the rest the bootstrap's. ``calibration_error`` has none.
    """
    truth = np.asarray(truth)
    names = list(range(len(truth))) if groups is None else list(groups)
    k = len(labels)
    predicted = probabilities.argmax(axis=1)
    present = [i for i in range(k) if (truth == i).any()]

    def figures(weights: np.ndarray) -> np.ndarray:
        confusion = confusion_matrix(truth, predicted, k, weights)
        areas = [auc(truth == i, probabilities[:, i], weights) for i in present]
        return np.column_stack(
            [
                balanced_accuracy(confusion),
                macro_auc(truth, probabilities, weights),
                f1(confusion)[:, present],
                *areas,
            ]
        )

    spread = bootstrap(figures, names, [int(t) for t in truth], times=times, seed=seed)
    overall, f1s, areas = spread[:2], spread[2 : 2 + len(present)], spread[2 + len(present) :]
    confusion = confusion_matrix(truth, predicted, k)
    shares = (sensitivity(confusion), specificity(confusion), precision(confusion))
    classes: dict[str, Any] = {}
    for place, i in enumerate(present):
        counted = (truth == i, truth != i, predicted == i)
        cases = [len({names[j] for j in np.flatnonzero(which)}) for which in counted]
        intervals = [wilson(float(s[i]), n) for s, n in zip(shares, cases, strict=True)]
        classes[labels[i]] = {
            'images': int((truth == i).sum()),
            **_lists(
                sensitivity=intervals[0],
                specificity=intervals[1],
                precision=intervals[2],
                f1=f1s[place],
                auc=areas[place],
            ),
        }
    return {
        'images': len(truth),
        'patients': len(set(names)),
        **_lists(
            accuracy=wilson(float(accuracy(confusion)), len(set(names))),
            balanced_accuracy=overall[0],
            macro_auc=overall[1],
        ),
        'calibration_error': round(calibration_error(truth, probabilities), 4),
        'classes': classes,
        'confusion': confusion.astype(int).tolist(),
    }


def _lists(**intervals: Interval) -> dict[str, list[float | None]]:
    return {name: interval.to_list() for name, interval in intervals.items()}
