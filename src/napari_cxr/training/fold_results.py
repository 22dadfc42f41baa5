"""What the folds of a cross-validation say: each by itself, their mean, and all images.

Also the card of the model that learns from all images, once the folds have been judged.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_cxr.checkpoint import Card, CheckpointError, read_card
from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.metrics.calibration import fit_temperature, probabilities_of
from napari_cxr.metrics.class_metrics import CLASS_METRICS, OVERALL_METRICS
from napari_cxr.metrics.model_comparison import FoldPredictions
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.model_evaluation import (
    baseline_probabilities,
    majority_accuracy,
    metrics_by_source,
    operating_points,
    read_predictions,
    true_labels,
)
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.splits import Split

__all__ = [
    'FoldImages',
    'FoldResult',
    'final_model_entries',
    'read_folds',
    'summarise_folds',
    'times_tested',
    'write_summary',
]


class FoldImages(Protocol):
    """All images of a data set, whichever fold they are for."""

    @property
    def dataset(self) -> Dataset:
        """What they are."""

    @property
    def digests(self) -> Sequence[str]:
        """A hash of each one's content."""

    @property
    def features(self) -> np.ndarray:
        """What the no-anatomy baselines see of each."""


@dataclass(frozen=True, eq=False)
class FoldResult:
    """One fold that has ended.

    Parameters
    ----------
    name : str
        Of its folder.
    card : Card
        Of its model.
    part : FoldPredictions
        What model and baselines say of its test images.
    logits : ndarray, shape (n, classes)
        The model's, of these images, before any temperature.
    """

    name: str
    card: Card
    part: FoldPredictions
    logits: np.ndarray


def read_folds(
    images: FoldImages, splits: Sequence[tuple[str, Split]], folder: Path
) -> list[FoldResult]:
    """Read the folds of a run.

    Parameters
    ----------
    images : FoldImages
        What was divided.
    splits : sequence of (str, Split)
        The folds' names and divisions.
    folder : Path
        In which each has its run folder.

    Raises
    ------
    TrainingError
        If a fold's files are missing or of other images.
    """
    truth = true_labels(images.dataset)
    folds = []
    for name, split in splits:
        card = _card(folder / name)
        places, probabilities, logits = _test_predictions(images, split, folder / name)
        guesses = baseline_probabilities(
            images, truth, split.train, places, len(images.dataset.labels)
        )
        folds.append(
            FoldResult(name, card, FoldPredictions(places, probabilities, guesses), logits)
        )
    return folds


def times_tested(folds: Sequence[FoldResult], total: int) -> np.ndarray:
    """Return in how many folds each of so many images was tested, shape (total,)."""
    return np.bincount(np.concatenate([fold.part.places for fold in folds]), minlength=total)


def _card(folder: Path) -> Card:
    try:
        card = read_card(folder / 'best.safetensors')
    except (CheckpointError, OSError) as error:
        raise TrainingError(f'The model of {folder.name} cannot be read: {error}') from None
    if card.metrics.get('measured_on') != 'test':
        raise TrainingError(
            f'{folder.name} was not measured on test images; delete its folder and resume.'
        )
    return card


