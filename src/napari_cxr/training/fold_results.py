"""Results of a cross-validation: of each fold, their mean, and of all images.

Also the card's entries of the final model, which is trained on all images.
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
from napari_cxr.metrics.class_metrics import CLASS_METRICS, OVERALL_METRICS
from napari_cxr.metrics.model_comparison import FoldPredictions
from napari_cxr.output_text import to_csv_cell
from napari_cxr.training.answer_fitting import fit_answers
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.model_evaluation import (
    baseline_probabilities,
    known_labels,
    majority_accuracy,
    metrics_by_source,
    read_predictions,
    true_labels,
    with_cautions,
)
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.splits import Split, splits_of

__all__ = [
    'FoldImages',
    'FoldResult',
    'final_model_entries',
    'final_recipe',
    'fold_recipe',
    'read_folds',
    'summarise_folds',
    'times_tested',
    'write_summary',
]


class FoldImages(Protocol):
    """All images of a data set."""

    @property
    def dataset(self) -> Dataset:
        """The labelled images."""

    @property
    def digests(self) -> Sequence[str]:
        """A hash of the content of each image."""

    @property
    def features(self) -> np.ndarray:
        """Features of each image for the no-anatomy baselines."""


def final_recipe(images: FoldImages, recipe: Recipe) -> tuple[Recipe, Split]:
    """Return recipe and split of the run on all images; with the recipe it can be repeated."""
    own = recipe.with_changes(
        {
            'split.method': 'holdout',
            'split.test': 0.0,
            'split.fold': 0,
            'split.left_out': [],
            'split.then_all': False,
        }
    )
    ((_, split),) = splits_of(images.dataset, own.split, own.split_seed)
    return own, split


def fold_recipe(recipe: Recipe, images: FoldImages, place: int, name: str, split: Split) -> Recipe:
    """Return the recipe that makes one fold again, alone."""
    alone = {'split.then_all': False}
    if recipe.split.method == 'k-fold':
        return recipe.with_changes({'split.fold': int(name.removeprefix('fold-')), **alone})
    sets = recipe.split.left_out
    left_out = sets[place] if sets else (images.dataset.samples[split.test[0]].source,)
    return recipe.with_changes({'split.left_out': [list(left_out)], **alone})


@dataclass(frozen=True, eq=False)
class FoldResult:
    """A finished fold.

    Parameters
    ----------
    name : str
        Name of its folder.
    card : Card
        The card of its model.
    part : FoldPredictions
        Predictions of model and baselines for its test images.
    logits : ndarray, shape (n, classes)
        Outputs of the model for these images, before the temperature.
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
        The images that were split.
    splits : sequence of (str, Split)
        Names and splits of the folds.
    folder : Path
        The folder that contains the folds' run folders.

    Raises
    ------
    TrainingError
        If files of a fold are missing or belong to other images.
    """
    truth, known = true_labels(images.dataset), known_labels(images.dataset)
    folds = []
    for name, split in splits:
        card = _card(folder / name)
        places, probabilities, logits = _test_predictions(images, split, folder / name)
        others = baseline_probabilities(
            images, truth, split.train, places, len(images.dataset.labels), known
        )
        folds.append(
            FoldResult(name, card, FoldPredictions(places, probabilities, others), logits)
        )
    return folds


def times_tested(folds: Sequence[FoldResult], total: int) -> np.ndarray:
    """Return the number of folds in which each image was tested, shape (total,)."""
    return np.bincount(np.concatenate([fold.part.places for fold in folds]), minlength=total)


def _card(folder: Path) -> Card:
    try:
        card = read_card(folder / 'best.safetensors')
    except (CheckpointError, OSError) as error:
        raise TrainingError(f'The model of {folder.name} cannot be read: {error}') from None
    if card.metrics.get('measured_on') != 'test':
        raise TrainingError(
            f'{folder.name} was not evaluated on test images; delete its folder and resume.'
        )
    return card


def _test_predictions(
    images: FoldImages, split: Split, folder: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return indices of a fold's test images, and probabilities and logits for them."""
    changed = TrainingError(
        f'{folder.name} was trained on other images than there are now; start in a new folder, '
        'or delete the folder of the fold and resume.'
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
    for place in split.test[::-1]:  # so that copies of an image keep their order
        where.setdefault(images.digests[place], []).append(int(place))
    rows = [i for i, name in enumerate(found.splits) if name == 'test']
    try:
        places = [where[found.images[i]].pop() for i in rows]
    except (KeyError, IndexError):
        raise changed from None
    return np.array(places, dtype=np.intp), found.probabilities[rows], found.logits[rows]


_FOLDS_NOTE = (
    'None of these models is the result: the metrics say how well the recipe does on unseen '
    'images. The best fold would be selected by the very images that it was tested on, so its '
    'metrics would be too high. Use any of them, with the metrics of its own test images, or '
    'train once more on all images with split.then_all.'
)

_FINAL_MODEL_NOTE = (
    'The result is the model in the folder "all", which was trained on all images. The metrics '
    'are those of the folds: they say how well its recipe does on unseen images.'
)

#: Entries of each fold on the final card; the fold's own card has more.
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
    """Summarise the folds.

    Parameters
    ----------
    images : FoldImages
        The images that were split.
    folds : sequence of FoldResult
        As `read_folds` returned them.
    kind : str
        Kind of their splits: 'by patient' or 'by image'.
    recipe : Recipe
        The recipe of the whole run.

    Returns
    -------
    dict
        ``folds``: name, model and metrics of each. ``figures``: the mean of each metric over
        the folds, their standard deviation ``sd`` (not a standard error: the folds share
        most of their training images, Bengio and Grandvalet, JMLR 2004;5:1089), and the
        number of folds. ``baselines``: the same for the no-anatomy baselines. ``note``
        says what the models can be used for.

        ``metrics``: as on a card, with intervals by patient. If each image is tested once,
        they are those of the test images of all folds together, each with the model that
        had not seen it; an AUC then compares probabilities of different models. If test
        images overlap, they are means over the folds, see
        `napari_cxr.metrics.average_over_folds`; ``averaged`` says which. ``by_fold``: the
        same for each fold alone.
    """
    dataset = images.dataset
    by_fold = {fold.name: _metrics_of(fold.card.metrics['model']['all']) for fold in folds}
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
                'figures': by_fold[fold.name],
            }
            for fold in folds
        ],
        'figures': _spread(list(by_fold.values())),
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
    """Join parts that do not overlap."""
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
            source: {name: values[name] for name in _OF_FOLD if name in values}
            for source, values in found.items()
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
        lines.append((name, {metric: f[value] for metric, f in summary['figures'].items()}))
    pooled = list(_summary_rows(whole, metrics))
    lines += pooled[1:] if metrics['averaged'] else pooled  # the mean is there already
    lines += [
        (f'{kind}, mean', {name: f['mean'] for name, f in found.items()})
        for kind, found in summary['baselines'].items()
    ]
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    names = list(dict.fromkeys(name for _, values in lines for name in values))
    writer.writerow(['fold', *names])
    for title, values in lines:
        writer.writerow([to_csv_cell(title), *(values.get(name) for name in names)])
    write_atomic(folder / 'summary.csv', text.getvalue().encode())
    result = {'status': 'finished', 'metrics': summary['metrics']}
    for name, content in (('summary.json', summary), ('result.json', result)):
        dumped = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'
        write_atomic(folder / name, dumped.encode())


