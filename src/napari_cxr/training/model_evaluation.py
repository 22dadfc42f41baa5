"""Evaluate a run's model for its card: by source, and beside the no-anatomy baselines.

Thresholds are chosen on some images and evaluated on others. The predictions for images that
the model was not trained on are written as a table.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.checkpoint.model_images import CARD_ENTRY, packed_digests
from napari_cxr.inference.label_rule import UNKNOWN_MARK
from napari_cxr.metrics.baseline import BASELINES, fit_baseline
from napari_cxr.metrics.calibration import probabilities_of
from napari_cxr.metrics.class_metrics import summarise
from napari_cxr.metrics.classification import one_hot
from napari_cxr.metrics.confidence_intervals import proportion_interval
from napari_cxr.metrics.model_comparison import (
    FoldPredictions,
    average_over_folds,
    metric_differences,
)
from napari_cxr.output_text import from_csv_cell, to_csv_cell
from napari_cxr.settings_file import LARGEST_TABLE, read_settings
from napari_cxr.training.answer_fitting import fit_answers
from napari_cxr.training.dataset import SPLITS, Dataset
from napari_cxr.training.dataset_survey import source_strength
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.splits import Split

__all__ = [
    'PREDICTIONS_FILE',
    'HasFeatures',
    'Predictions',
    'baseline_probabilities',
    'counts_by_split',
    'describe_data',
    'evaluate_model',
    'known_labels',
    'majority_accuracy',
    'metrics_by_source',
    'performance_at',
    'read_predictions',
    'true_labels',
    'with_cautions',
    'write_predictions',
]


def performance_at(
    points: dict[str, dict[str, float]],
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: tuple[str, ...],
    groups: Sequence[Hashable],
    known: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return sensitivity and specificity at thresholds that were chosen on other images.

    Parameters
    ----------
    points : dict
        As `operating_points` returned them.
    truth, probabilities, labels
        As of `operating_points`, for the images that are evaluated.
    groups : sequence
        The patient of each.
    known : ndarray of bool, shape (n, classes), optional
        With several labels, where it is known whether the image has them.

    Returns
    -------
    dict
        By class and criterion ``sensitivity`` and ``specificity`` as [value, low, high].
    """
    out: dict[str, Any] = {}
    for label, found in points.items():
        k = labels.index(label)
        scores, inside = probabilities[:, k], one_hot(truth, len(labels))[:, k]
        there = np.ones(len(inside), bool) if known is None else known[:, k]
        for name, threshold in found.items():
            rates = {}
            for metric, which, right in (
                ('sensitivity', inside & there, scores >= threshold),
                ('specificity', ~inside & there, scores < threshold),
            ):
                own = [groups[i] for i in np.flatnonzero(which).tolist()]
                rates[metric] = proportion_interval(right[which], own).to_list()
            out.setdefault(label, {})[name] = rates
    return out


#: Macro AUC from which on what sees no anatomy tells classes apart.
_TELLS = 0.65
#: What the no-anatomy baselines know.
_KNOWS = {
    'format only': 'the size of an image and the brightness of its border',
    'format and grey levels': 'the size of an image, its border and its grey levels',
}

#: Name of the table in a run's folder.
PREDICTIONS_FILE = 'predictions.csv'

