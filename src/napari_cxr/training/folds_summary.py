"""What the folds of a run say together: each by itself, their mean, and all images."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.checkpoint.file import write_whole
from napari_cxr.metrics.columns import OF_CLASS, OVERALL
from napari_cxr.metrics.together import Part
from napari_cxr.training.evaluate import figures_by_source, most_frequent, truth_of
from napari_cxr.training.folds import Fold, Images, how_often
from napari_cxr.training.recipe import Recipe

__all__ = ['summarise_folds', 'write_summary']

_NOTE = (
    'None of these models is the result: the figures say how well the recipe does on images '
    'that it has not seen. The best of the folds would be chosen by the very images that it '
    'was measured on, so its figure is too good. Take any of them, with the figures of its '
    'own test part, or train once more on everything with split.then_all.'
)
_NOTE_ALL = (
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
    images: Images, folds: Sequence[Fold], kind: str, recipe: Recipe
) -> dict[str, Any]:
    """Sum up what the folds left.

    Parameters
    ----------
    images : Images
        What was divided.
    folds : sequence of Fold
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
        images, the mean over the folds, see `napari_cxr.metrics.average`; ``averaged``
        says which. ``by_fold``: the same of each fold alone.
    """
    dataset = images.dataset
    figures = {fold.name: _figures_of(fold.card.metrics['model']['all']) for fold in folds}
    kinds = folds[0].card.metrics['baselines']
    baselines = {
        kind: _spread([_figures_of(f.card.metrics['baselines'][kind]['all']) for f in folds])
        for kind in kinds
    }
    parts = [fold.part for fold in folds]
    averaged = bool((how_often(folds, len(dataset.samples)) > 1).any())
    truth = truth_of(dataset)
    tested = np.unique(np.concatenate([part.places for part in parts]))
    by_source = recipe.split.method == 'leave-source-out'
    return {
        'recipe': recipe.name,
        'method': recipe.split.method,
        'split': kind,
        'labels': list(dataset.labels),
        'note': _NOTE_ALL if recipe.split.then_all else _NOTE,
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
            'most_frequent_class': round(most_frequent(truth[tested]), 4),
            **figures_by_source(
                dataset, truth, parts if averaged else [_joined(parts)], recipe.seed
            ),
            'by_fold': {fold.name: _of_fold(fold, images) for fold in folds},
        },
    }


def _joined(parts: Sequence[Part]) -> Part:
    """Return parts that share no image as one."""
    return Part(
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        {kind: np.concatenate([part.others[kind] for part in parts]) for kind in parts[0].others},
    )


def _of_fold(fold: Fold, images: Images) -> dict[str, Any]:
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
        (title, _), *others = _lines(fold['name'], metrics['by_fold'][fold['name']])
        lines += [(title, fold['figures']), *others]
    for name, value in (('mean', 'mean'), ('standard deviation', 'sd')):
        lines.append((name, {figure: f[value] for figure, f in summary['figures'].items()}))
    pooled = list(_lines(whole, metrics))
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
    write_whole(folder / 'summary.csv', text.getvalue().encode())
    result = {'status': 'finished', 'metrics': summary['metrics']}
    for name, content in (('summary.json', summary), ('result.json', result)):
        dumped = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'
        write_whole(folder / name, dumped.encode())


def _lines(title: str, found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
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
    out = {name: found[name] for name in OVERALL if name in found}
    if 'calibration_error' in found:
        out['calibration_error'] = [found['calibration_error'], None, None]
    for label, figures in found.get('classes', {}).items():
        out |= {f'{name} of {label}': figures[name] for name in OF_CLASS}
    return out | found.get('pairs', {})


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
