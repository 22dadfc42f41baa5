"""Metrics averaged over folds, and differences between models on the same images.

The folds of a cross-validation may test an image more than once, if held-out sets of sources
overlap. Then the metrics are averaged over folds. The bootstrap resamples patients once for
all folds, so a patient in two folds is drawn into both or neither. The interval reflects the
number of patients, not the number of sources.
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
    fewest_patients,
    interval_lists,
)
from napari_cxr.metrics.classification import one_hot

__all__ = ['FoldPredictions', 'average_over_folds', 'metric_differences']

#: Metrics in which models are compared.
_COMPARED = ('accuracy', 'balanced_accuracy', 'macro_auc')


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """Predictions for the test images of one fold.

    Parameters
    ----------
    places : ndarray of int, shape (n,)
        Their indices among all images.
    probabilities : ndarray, shape (n, classes)
        Of the model.
    others : mapping of str to ndarray, shape (n, classes)
        Of other classifiers, by name.
    """

    places: np.ndarray
    probabilities: np.ndarray
    others: Mapping[str, np.ndarray]

    def subset(self, chosen: np.ndarray) -> FoldPredictions:
        """Return the predictions for chosen images, given as a bool for each of all images."""
        rows = np.flatnonzero(chosen[self.places])
        others = {name: other[rows] for name, other in self.others.items()}
        return FoldPredictions(self.places[rows], self.probabilities[rows], others)

    def of_classifier(self, name: str) -> FoldPredictions:
        """Return the predictions of another classifier in place of the model's."""
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
    known: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the mean over folds of what `summarise` returns for each.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Of all images: class numbers, or the labels of each.
    parts : sequence of FoldPredictions
        The folds.
    labels : sequence of str
        Names of the classes.
    groups, strata : sequence
        Of all images: the patient and the stratum, see `bootstrap`.
    pairs : bool
        As of `summarise`.
    times, seed : int
        Of the bootstrap.
    known : ndarray of bool, optional
        As of `summarise`, of all images.

    Returns
    -------
    dict
        As `summarise`, without numbers of images (``counts``, ``confusion``); all intervals
        are bootstrap intervals. ``images`` and ``patients`` count once, however often they
        were tested; ``folds`` is the number of folds. A metric that is undefined in a fold,
        such as the AUC of a class without images, is left out of the mean.
    """
    used, parts = _used(parts)
    of = None if known is None else known[used]
    each = [_weighted_metrics(truth[used], part, labels, pairs, of) for part in parts]
    names = [groups[i] for i in used]
    spread = bootstrap_metrics(
        lambda weights: _mean(each, weights),
        names,
        [strata[i] for i in used],
        times=times,
        seed=seed,
        fewest=_fewest(truth, used, names, len(labels)),
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
    known: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
    """Return how much better a model is than others on the same images.

    Both are evaluated on the same resamples, so images that are hard or easy for both do not
    widen the interval: it may be narrow even if the intervals of the two metrics overlap.

    Parameters
    ----------
    truth, parts, labels, groups, strata, pairs, times, seed, known
        As of `average_over_folds`; for several folds, differences are averaged.

    Returns
    -------
    dict
        By name of the other classifier: ``accuracy``, ``balanced_accuracy``, ``macro_auc``,
        and ``pairs`` if wanted, each the model's minus the other's as [value, low, high].
    """
    used, parts = _used(parts)
    own = None if known is None else known[used]
    ours = [_weighted_metrics(truth[used], part, labels, pairs, own) for part in parts]
    others = {
        name: [
            _weighted_metrics(truth[used], part.of_classifier(name), labels, pairs, own)
            for part in parts
        ]
        for name in parts[0].others
    }
    between = list(dict.fromkeys(name for columns, _ in ours for name in columns.class_pairs))
    wanted = (*_COMPARED, *between)

    def differences(weights: np.ndarray) -> dict[str, np.ndarray]:
        mine = _mean(ours, weights)
        out: dict[str, np.ndarray] = {}
        for other, columns in others.items():
            theirs = _mean(columns, weights)
            out |= {f'{other}: {name}': mine[name] - theirs[name] for name in wanted}
        return out

    groups, strata = [groups[i] for i in used], [strata[i] for i in used]
    fewest = _fewest(truth, used, groups, len(labels))
    spread = bootstrap_metrics(differences, groups, strata, times=times, seed=seed, fewest=fewest)

    def of(other: str, names: Sequence[str]) -> dict[str, list[float | None]]:
        return interval_lists({name: spread[f'{other}: {name}'] for name in names})

    return {
        other: of(other, _COMPARED) | ({'pairs': of(other, between)} if between else {})
        for other in others
    }


def _fewest(truth: np.ndarray, used: np.ndarray, groups: Sequence[Hashable], classes: int) -> int:
    own = np.asarray(truth)[used]
    return fewest_patients(one_hot(own, classes), groups, own.ndim == 2)


def _used(parts: Sequence[FoldPredictions]) -> tuple[np.ndarray, list[FoldPredictions]]:
    """Return the images of all folds, and the folds with indices among these."""
    used = np.unique(np.concatenate([part.places for part in parts]))
    return used, [
        FoldPredictions(np.searchsorted(used, part.places), part.probabilities, part.others)
        for part in parts
    ]


def _weighted_metrics(
    truth: np.ndarray,
    part: FoldPredictions,
    labels: Sequence[str],
    pairs: bool,
    known: np.ndarray | None,
) -> tuple[WeightedMetrics, np.ndarray]:
    own = None if known is None else known[part.places]
    metrics = WeightedMetrics(
        truth[part.places], part.probabilities, labels, pairs=pairs, known=own
    )
    return metrics, part.places


def _mean(
    each: Sequence[tuple[WeightedMetrics, np.ndarray]], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the mean of each metric over the folds where it is defined."""
    found: dict[str, list[np.ndarray]] = {}
    for columns, places in each:
        for name, values in columns(weights[:, places]).items():
            found.setdefault(name, []).append(values)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Mean of empty slice')
        return {name: np.nanmean(values, axis=0) for name, values in found.items()}