_COLUMNS = ('image', 'split', 'source', 'label')


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for n images.

    Parameters
    ----------
    labels : tuple of str
        The k classes.
    images : tuple of str
        A hash of each image's content.
    splits : tuple of str
        'val' or 'test'.
    probabilities : ndarray, shape (n, k)
        Calibrated on the validation split.
    logits : ndarray, shape (n, k)
        Outputs of the network.
    """

    labels: tuple[str, ...]
    images: tuple[str, ...]
    splits: tuple[str, ...]
    probabilities: np.ndarray
    logits: np.ndarray


def write_predictions(
    folder: Path,
    dataset: Dataset,
    split: Split,
    digests: Sequence[str],
    probabilities: np.ndarray,
    logits: np.ndarray,
) -> None:
    """Write ``predictions.csv`` of the validation and test images, without file names.

    Parameters
    ----------
    folder : Path
        The run's folder.
    dataset, split
        The images and their split.
    digests : sequence of str
        A hash of the content of each.
    probabilities, logits : ndarray, shape (n, classes)
        Of every image: calibrated probabilities, and outputs of the network.

    Raises
    ------
    OSError
        If it can't be written.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    labels = [to_csv_cell(label) for label in dataset.labels]
    writer.writerow([*_COLUMNS, *labels, *(f'logit of {k}' for k in dataset.labels)])
    for name in ('val', 'test'):
        for place in getattr(split, name):
            sample = dataset.samples[place]
            numbers = [f'{p:.6g}' for p in (*probabilities[place], *logits[place])]
            label = '|'.join([*sample.labels, *(f'{k}{UNKNOWN_MARK}' for k in sample.unknown)])
            said = [to_csv_cell(text) for text in (sample.source, label)]
            writer.writerow([digests[place], name, *said, *numbers])
    write_atomic(folder / PREDICTIONS_FILE, text.getvalue().encode())


