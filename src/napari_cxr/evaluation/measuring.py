"""All figures of an evaluation from its table of predictions: arrays in, ``metrics.json`` out.

No files and no models, so a report can be computed again from ``predictions.csv`` alone.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from napari_cxr.evaluation.class_curves import class_curves
from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.heatmap_distributions import heatmap_distributions_of
from napari_cxr.evaluation.operating_points import choose_thresholds, performance_at
from napari_cxr.evaluation.performance import (
    OVERALL_METRICS,
    PerformanceMetrics,
    figure,
    performance,
    resamples,
)
from napari_cxr.evaluation.selection_optimism import nested_optimism
from napari_cxr.evaluation.source_spread import source_spread
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.metrics.class_metrics import bootstrap_metrics
from napari_cxr.metrics.delong import macro_auc_covariance

__all__ = ['EvaluatedModel', 'MeasuringSettings', 'measure']

#: Groups of a column that have figures of their own, those with the most images; and
#: resamples of each.
_MOST_GROUPS, _GROUP_RESAMPLES = 40, 500
#: In what classifiers are compared.
_COMPARED = ('auc', 'average_precision', 'balanced_accuracy', 'accuracy', 'brier', 'log_loss')


@dataclass(frozen=True)
class EvaluatedModel:
    """What figures need to know of a model.

    Parameters
    ----------
    title, model_hash : str
        For people; the first digits of the SHA-256 of its file.
    thresholds : tuple of float
        Of a model that can give several labels: from which probability each is predicted.
    points : dict
        Operating points of its card, by class and criterion.
    seen : dict of str to int
        How many images of the set it was trained on ('train') or chosen by ('val').
    validation_seen : int
        How many of the images that thresholds are chosen by it was trained on.
    demonstration : str
        What its card says where it is not to be believed.
    margin : float
        By how much the most probable class must exceed the next one for a model of several
        classes to name it; 0 for no such rule.
    """

    title: str = ''
    model_hash: str = ''
    thresholds: tuple[float, ...] = ()
    points: dict[str, dict[str, float]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    validation_seen: int = 0
    demonstration: str = ''
    margin: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MeasuringSettings:
    """What decides figures, beside the predictions.

    Parameters
    ----------
    cost : float
        How many false alarms one missed case is worth; 0 for no threshold by cost.
    prevalence : float, optional
        For which predictive values are computed.
    resamples, seed : int
        Of the bootstrap.
    """

    cost: float = 0.0
    prevalence: float | None = None
    resamples: int = 2000
    seed: int = 0


def measure(
    table: EvaluationTable,
    tuning: EvaluationTable,
    models: Mapping[str, EvaluatedModel],
    baselines: Sequence[str] = (),
    settings: MeasuringSettings | None = None,
) -> Generator[str, None, dict[str, Any]]:
    """Compute all figures.

    Parameters
    ----------
    table, tuning : EvaluationTable
        The images to evaluate by, and those to choose thresholds by.
    models : mapping of str to EvaluatedModel
        By their names in the tables.
    baselines : sequence of str
        Names of the classifiers that see no anatomy.
    settings : MeasuringSettings, optional
        What else decides figures.

    Yields
    ------
    str
        What is computed next, in words.

    Returns
    -------
    dict
        ``models``, ``baselines``, ``sources``, ``by``, ``comparisons``, ``optimism``; see
        docs/evaluation.md.
    """
    how = settings or MeasuringSettings()
    out: dict[str, Any] = {'models': {}, 'baselines': {}, 'comparisons': []}
    for name, model in models.items():
        yield f'Measuring {name}'
        out['models'][name] = yield from _of_model(table, tuning, name, model, how)
    for name in baselines:
        yield f'Measuring the baseline {name}'
        found = performance(table, name, times=how.resamples, seed=how.seed)
        out['baselines'][name] = {**found, 'differences': {}}
        for other in models:
            apart = _difference(table, other, name, models[other].thresholds, (), how)
            out['baselines'][name]['differences'][other] = apart
    for first, second in combinations(models, 2):
        yield f'Comparing {first} and {second}'
        limits = models[first].thresholds, models[second].thresholds
        apart = _difference(table, first, second, *limits, how)
        out['comparisons'].append({'models': [first, second], **apart})
    out['sources'] = {name: source_spread(table, name) for name in models}
    yield 'Counting how often one has looked'
    out['optimism'] = _known(nested_optimism(table, list(models), seed=how.seed))
    return out


def _of_model(
    table: EvaluationTable,
    tuning: EvaluationTable,
    name: str,
    model: EvaluatedModel,
    how: MeasuringSettings,
) -> Generator[str, None, dict[str, Any]]:
    thresholds = model.thresholds or None
    about = {**asdict(model), 'thresholds': list(model.thresholds)}
    found = performance(table, name, thresholds, times=how.resamples, seed=how.seed)
    if not found:
        return {**about, 'images': len(table)}
    points, chosen_on = dict(model.points), 'card' if model.points else ''
    if tuning.varies:
        points = choose_thresholds(tuning, name, how.cost, how.prevalence)
        chosen_on = 'validation'
    yield f'Curves of {name}'
    curves = {label: class_curves(table, name, label, seed=how.seed) for label in table.labels}
    at = performance_at(table, name, points, how.prevalence, times=how.resamples, seed=how.seed)
    by = {}
    for column in table.columns:
        yield f'Figures of {name} by {column}'
        by[column] = _by_column(table, name, column, model, how)
    return {
        **about,
        **found,
        'curves': {label: curve for label, curve in curves.items() if curve},
        'operating_points': {'chosen_on': chosen_on, 'images': len(tuning), 'classes': at},
        'by': by,
        **_heatmaps(table, name),
        **({'near_ties': _near_ties(table, name, model.margin)} if model.margin else {}),
    }


def _near_ties(table: EvaluationTable, name: str, margin: float) -> int:
    """Count the images for which no class stands out, and the most probable one is measured."""
    rule = LabelRule(table.labels, least_margin=margin)
    return sum(map(rule.near_tie, table.probabilities[name].tolist()))


def _heatmaps(table: EvaluationTable, name: str) -> dict[str, Any]:
    """Return where a model's heatmaps lie, as `figure` writes numbers; nothing if unknown."""
    found = heatmap_distributions_of(table, name)
    if found is None:
        return {}
    return {
        'heatmaps': {
            'images': found.images,
            'peak_in_lung': figure(found.peak_in_lung),
            'measures': {
                one.name: {
                    'mean': figure(one.mean),
                    'uniform': round(one.uniform, 6),
                    'lift': None if one.lift is None else figure(one.lift),
                    'counts': list(one.counts),
                }
                for one in found.measures
            },
        }
    }


