"""What the folds of a run say together: spread over folds, and figures over all images."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_cxr.checkpoint import Card, CheckpointError, read_card
from napari_cxr.checkpoint.file import write_whole
from napari_cxr.metrics.baseline import BASELINES, fit_baseline
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.evaluate import figures_by_source, most_frequent, truth_of
from napari_cxr.training.predictions import read_predictions
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.splits import Split

__all__ = ['Images', 'summarise_folds', 'write_summary']

NOTE = (
    'None of these models is the result: the figures say how well the recipe does on images '
    'that it has not seen. The best of the folds would be chosen by the very images that it '
    'was measured on, so its figure is too good. Take any of them, with the figures of its '
    'own test part, or train once more with a held-out test split.'
)
_FIGURES = ('accuracy', 'balanced_accuracy', 'macro_f1', 'macro_auc', 'keras_auc')
_OF_CLASS = ('sensitivity', 'specificity', 'precision', 'f1', 'auc', 'mean_probability')


class Images(Protocol):
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


def summarise_folds(
    images: Images, splits: Sequence[tuple[str, Split]], folder: Path, recipe: Recipe
) -> dict[str, Any]:
    """Read what the folds left, and sum it up.

    Parameters
    ----------
    images : Images
        What was divided.
    splits : sequence of (str, Split)
        The folds' names and divisions.
    folder : Path
        In which each has its run folder.
    recipe : Recipe
        That they followed.

    Returns
    -------
    dict
        ``folds``: each with its name, model and figures. ``figures``: of each figure the
        mean over the folds, their standard deviation ``sd`` (no standard error: the folds
        share most of what they learnt from, Bengio and Grandvalet, JMLR 2004;5:1089), and
        of how many folds. ``baselines``: the same of the no-anatomy baselines.
        ``metrics``: as on a card, over the test images of all folds, each judged by the
        model that had not seen it, with intervals by patient; its areas compare
        probabilities of different models. ``note`` says what the models are good for.

    Raises
    ------
    TrainingError
        If a fold's files are missing or of other images.
    """
    cards = {name: _card(folder / name) for name, _ in splits}
    found = {name: _figures_of(card.metrics['model']['all']) for name, card in cards.items()}
    baselines = {
        kind: _spread([_figures_of(c.metrics['baselines'][kind]['all']) for c in cards.values()])
        for kind in BASELINES
    }
    return {
        'recipe': recipe.name,
        'method': recipe.split.method,
        'split': splits[0][1].kind,
        'labels': list(images.dataset.labels),
        'note': NOTE,
        'folds': [
            {
                'name': name,
                'model': f'{name}/best.safetensors',
                'epoch': card.data.get('epoch'),
                'images': card.metrics['model']['all']['images'],
                'patients': card.metrics['model']['all']['patients'],
                'figures': found[name],
            }
            for name, card in cards.items()
        ],
        'figures': _spread(list(found.values())),
        'baselines': baselines,
        'metrics': _pooled(images, splits, folder, recipe.seed),
    }


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write ``summary.csv``, ``summary.json`` and, last, ``result.json``.

    Raises
    ------
    OSError
        If they can't be written.
    """
    figures: dict[str, Any] = summary['figures']
    pooled: dict[str, Any] = _intervals_of(summary['metrics']['model']['all'])
    lines: list[tuple[str, dict[str, Any]]] = [
        *((fold['name'], fold['figures']) for fold in summary['folds']),
        ('mean', {name: f['mean'] for name, f in figures.items()}),
        ('standard deviation', {name: f['sd'] for name, f in figures.items()}),
        ('all images', {name: values[0] for name, values in pooled.items()}),
        ('all images, 95 % from', {name: values[1] for name, values in pooled.items()}),
        ('all images, 95 % to', {name: values[2] for name, values in pooled.items()}),
        *(
            (f'{kind}, mean', {name: f['mean'] for name, f in found.items()})
            for kind, found in summary['baselines'].items()
        ),
    ]
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    names = list(dict.fromkeys([*pooled, *figures]))
    writer.writerow(['fold', *names])
    for title, values in lines:
        writer.writerow([title, *(values.get(name) for name in names)])
    write_whole(folder / 'summary.csv', text.getvalue().encode())
    result = {'status': 'finished', 'metrics': summary['metrics']}
    for name, content in (('summary.json', summary), ('result.json', result)):
        dumped = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'
        write_whole(folder / name, dumped.encode())


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


def _pooled(
    images: Images, splits: Sequence[tuple[str, Split]], folder: Path, seed: int
) -> dict[str, Any]:
    dataset = images.dataset
    truth, classes = truth_of(dataset), len(dataset.labels)
    probabilities = np.full((len(dataset.samples), classes), np.nan)
    guesses = {kind: np.full_like(probabilities, np.nan) for kind in BASELINES}
    for name, split in splits:
        places, answers = _answers(images, split, folder / name)
        probabilities[places] = answers
        for kind, seen in BASELINES.items():
            features = images.features[:, :seen]
            baseline = fit_baseline(features[split.train], truth[split.train], classes)
            guesses[kind][places] = baseline(features[places])
    tested = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    return {
        'measured_on': 'test',
        'split': splits[0][1].kind,
        'folds': len(splits),
        'most_frequent_class': round(most_frequent(truth[tested]), 4),
        'model': figures_by_source(dataset, truth, probabilities, tested, seed),
        'baselines': {
            kind: figures_by_source(dataset, truth, guess, tested, seed)
            for kind, guess in guesses.items()
        },
    }


def _answers(images: Images, split: Split, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return places of a fold's test images, and its model's probabilities of them."""
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
    return np.array(places, dtype=np.intp), found.probabilities[rows]


def _intervals_of(found: dict[str, Any]) -> dict[str, list[float | None]]:
    """Return all figures of a summary by one name each: 'accuracy', 'f1 of covid19'."""
    out = {name: found[name] for name in _FIGURES if name in found}
    out['calibration_error'] = [found['calibration_error'], None, None]
    for label, figures in found['classes'].items():
        out |= {f'{name} of {label}': figures[name] for name in _OF_CLASS}
    return out


def _figures_of(found: dict[str, Any]) -> dict[str, float]:
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