def read_predictions(folder: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises
    ------
    OSError
        If there is none.
    ValueError
        If it is not such a table.
    """
    text = read_settings(folder / PREDICTIONS_FILE, LARGEST_TABLE)
    names, *rows = list(csv.reader(io.StringIO(text, newline=''))) or [[]]
    known, classes = len(_COLUMNS), (len(names) - len(_COLUMNS)) // 2
    if tuple(names[:known]) != _COLUMNS or any(len(row) != len(names) for row in rows):
        raise ValueError(f'{PREDICTIONS_FILE} is not whole')
    numbers = np.array([row[known:] for row in rows], dtype=np.float64)
    return Predictions(
        labels=tuple(map(from_csv_cell, names[known : known + classes])),
        images=tuple(row[0] for row in rows),
        splits=tuple(row[1] for row in rows),
        probabilities=numbers[:, :classes],
        logits=numbers[:, classes:],
    )


class HasFeatures(Protocol):
    """Images with the features of the no-anatomy baselines."""

    @property
    def features(self) -> np.ndarray:
        """Features of each image, shape (n, f)."""


def true_labels(dataset: Dataset) -> np.ndarray:
    """Return the true label of each image.

    Returns
    -------
    ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or the labels of each image, if it can have several.
    """
    numbers = {label: i for i, label in enumerate(dataset.labels)}
    if not dataset.multilabel:
        return np.array([numbers[sample.label] for sample in dataset.samples], dtype=np.intp)
    truth = np.zeros((len(dataset.samples), len(numbers)), dtype=bool)
    for row, sample in zip(truth, dataset.samples, strict=True):
        row[[numbers[label] for label in sample.labels]] = True
    return truth


def known_labels(dataset: Dataset) -> np.ndarray:
    """Return of which classes it is known whether each image has them, shape (n, classes)."""
    labels = np.array(dataset.labels)
    known = np.ones((len(dataset.samples), len(labels)), dtype=bool)
    for row, sample in zip(known, dataset.samples, strict=True):
        row[np.isin(labels, sample.unknown)] = False
    return known


def describe_data(dataset: Dataset, split: Split, digests: Sequence[str]) -> dict[str, Any]:
    """Return what a card says of the data: fingerprint, counts, and kind of split.

    The fingerprint is the SHA-256 over content, label and split of all images,
    in an order that does not depend on their names. An image with several labels
    counts for each of them, an image in no split does not count. ``divided_pairs`` is the
    number of near-duplicates that a table puts into two splits, which makes metrics too high.
    The images are in it by hashes too, see `napari_cxr.checkpoint.model_images`.
    """
    rows = list(zip(dataset.samples, digests, split.names(), strict=True))
    used = [(sample, digest, name) for sample, digest, name in rows if name]
    lines = sorted(
        f'{digest} {sample.label} {name}' + ''.join(f' ?{label}' for label in sample.unknown)
        for sample, digest, name in used
    )
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
        'divided_pairs': split.divided_pairs,
        'counts': counts,
        CARD_ENTRY: packed_digests([d for _, d, _ in used], [name for _, _, name in used]),
    }


def evaluate_model(
    dataset: Dataset, split: Split, images: HasFeatures, logits: np.ndarray, recipe: Recipe
) -> dict[str, Any]:
    """Evaluate a model on the test split, or on the validation split if there is none.

    Parameters
    ----------
    dataset, split, images
        The images, their split, and their features for the baselines.
    logits : ndarray, shape (n, classes)
        Of every image in the data set (those of the training split are not used).
    recipe : Recipe
        How probabilities are made of the logits, and the seed of the bootstrap.

    Returns
    -------
    dict
        The card's entries that `fit_answers` fits on the validation images, and ``metrics``,
        including those of `metrics_by_source` for the model and the baselines.
    """
    truth, labels = true_labels(dataset), dataset.labels
    known = known_labels(dataset)
    entries, cautions = fit_answers(
        truth[split.val],
        logits[split.val],
        labels,
        [dataset.samples[i].group for i in split.val],
        recipe.calibration,
        known=known[split.val],
    )
    probabilities = probabilities_of(
        logits, dataset.multilabel, entries['temperature'], entries['bias']
    )
    points = entries['operating_points']
    name = 'test' if len(split.test) else 'val'
    places = getattr(split, name)
    others = baseline_probabilities(images, truth, split.train, places, len(labels), known)
    predictions = FoldPredictions(places, probabilities[places], others)
    groups = [dataset.samples[i].group for i in places]
    metrics = {
        'measured_on': name,
        'split': split.kind,
        'most_frequent_class': round(majority_accuracy(truth[places]), 4),
        **metrics_by_source(dataset, truth, [predictions], recipe.seed),
        'operating_points': performance_at(
            points, truth[places], probabilities[places], labels, groups, known[places]
        ),
    }
    return {**entries, 'metrics': with_cautions(metrics, cautions, dataset, recipe)}


def with_cautions(
    metrics: dict[str, Any], others: Sequence[str], dataset: Dataset, recipe: Recipe
) -> dict[str, Any]:
    """Return metrics with cautions, where there are any; what makes them worthless goes first.

    Parameters
    ----------
    metrics : dict
        As `metrics_by_source` returns them.
    others : sequence of str
        What else a person has to know.
    dataset : Dataset
        All images of the run.
    recipe : Recipe
        How they were split.
    """
    found = [*_source_cautions(dataset, recipe), *_baseline_cautions(metrics), *others]
    return {**metrics, 'cautions': found} if found else metrics


def _source_cautions(dataset: Dataset, recipe: Recipe) -> list[str]:
    strength = source_strength(dataset)
    if not strength or recipe.split.method == 'leave-source-out':
        return []
    text = (
        'Do not believe these metrics: the source of an image predicts its class '
        f"(Cramér's V {strength:.2f}), so the network may have learned to tell sources apart, "
        'and will not hold in another hospital. Train with images of each class from each '
        'source, or see what is left with --leave-one-source-out.'
    )
    return [text]


def _baseline_cautions(metrics: dict[str, Any]) -> list[str]:
    """Say it where a classifier that sees no anatomy does as well."""
    rivals = []
    for name, found in metrics.get('differences', {}).items():
        apart = found['all'].get('macro_auc') or [None]
        own = metrics['baselines'][name]['all'].get('macro_auc') or [None]
        low = apart[1] if len(apart) == 3 and apart[1] is not None else apart[0]
        if low is not None and low <= 0 and own[0] is not None and own[0] > _TELLS:
            rivals.append((own[0], name))
    if not rivals:
        return []
    value, name = max(rivals)
    text = (
        'The model is not shown to be better than a classifier that sees no anatomy: by '
        f'{_KNOWS[name]} alone, one reaches a macro AUC of {value:.3f} on the same images. It may '
        'have learned how images were made, and will hardly hold in another hospital.'
    )
    return [text]


def baseline_probabilities(
    images: HasFeatures,
    truth: np.ndarray,
    training: np.ndarray,
    places: np.ndarray,
    classes: int,
    known: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the probabilities of the no-anatomy baselines, shape (n, classes) each.

    Parameters
    ----------
    images : HasFeatures
        All images with their features.
    truth : ndarray
        Of all images, as `true_labels` returns it.
    training, places : ndarray of int
        Indices of the training images, and of those to predict.
    classes : int
        How many classes there are.
    known : ndarray of bool, optional
        Of all images, as `known_labels` returns it; a label is learnt from these alone.
    """
    out = {}
    sure = known[training] if known is not None and np.ndim(truth) == 2 else None
    for kind, count in BASELINES.items():
        features = images.features[:, :count]
        predict = fit_baseline(features[training], truth[training], classes, sure)
        out[kind] = predict(features[places])
    return out


def metrics_by_source(
    dataset: Dataset, truth: np.ndarray, parts: Sequence[FoldPredictions], seed: int
) -> dict[str, Any]:
    """Return metrics of a model and the baselines on some images, and on those of each source.

    Parameters
    ----------
    dataset : Dataset
        The images.
    truth : ndarray
        Of all of them, as `true_labels` returns it.
    parts : sequence of FoldPredictions
        Predictions for the images to evaluate. Metrics of one part are those of `summarise`,
        of several parts their means, see `average_over_folds`.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict
        ``model``; by name ``baselines``; and by name ``differences``, the model minus that
        baseline on the same resamples. Each under 'all', and by source where there are two
        or more. For images of one source, each two classes are compared by themselves.
    """
    labels, samples = dataset.labels, dataset.samples
    sources = np.array([sample.source for sample in samples])
    groups = [sample.group for sample in samples]
    averaged, known = len(parts) > 1, known_labels(dataset)
    # Folds are made of sources, so their resamples are stratified by source, too.
    strata = [
        (0 if dataset.multilabel else int(truth[i]), source if averaged else '')
        for i, source in enumerate(sources)
    ]
    measured = sorted(set(sources[np.concatenate([part.places for part in parts])].tolist()))
    chosen = {'all': np.ones(len(sources), dtype=bool)}
    if len(measured) > 1:
        chosen |= {name or 'no source': sources == name for name in measured}
    out: dict[str, Any] = {'model': {}, 'baselines': {}, 'differences': {}}
    for name, which in chosen.items():
        here = [own for part in parts if len((own := part.subset(which)).places)]
        pairs = (name != 'all' or len(measured) == 1) and name != 'no source' and measured != ['']

        def metrics_of(own: Sequence[FoldPredictions], pairs: bool = pairs) -> dict[str, Any]:
            if averaged:
                return average_over_folds(
                    truth, own, labels, groups, strata, pairs=pairs, seed=seed, known=known
                )
            (part,) = own
            patients = [groups[i] for i in part.places]
            return summarise(
                truth[part.places],
                part.probabilities,
                labels,
                patients,
                pairs=pairs,
                seed=seed,
                known=known[part.places],
            )

        out['model'][name] = metrics_of(here)
        for kind in here[0].others:
            theirs = metrics_of([part.of_classifier(kind) for part in here])
            out['baselines'].setdefault(kind, {})[name] = theirs
        compared = metric_differences(
            truth, here, labels, groups, strata, pairs=pairs, seed=seed, known=known
        )
        for kind, difference in compared.items():
            out['differences'].setdefault(kind, {})[name] = difference
    return out


def majority_accuracy(truth: np.ndarray) -> float:
    """Return the accuracy of always predicting the majority, averaged over several labels."""
    if truth.ndim == 1:
        return float(np.bincount(truth).max() / len(truth))
    frequency = truth.mean(axis=0)
    return float(np.maximum(frequency, 1 - frequency).mean())


def counts_by_split(dataset: Dataset, split: Split) -> dict[str, dict[str, int]]:
    """Return the number of images by split and class; an image counts for each of its labels."""
    return {
        name: {
            label: sum(label in dataset.samples[i].labels for i in getattr(split, name))
            for label in dataset.labels
        }
        for name in SPLITS
    }