def _by_column(
    table: EvaluationTable, name: str, column: str, model: EvaluatedModel, how: MeasuringSettings
) -> dict[str, Any]:
    """Return figures of each group of a column, the largest first; the empty entry is 'not known'.

    A group whose images all have the same label has none but its numbers.
    """
    entries = np.array(table.columns[column], dtype=object)
    names, counts = np.unique(entries.astype(str), return_counts=True)
    ordered = sorted(zip((-counts).tolist(), names.tolist(), strict=True))[:_MOST_GROUPS]
    out = {}
    for _, entry in ordered:
        own = table.subset(entries == entry)
        times = min(how.resamples, _GROUP_RESAMPLES)
        found = performance(own, name, model.thresholds or None, times=times, seed=how.seed)
        out[entry or 'not known'] = {
            'images': len(own),
            'patients': len(set(own.patients)),
            'counts': dict(zip(own.labels, own.truth.sum(axis=0).tolist(), strict=True)),
            **{metric: found[metric] for metric in OVERALL_METRICS if metric in found},
        }
    return out


def _difference(
    table: EvaluationTable,
    first: str,
    second: str,
    thresholds: Sequence[float],
    others: Sequence[float],
    how: MeasuringSettings,
) -> dict[str, Any]:
    """Return how much better the first is than the second, on the same resamples of patients."""
    if not table.varies:
        return {}
    ours, theirs = (
        PerformanceMetrics(
            table.truth,
            table.probabilities[name],
            table.labels,
            multilabel=table.multilabel,
            thresholds=own,
            known=table.known,
        )
        for name, own in ((first, thresholds or None), (second, others or None))
    )

    def apart(weights: np.ndarray) -> dict[str, np.ndarray]:
        mine, others = ours(weights), theirs(weights)
        return {name: mine[name] - others[name] for name in _COMPARED}

    spread = bootstrap_metrics(
        apart,
        table.patients,
        table.strata,
        times=resamples(table, how.resamples),
        seed=how.seed,
    )
    found = macro_auc_covariance(
        table.truth,
        [table.probabilities[first], table.probabilities[second]],
        table.patients,
        table.known,
    )
    value, error, p = found.difference(0, 1)
    return {
        **{name: figure(spread[name]) for name in _COMPARED},
        'delong': {'difference': _known(value), 'error': _known(error), 'p': _known(p)},
    }


def _known(number: float) -> float | None:
    return round(number, 6) if np.isfinite(number) else None
