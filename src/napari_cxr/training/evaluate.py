"""Fill a model's card: figures by source, beside the no-anatomy baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from napari_cxr.metrics.baseline import BASELINES, fit_baseline
from napari_cxr.metrics.calibration import fit_temperature, probabilities_of
from napari_cxr.metrics.figures import memberships
from napari_cxr.metrics.intervals import wilson
from napari_cxr.metrics.summary import summarise
from napari_cxr.training.dataset import SPLITS, Dataset
from napari_cxr.training.splits import Split

__all__ = [
    'counts_by_split',
    'describe_data',
    'figures_by_source',
    'judge',
    'most_frequent',
    'operating_points',
    'truth_of',
]

#: Share of a class's validation images that its threshold must still call.
_SENSITIVITIES = (0.9, 0.95)


class _Described(Protocol):
    """Images of which it is known what the no-anatomy baselines see."""

    @property
    def features(self) -> np.ndarray: ...


def truth_of(dataset: Dataset) -> np.ndarray:
    """Return what each image is.

    Returns
    -------
    ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or, where an image can have several labels, which it has.
    """
    numbers = {label: i for i, label in enumerate(dataset.labels)}
    if not dataset.several:
        return np.array([numbers[sample.label] for sample in dataset.samples], dtype=np.intp)
    truth = np.zeros((len(dataset.samples), len(numbers)), dtype=bool)
    for row, sample in zip(truth, dataset.samples, strict=True):
        row[[numbers[label] for label in sample.labels]] = True
    return truth


def describe_data(dataset: Dataset, split: Split, digests: Sequence[str]) -> dict[str, Any]:
    """Return what a card says of the data: fingerprint, counts, how they were split.

    The fingerprint is the SHA-256 over content, label and split of all images,
    in an order that does not depend on their names. An image with several labels is
    counted in each of them, one that is in no split in none. ``divided_pairs`` are the
    near-duplicates that a table's own splits put on two sides: figures are too good by them.
    """
    rows = list(zip(dataset.samples, digests, split.names(), strict=True))
    used = [(sample, digest, name) for sample, digest, name in rows if name]
    lines = sorted(f'{digest} {sample.label} {name}' for sample, digest, name in used)
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for sample, _, name in used:
        by_source = counts.setdefault(sample.source or 'all', {})
        for label in sample.labels:
            by_class = by_source.setdefault(label, {})
            by_class[name] = by_class.get(name, 0) + 1
    return {
        'fingerprint': hashlib.sha256('\n'.join(lines).encode()).hexdigest(),
        'images': len(used),
        'patients': len({s.group for s, _, _ in used}) if dataset.grouped else None,
        'split': split.kind,
        'divided_pairs': split.torn,
        'counts': counts,
    }


def operating_points(
    truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Choose thresholds; only ever from validation images.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        As `truth_of` gives it.
    probabilities : ndarray, shape (n, classes)
        Calibrated.
    labels : tuple of str
        Names of the classes.

    Returns
    -------
    dict
        For each class the highest threshold that still calls 90 or 95 % of its
        images ('sensitivity 0.90'), and the one with the largest sum of
        sensitivity and specificity ('Youden', Cancer 1950;3:32).
    """
    points: dict[str, dict[str, float]] = {}
    belongs = memberships(truth, len(labels))
    for k, label in enumerate(labels):
        inside, scores = belongs[:, k], probabilities[:, k]
        if not inside.any() or inside.all():
            continue
        rising = np.sort(scores[inside])
        found = {
            # One may miss a whole number of images; the small term is for 0.1 * 10 < 1.
            f'sensitivity {s:.2f}': float(rising[int((1 - s) * len(rising) + 1e-9)])
            for s in _SENSITIVITIES
        }
        thresholds = np.unique(scores)
        sums = [(scores[inside] >= t).mean() + (scores[~inside] < t).mean() for t in thresholds]
        found['Youden'] = float(thresholds[int(np.argmax(sums))])
        points[label] = found  # not rounded: rounded up, it would miss the image that it is of
    return points