def _test_predictions(
    images: FoldImages, split: Split, folder: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places of a fold's test images, its model's probabilities of them, and logits."""
    changed = TrainingError(
        f'{folder.name} was trained on other images than there are now; start in a new folder, '
        'or delete that of the fold and resume.'
    )
    try:
        found = read_predictions(folder)
    except (OSError, ValueError):
        raise TrainingError(
            f'The predictions of {folder.name} cannot be read; delete its folder and resume.'
        ) from None
    if found.labels != images.dataset.labels:
        raise changed
    where: dict[str, list[int]] = {}
    for place in split.test[::-1]:  # so that copies of an image are taken in their order
        where.setdefault(images.digests[place], []).append(int(place))
    rows = [i for i, name in enumerate(found.splits) if name == 'test']
    try:
        places = [where[found.images[i]].pop() for i in rows]
    except (KeyError, IndexError):
        raise changed from None
    return np.array(places, dtype=np.intp), found.probabilities[rows], found.logits[rows]


_FOLDS_NOTE = (
    'None of these models is the result: the figures say how well the recipe does on images '
    'that it has not seen. The best of the folds would be chosen by the very images that it '
    'was measured on, so its figure is too good. Take any of them, with the figures of its '
    'own test part, or train once more on everything with split.then_all.'
)

_FINAL_MODEL_NOTE = (
    'The result is the model in the folder "all", which has learnt from all images. The figures '
    'are of the folds: they say how well its recipe does on images that it has not seen.'
)

#: What a card says of each fold; more is on the fold's own.
_OF_FOLD = (
    'images',
    'patients',
    'accuracy',
    'balanced_accuracy',
    'macro_f1',
    'macro_auc',
    'calibration_error',
    'pairs',
    'confusion',
)


def summarise_folds(
    images: FoldImages, folds: Sequence[FoldResult], kind: str, recipe: Recipe
) -> dict[str, Any]:
    """Sum up what the folds left.

    Parameters
    ----------
    images : FoldImages
        What was divided.
    folds : sequence of FoldResult
        As `read_folds` read them.
    kind : str
        Of their splits: 'by patient' or 'by image'.
    recipe : Recipe
        That they followed.

    Returns
    -------
    dict
        ``folds``: each with its name, model and figures. ``figures``: of each figure the
        mean over the folds, their standard deviation ``sd`` (no standard error: the folds
        share most of what they learnt from, Bengio and Grandvalet, JMLR 2004;5:1089), and
        of how many folds. ``baselines``: the same of the no-anatomy baselines. ``note``
        says what the models are good for.

        ``metrics``: as on a card, with intervals by patient. Where each image is tested
        once, over the test images of all folds, each judged by the model that had not seen
        it; areas then compare probabilities of different models. Where folds share test
        images, the mean over the folds, see `napari_cxr.metrics.average_over_folds`; ``averaged``
        says which. ``by_fold``: the same of each fold alone.
    """
    dataset = images.dataset
    figures = {fold.name: _metrics_of(fold.card.metrics['model']['all']) for fold in folds}
    kinds = folds[0].card.metrics['baselines']
    baselines = {
        kind: _spread([_metrics_of(f.card.metrics['baselines'][kind]['all']) for f in folds])
        for kind in kinds
    }
    parts = [fold.part for fold in folds]
    averaged = bool((times_tested(folds, len(dataset.samples)) > 1).any())
    truth = true_labels(dataset)
    tested = np.unique(np.concatenate([part.places for part in parts]))
    by_source = recipe.split.method == 'leave-source-out'
    return {
        'recipe': recipe.name,
        'method': recipe.split.method,
        'split': kind,
        'labels': list(dataset.labels),
        'note': _FINAL_MODEL_NOTE if recipe.split.then_all else _FOLDS_NOTE,
        'folds': [
            {
                'name': fold.name,
                'model': f'{fold.name}/best.safetensors',
                'epoch': fold.card.data.get('epoch'),
                'images': fold.card.metrics['model']['all']['images'],
                'patients': fold.card.metrics['model']['all']['patients'],
                'figures': figures[fold.name],
            }
            for fold in folds
        ],
        'figures': _spread(list(figures.values())),
        'baselines': baselines,
        'metrics': {
            'measured_on': 'sources left out' if by_source else 'folds left out',
            'split': kind,
            'folds': len(folds),
            'averaged': averaged,
            'most_frequent_class': round(majority_accuracy(truth[tested]), 4),
            **metrics_by_source(
                dataset, truth, parts if averaged else [_joined(parts)], recipe.seed
            ),
            'by_fold': {fold.name: _fold_entries(fold, images) for fold in folds},
        },
    }


def _joined(parts: Sequence[FoldPredictions]) -> FoldPredictions:
    """Return parts that share no image as one."""
    return FoldPredictions(
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        {kind: np.concatenate([part.others[kind] for part in parts]) for kind in parts[0].others},
    )


def _fold_entries(fold: FoldResult, images: FoldImages) -> dict[str, Any]:
    metrics = fold.card.metrics
    sources = {images.dataset.samples[i].source for i in fold.part.places}

    def short(found: dict[str, Any]) -> dict[str, Any]:
        return {
            source: {name: figures[name] for name in _OF_FOLD if name in figures}
            for source, figures in found.items()
        }

    return {
        'sources': sorted(sources - {''}),
        'most_frequent_class': metrics['most_frequent_class'],
        'model': short(metrics['model']),
        'baselines': {kind: short(found) for kind, found in metrics['baselines'].items()},
        'differences': metrics['differences'],
    }


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write ``summary.csv``, ``summary.json`` and, last, ``result.json``.

    Raises
    ------
    OSError
        If they can't be written.
    """
    metrics: dict[str, Any] = summary['metrics']
    whole = 'mean' if metrics['averaged'] else 'all images'
    lines: list[tuple[str, dict[str, Any]]] = []
    for fold in summary['folds']:
        (title, _), *others = _summary_rows(fold['name'], metrics['by_fold'][fold['name']])
        lines += [(title, fold['figures']), *others]
    for name, value in (('mean', 'mean'), ('standard deviation', 'sd')):
        lines.append((name, {figure: f[value] for figure, f in summary['figures'].items()}))
    pooled = list(_summary_rows(whole, metrics))
    lines += pooled[1:] if metrics['averaged'] else pooled  # whose mean is there already
    lines += [
        (f'{kind}, mean', {name: f['mean'] for name, f in found.items()})
        for kind, found in summary['baselines'].items()
    ]
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    names = list(dict.fromkeys(name for _, values in lines for name in values))
    writer.writerow(['fold', *names])
    for title, values in lines:
        writer.writerow([title, *(values.get(name) for name in names)])
    write_atomic(folder / 'summary.csv', text.getvalue().encode())
    result = {'status': 'finished', 'metrics': summary['metrics']}
    for name, content in (('summary.json', summary), ('result.json', result)):
        dumped = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'
        write_atomic(folder / name, dumped.encode())


def _summary_rows(title: str, found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a table's lines: all images, then each source, beside the baselines."""
    for source in found['model']:
        here = title if source == 'all' else f'{title}, {source}'
        shown = {here: found['model'][source]}
        shown |= {f'{here}, {kind}': of[source] for kind, of in found['baselines'].items()}
        for kind, of in found['differences'].items():
            shown[f'{here}, model minus {kind}'] = of[source]
        for name, figures in shown.items():
            values = _intervals_of(figures)
            for place, words in enumerate(('', ', 95 % from', ', 95 % to')):
                yield f'{name}{words}', {figure: v[place] for figure, v in values.items()}


def _intervals_of(found: dict[str, Any]) -> dict[str, list[float | None]]:
    """Return all figures of a summary by one name each: 'accuracy', 'f1 of covid19'."""
    out = {name: found[name] for name in OVERALL_METRICS if name in found}
    if 'calibration_error' in found:
        out['calibration_error'] = [found['calibration_error'], None, None]
    for label, figures in found.get('classes', {}).items():
        out |= {f'{name} of {label}': figures[name] for name in CLASS_METRICS}
    return out | found.get('pairs', {})


def _metrics_of(found: dict[str, Any]) -> dict[str, float]:
    named = _intervals_of(found).items()
    return {name: values[0] for name, values in named if values[0] is not None}


def _spread(folds: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for fold in folds for name in fold):
        values = np.array([fold[name] for fold in folds if name in fold])
        sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        out[name] = {
            'mean': round(float(values.mean()), 4),
            'sd': round(sd, 4) if math.isfinite(sd) else None,
            'folds': len(values),
        }
    return out


def final_model_entries(
    dataset: Dataset, folds: Sequence[FoldResult], recipe: Recipe, metrics: dict[str, Any]
) -> dict[str, Any]:
    """Return what the folds say for a model that has learnt from all images.

    No image is left that it has not learnt from or been chosen by. So its figures are those
    of the folds, whose recipe it shares, and what it needs besides weights is fitted on
    what they said of images that they had not seen: its outputs are as sure of themselves
    there as theirs, and not as on images that it knows.

    Parameters
    ----------
    dataset : Dataset
        The images.
    folds : sequence of FoldResult
        All that were run.
    recipe : Recipe
        Of the whole.
    metrics : dict
        As the summary of the folds has them.

    Returns
    -------
    dict
        The card's entries ``temperature`` (one for the logits of all folds),
        ``operating_points``, ``metrics`` and ``recipe``. An image that was tested in
        several folds counts as one.
    """
    truth, labels = true_labels(dataset), dataset.labels
    places = np.concatenate([fold.part.places for fold in folds])
    logits = np.concatenate([fold.logits for fold in folds])
    weights = 1 / times_tested(folds, len(dataset.samples))[places]
    temperature = fit_temperature(truth[places], logits, weights)
    probabilities = probabilities_of(logits, dataset.multilabel, temperature)
    return {
        'temperature': temperature,
        'operating_points': operating_points(truth[places], probabilities, labels, weights),
        'metrics': metrics,
        'recipe': recipe.to_dict(),
    }
