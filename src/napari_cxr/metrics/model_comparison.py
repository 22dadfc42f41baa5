"""Figures of several models, each on images of its own, and of a model beside others.

The folds of a cross-validation may test the same image more than once, where sources are
left out in sets. Then the images of all folds are no sample in which each counts once, and
what is said of them is the mean of the folds' own figures. Its interval resamples patients
once for all folds, so a patient who stands in two of them is drawn into both or neither.
It tells how far the figure may be off for want of patients, not for want of sources.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cxr.metrics.class_metrics import (
    CLASS_METRICS,
    OVERALL_METRICS,
    WeightedMetrics,
    bootstrap_metrics,
    interval_lists,
)

__all__ = ['FoldPredictions', 'average_over_folds', 'metric_differences']

#: Figures in which models are compared.
_COMPARED = ('accuracy', 'balanced_accuracy', 'macro_auc')


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """What was said of the test images of one fold.

    Parameters
    ----------
    places : ndarray of int, shape (n,)
        Which images of all they are.
    probabilities : ndarray, shape (n, classes)
        The model's.
    others : mapping of str to ndarray, shape (n, classes)
        Those of other classifiers, by name.
    """

    places: np.ndarray
    probabilities: np.ndarray
    others: Mapping[str, np.ndarray]

    def subset(self, chosen: np.ndarray) -> FoldPredictions:
        """Return the part of those images that are chosen, a bool for each of all."""
        rows = np.flatnonzero(chosen[self.places])
        others = {name: said[rows] for name, said in self.others.items()}
        return FoldPredictions(self.places[rows], self.probabilities[rows], others)

    def of_classifier(self, name: str) -> FoldPredictions:
        """Return what another classifier said, in the place of the model."""
        return FoldPredictions(self.places, self.others[name], {})


def average_over_folds(
    truth: np.ndarray,
    parts: Sequence[FoldPredictions],
    labels: Sequence[str],
    groups: Sequence[Hashable],
    strata: Sequence[Hashable],
    *,
    pairs: bool = False,
    times: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the mean over folds of what `summarise` says of each.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Of all images: class numbers, or which labels each has.
    parts : sequence of FoldPredictions
        The folds.
    labels : sequence of str
        Names of the classes.
    groups, strata : sequence
        Of all images: the patient, and what resamples keep alike. See `bootstrap`.
    pairs : bool
        As of `summarise`.
    times, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        As `summarise`, without what counts images (``counts``, ``confusion``); all
        intervals are the bootstrap's. ``images`` and ``patients`` are counted once, however
        often they were tested, and ``folds`` are how many. A figure that is not defined in
        a fold, such as the area of a class that is not there, is left out of the mean.
    """
    used, parts = _used(parts)
    each = [_weighted_metrics(truth[used], part, labels, pairs) for part in parts]
    names = [groups[i] for i in used]
    spread = bootstrap_metrics(
        lambda weights: _mean(each, weights),
        names,
        [strata[i] for i in used],
        times=times,
        seed=seed,
    )
    inside = np.asarray(truth)[used]
    classes = {}
    for k, label in enumerate(labels):
        there = inside[:, k] if inside.ndim == 2 else inside == k
        if there.any():
            own = {name: spread[f'{name} of {label}'] for name in CLASS_METRICS}
            classes[label] = {'images': int(there.sum()), **interval_lists(own)}
    compared = {name: spread[name] for columns, _ in each for name in columns.class_pairs}
    return {
        'images': len(used),
        'patients': len(set(names)),
        'folds': len(parts),
        **interval_lists({name: spread[name] for name in OVERALL_METRICS if name in spread}),
        'classes': classes,
        **({'pairs': interval_lists(compared)} if compared else {}),
    }


def metric_differences(
    truth: np.ndarray,
    parts: Sequence[FoldPredictions],
    labels: Sequence[str],
    groups: Sequence[Hashable],
    strata: Sequence[Hashable],
    *,
    pairs: bool = False,
    times: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return how much better a model is than others on the same images.

    Both are measured on the same resamples, so what an image is hard or easy for both does
    not widen the interval: it may be narrow where those of the two figures overlap.

    Parameters
    ----------
    truth, parts, labels, groups, strata, pairs, times, seed
        As of `average_over_folds`; of several parts, it is the mean of their differences.

    Returns
    -------
    dict
        By the name of the other: ``accuracy``, ``balanced_accuracy``, ``macro_auc``, and
        ``pairs`` if wanted, each the model's minus the other's as [value, low, high].
    """
    used, parts = _used(parts)
    ours = [_weighted_metrics(truth[used], part, labels, pairs) for part in parts]
    others = {
        name: [
            _weighted_metrics(truth[used], part.of_classifier(name), labels, pairs)
            for part in parts
        ]
        for name in parts[0].others
    }
    between = list(dict.fromkeys(name for columns, _ in ours for name in columns.class_pairs))
    wanted = (*_COMPARED, *between)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        mine = _mean(ours, weights)
        out: dict[str, np.ndarray] = {}
        for other, columns in others.items():
            theirs = _mean(columns, weights)
            out |= {f'{other}: {name}': mine[name] - theirs[name] for name in wanted}
        return out

    groups, strata = [groups[i] for i in used], [strata[i] for i in used]
    spread = bootstrap_metrics(figures, groups, strata, times=times, seed=seed)

    def of(other: str, names: Sequence[str]) -> dict[str, list[float | None]]:
        return interval_lists({name: spread[f'{other}: {name}'] for name in names})

    return {
        other: of(other, _COMPARED) | ({'pairs': of(other, between)} if between else {})
        for other in others
    }


def _used(parts: Sequence[FoldPredictions]) -> tuple[np.ndarray, list[FoldPredictions]]:
    """Return the images that any part has, and the parts with places among them."""
    used = np.unique(np.concatenate([part.places for part in parts]))
    return used, [
        FoldPredictions(np.searchsorted(used, part.places), part.probabilities, part.others)
        for part in parts
    ]


def _weighted_metrics(
    truth: np.ndarray, part: FoldPredictions, labels: Sequence[str], pairs: bool
) -> tuple[WeightedMetrics, np.ndarray]:
    return WeightedMetrics(
        truth[part.places], part.probabilities, labels, pairs=pairs
    ), part.places


def _mean(
    each: Sequence[tuple[WeightedMetrics, np.ndarray]], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the mean of the parts' figures, of each over the parts where it is defined."""
    found: dict[str, list[np.ndarray]] = {}
    for columns, places in each:
        for name, values in columns(weights[:, places]).items():
            found.setdefault(name, []).append(values)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Mean of empty slice')
        return {name: np.nanmean(values, axis=0) for name, values in found.items()}