def judge(
    dataset: Dataset, split: Split, cache: _Described, logits: np.ndarray, seed: int
) -> dict[str, Any]:
    """Measure a model on the test split, or on the validation split if there is none.

    Parameters
    ----------
    dataset, split, cache
        The images, their division, and what the baselines see of them (its ``features``).
    logits : ndarray, shape (n, classes)
        The model's, of every image in the data set (those of the training
        split are not looked at).
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        The card's entries ``temperature``, ``operating_points`` and ``metrics``: under
        ``model`` and, for each, ``baselines``, what `summarise` says of all images and of
        each source.
    """
    truth, labels = truth_of(dataset), dataset.labels
    temperature = fit_temperature(truth[split.val], logits[split.val])
    probabilities = probabilities_of(logits, dataset.several, temperature)
    points = operating_points(truth[split.val], probabilities[split.val], labels)
    name = 'test' if len(split.test) else 'val'
    places = getattr(split, name)
    groups = np.array([sample.group for sample in dataset.samples])
    guesses = {}
    for kind, seen in BASELINES.items():
        features = cache.features[:, :seen]
        baseline = fit_baseline(features[split.train], truth[split.train], len(labels))
        guesses[kind] = baseline(features)

    def measured(chosen: np.ndarray) -> dict[str, Any]:
        return figures_by_source(dataset, truth, chosen, places, seed)

    metrics = {
        'measured_on': name,
        'split': split.kind,
        'most_frequent_class': round(most_frequent(truth[places]), 4),
        'model': measured(probabilities),
        'baselines': {kind: measured(chosen) for kind, chosen in guesses.items()},
        'operating_points': _at(points, truth, probabilities, labels, groups, places),
    }
    return {'temperature': temperature, 'operating_points': points, 'metrics': metrics}


def figures_by_source(
    dataset: Dataset, truth: np.ndarray, probabilities: np.ndarray, places: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return what `summarise` says of some images, and of those of each source.

    Parameters
    ----------
    dataset : Dataset
        The images.
    truth, probabilities : ndarray
        Of all of them: as `truth_of` gives it, and (n, classes).
    places : ndarray of int
        Those that are measured.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        Under 'all', and by source where there are two or more.
    """
    sources = np.array([dataset.samples[i].source or 'all' for i in places])
    parts = {'all': places}
    if len(names := sorted(set(sources.tolist()))) > 1:
        parts |= {name: places[sources == name] for name in names}
    out = {}
    for name, rows in parts.items():
        groups = [dataset.samples[i].group for i in rows]
        out[name] = summarise(truth[rows], probabilities[rows], dataset.labels, groups, seed=seed)
    return out


def most_frequent(truth: np.ndarray) -> float:
    """Return the accuracy of always answering what is most frequent, of each label if several."""
    if truth.ndim == 1:
        return float(np.bincount(truth).max() / len(truth))
    shares = truth.mean(axis=0)
    return float(np.maximum(shares, 1 - shares).mean())


def _at(
    points: dict[str, dict[str, float]],
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: tuple[str, ...],
    groups: np.ndarray,
    places: np.ndarray,
) -> dict[str, Any]:
    """Return sensitivity and specificity at thresholds that were chosen elsewhere."""
    out: dict[str, Any] = {}
    for label, found in points.items():
        k = labels.index(label)
        called = probabilities[places, k]
        inside = memberships(truth, len(labels))[places, k]
        for name, threshold in found.items():
            shares = {}
            for figure, which, right in (
                ('sensitivity', inside, called >= threshold),
                ('specificity', ~inside, called < threshold),
            ):
                share = float(right[which].mean()) if which.any() else float('nan')
                patients = len(set(groups[places][which]))
                shares[figure] = wilson(share, patients).to_list()
            out.setdefault(label, {})[name] = shares
    return out


def counts_by_split(dataset: Dataset, split: Split) -> dict[str, dict[str, int]]:
    """Return the number of images by split and class; one with several labels is in each."""
    return {
        name: {
            label: sum(label in dataset.samples[i].labels for i in getattr(split, name))
            for label in dataset.labels
        }
        for name in SPLITS
    }
