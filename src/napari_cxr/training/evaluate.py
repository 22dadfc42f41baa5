"""Fill a model's card: figures by source, beside the no-anatomy baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from napari_cxr.metrics.baseline import BASELINES, fit_baseline
from napari_cxr.metrics.calibration import fit_temperature, probabilities_of
from napari_cxr.metrics.summary import summarise
from napari_cxr.metrics.together import Part, average, differences
from napari_cxr.training.dataset import SPLITS, Dataset
from napari_cxr.training.splits import Split
from napari_cxr.training.thresholds import measured_at, operating_points

__all__ = [
    'Described',
    'counts_by_split',
    'describe_data',
    'figures_by_source',
    'guesses_of',
    'judge',
    'most_frequent',
    'truth_of',
]


class Described(Protocol):
    """Images of which it is known what the no-anatomy baselines see."""

    @property
    def features(self) -> np.ndarray:
        """What they see of each, shape (n, f)."""


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


def judge(
    dataset: Dataset, split: Split, cache: Described, logits: np.ndarray, seed: int
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
        The card's entries ``temperature``, ``operating_points`` and ``metrics``: among
        them what `figures_by_source` says of the model and the baselines.
    """
    truth, labels = truth_of(dataset), dataset.labels
    temperature = fit_temperature(truth[split.val], logits[split.val])
    probabilities = probabilities_of(logits, dataset.several, temperature)
    points = operating_points(truth[split.val], probabilities[split.val], labels)
    name = 'test' if len(split.test) else 'val'
    places = getattr(split, name)
    guesses = guesses_of(cache, truth, split.train, places, len(labels))
    said = Part(places, probabilities[places], guesses)
    groups = [dataset.samples[i].group for i in places]
    metrics = {
        'measured_on': name,
        'split': split.kind,
        'most_frequent_class': round(most_frequent(truth[places]), 4),
        **figures_by_source(dataset, truth, [said], seed),
        'operating_points': measured_at(
            points, truth[places], probabilities[places], labels, groups
        ),
    }
    return {'temperature': temperature, 'operating_points': points, 'metrics': metrics}


def guesses_of(
    cache: Described, truth: np.ndarray, learnt: np.ndarray, places: np.ndarray, classes: int
) -> dict[str, np.ndarray]:
    """Return what the no-anatomy baselines say of images, shape (n, classes) each.

    Parameters
    ----------
    cache : Described
        What they see of each image.
    truth : ndarray
        Of all images, as `truth_of` gives it.
    learnt, places : ndarray of int
        The images that they learn from, and those that they are asked about.
    classes : int
        How many classes there are.
    """
    guesses = {}
    for kind, seen in BASELINES.items():
        features = cache.features[:, :seen]
        guesses[kind] = fit_baseline(features[learnt], truth[learnt], classes)(features[places])
    return guesses


def figures_by_source(
    dataset: Dataset, truth: np.ndarray, parts: Sequence[Part], seed: int
) -> dict[str, Any]:
    """Return how a model and the baselines do on some images, and on those of each source.

    Parameters
    ----------
    dataset : Dataset
        The images.
    truth : ndarray
        Of all of them, as `truth_of` gives it.
    parts : sequence of Part
        What was said of those that are measured. Of one part as `summarise` says, of
        several the mean, see `average`.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``model``; by name ``baselines``; and by name ``differences``, the model minus that
        baseline on the same resamples. Each under 'all', and by source where there are two
        or more. Of images of one source, each two classes are compared by themselves.
    """
    labels, samples = dataset.labels, dataset.samples
    sources = np.array([sample.source for sample in samples])
    groups = [sample.group for sample in samples]
    several = len(parts) > 1
    # Folds are made of sources, so resamples of them keep these alike, too.
    strata = [
        (0 if dataset.several else int(truth[i]), source if several else '')
        for i, source in enumerate(sources)
    ]
    measured = sorted(set(sources[np.concatenate([part.places for part in parts])].tolist()))
    chosen = {'all': np.ones(len(sources), dtype=bool)}
    if len(measured) > 1:
        chosen |= {name or 'no source': sources == name for name in measured}
    out: dict[str, Any] = {'model': {}, 'baselines': {}, 'differences': {}}
    for name, which in chosen.items():
        here = [own for part in parts if len((own := part.only(which)).places)]
        pairs = (name != 'all' or len(measured) == 1) and name != 'no source' and measured != ['']

        def figures(own: Sequence[Part], pairs: bool = pairs) -> dict[str, Any]:
            if several:
                return average(truth, own, labels, groups, strata, pairs=pairs, seed=seed)
            ((places, said),) = ((part.places, part.probabilities) for part in own)
            patients = [groups[i] for i in places]
            return summarise(truth[places], said, labels, patients, pairs=pairs, seed=seed)

        out['model'][name] = figures(here)
        for kind in here[0].others:
            theirs = figures([part.of(kind) for part in here])
            out['baselines'].setdefault(kind, {})[name] = theirs
        compared = differences(truth, here, labels, groups, strata, pairs=pairs, seed=seed)
        for kind, difference in compared.items():
            out['differences'].setdefault(kind, {})[name] = difference
    return out


def most_frequent(truth: np.ndarray) -> float:
    """Return the accuracy of always answering what is most frequent, of each label if several."""
    if truth.ndim == 1:
        return float(np.bincount(truth).max() / len(truth))
    shares = truth.mean(axis=0)
    return float(np.maximum(shares, 1 - shares).mean())


def counts_by_split(dataset: Dataset, split: Split) -> dict[str, dict[str, int]]:
    """Return the number of images by split and class; one with several labels is in each."""
    return {
        name: {
            label: sum(label in dataset.samples[i].labels for i in getattr(split, name))
            for label in dataset.labels
        }
        for name in SPLITS
    }
