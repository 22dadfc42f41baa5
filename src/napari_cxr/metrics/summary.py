"""All figures of one set of images, with their intervals, ready for a card."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics.calibration import calibration_error
from napari_cxr.metrics.columns import OF_CLASS, OVERALL, Columns
from napari_cxr.metrics.figures import label_confusions
from napari_cxr.metrics.intervals import Interval, bootstrap, mean, wilson

__all__ = ['lists', 'resampled', 'summarise']


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
    pairs : bool
        Whether to compare each two classes by themselves; for images of one source, whose
        classes cannot be told apart by the source.
    thresholds : sequence of float, optional
        Where an image can have several labels, from which probability on each is called; 0.5
        by default.
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
        is called or, of several labels, those that reach their thresholds.
        ``confusion`` (rows are the truth) where an image has one label. ``pairs``, if
        wanted and there are any: by 'CLASS against CLASS' the area between these two, see
        `Columns`.

        Proportions have Wilson's interval, with as many independent cases as there are
        patients among the images that they count; the mean probability the t interval; the
        rest the bootstrap's. ``calibration_error`` has none. What accuracy and its like
        mean for several labels, `validation_figures` says.
    """
    names = list(range(len(truth))) if groups is None else list(groups)
    figures = Columns(truth, probabilities, labels, pairs=pairs, thresholds=thresholds)
    inside, called, several = figures.inside, figures.called, figures.several
    # With several labels there would be nearly as many strata as patients.
    strata = [0] * len(inside) if several else [int(t) for t in truth]
    spread = resampled(figures, names, strata, times=times, seed=seed)
    each = label_confusions(inside, called)
    classes: dict[str, Any] = {}
    for i in figures.present:
        label = labels[i]
        own = {name: spread[f'{name} of {label}'] for name in OF_CLASS}
        counted = (inside[:, i], ~inside[:, i], called[:, i])
        cases = [len({names[j] for j in np.flatnonzero(which)}) for which in counted]
        for name, n in zip(('sensitivity', 'specificity', 'precision'), cases, strict=True):
            own[name] = wilson(own[name].value, n)
        places = np.flatnonzero(inside[:, i])
        said = mean(np.asarray(probabilities)[places, i], [names[j] for j in places])
        (tn, fp), (fn, tp) = each[i].astype(int).tolist()
        classes[label] = {
            'images': len(places),
            **lists(own | {'mean_probability': said}),
            'counts': {'tp': tp, 'fp': fp, 'tn': tn, 'fn': fn},
        }
    compared = {name: spread[name] for name in figures.pairs}
    patients = len(set(names))
    whole = {name: spread[name] for name in OVERALL if name in spread}
    if not several:
        whole['accuracy'] = wilson(spread['accuracy'].value, patients)
    return {
        'images': len(inside),
        'patients': patients,
        **lists(whole),
        'calibration_error': round(calibration_error(truth, probabilities), 4),
        'classes': classes,
        **({'pairs': lists(compared)} if compared else {}),
        **({} if several else {'confusion': (inside.T.astype(int) @ called).tolist()}),
    }


def resampled(
    figures: Callable[[np.ndarray], dict[str, np.ndarray]],
    groups: Sequence[Hashable],
    strata: Sequence[Hashable],
    *,
    times: int,
    seed: int,
) -> dict[str, Interval]:
    """Return figures by name with the bootstrap's intervals; see `bootstrap`."""
    found: list[str] = []

    def columns(weights: np.ndarray) -> np.ndarray:
        by_name = figures(weights)
        found[:] = by_name
        return np.column_stack(list(by_name.values()))

    spread = bootstrap(columns, groups, strata, times=times, seed=seed)
    return dict(zip(found, spread, strict=True))


def lists(intervals: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    """Return intervals as a card has them."""
    return {name: interval.to_list() for name, interval in intervals.items()}