def _summary_rows(title: str, found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield lines of the table: all images, then each source, with the baselines."""
    for source in found['model']:
        here = title if source == 'all' else f'{title}, {source}'
        shown = {here: found['model'][source]}
        shown |= {f'{here}, {kind}': of[source] for kind, of in found['baselines'].items()}
        for kind, of in found['differences'].items():
            shown[f'{here}, model minus {kind}'] = of[source]
        for name, metrics_here in shown.items():
            values = _intervals_of(metrics_here)
            for place, words in enumerate(('', ', 95 % from', ', 95 % to')):
                yield f'{name}{words}', {metric: v[place] for metric, v in values.items()}


def _intervals_of(found: dict[str, Any]) -> dict[str, list[float | None]]:
    """Return all metrics of a summary by name: 'accuracy', 'f1 of covid19'."""
    out = {name: found[name] for name in OVERALL_METRICS if name in found}
    if 'calibration_error' in found:
        out['calibration_error'] = [found['calibration_error'], None, None]
    for label, values in found.get('classes', {}).items():
        out |= {f'{name} of {label}': values[name] for name in CLASS_METRICS if name in values}
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
    """Return the entries of the card of the final model, which is trained on all images.

    No image is left that was not used to train or select it. So its metrics are those of the
    folds, whose recipe it shares, and its temperature and thresholds are fitted on the folds'
    predictions for unseen images.

    Parameters
    ----------
    dataset : Dataset
        The images.
    folds : sequence of FoldResult
        All folds.
    recipe : Recipe
        The recipe of the whole run.
    metrics : dict
        As in the summary of the folds.

    Returns
    -------
    dict
        The card's entries that `fit_answers` fits (one temperature for the logits of all
        folds), ``metrics`` and ``recipe``. An image that was tested in
        several folds counts once.
    """
    truth, labels = true_labels(dataset), dataset.labels
    places = np.concatenate([fold.part.places for fold in folds])
    logits = np.concatenate([fold.logits for fold in folds])
    weights = 1 / times_tested(folds, len(dataset.samples))[places]
    entries, cautions = fit_answers(
        truth[places],
        logits,
        labels,
        [dataset.samples[i].group for i in places],
        recipe.calibration,
        weights,
        known_labels(dataset)[places],
    )
    return {
        **entries,
        'metrics': with_cautions(metrics, cautions, dataset, recipe),
        'recipe': recipe.to_dict(),
    }
