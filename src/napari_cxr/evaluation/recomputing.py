"""Computes every figure of a report again, from the predictions beside it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_table import PREDICTIONS_FILE, read_predictions
from napari_cxr.evaluation.measuring import EvaluatedModel, MeasuringSettings, measure
from napari_cxr.settings_file import LARGEST_RESULT, parse_json, read_settings

__all__ = ['METRICS_FILE', 'Recomputed', 'metrics_of', 'recompute']

METRICS_FILE = 'metrics.json'

#: Entries of ``metrics.json`` that are computed from predictions.
_COMPUTED = ('models', 'baselines', 'comparisons', 'sources', 'optimism')

#: Other versions of numpy may add in another order, and round a sixth digit otherwise.
_ROUNDED = 2e-6


@dataclass(frozen=True)
class Recomputed:
    """What computing again came to.

    Parameters
    ----------
    numbers : int
        How many numbers were compared.
    different : tuple of str
        Where those stand in ``metrics.json`` that are not the same.
    """

    numbers: int
    different: tuple[str, ...]


def metrics_of(folder: Path) -> dict[str, Any]:
    """Read ``metrics.json`` of a report's folder.

    Raises
    ------
    OSError
        If there is none.
    ValueError
        If it is no such file; the message says so.
    """
    text = read_settings(folder / METRICS_FILE, LARGEST_RESULT)
    try:
        content = parse_json(text)
    except ValueError:
        raise ValueError(
            f'{METRICS_FILE} is damaged, it is no longer JSON; evaluate again, or take a copy of '
            'the report'
        ) from None
    if not isinstance(content, dict) or content.get('form') != 1 or 'models' not in content:
        raise ValueError(f'{METRICS_FILE} is no result of an evaluation')
    return content


def recompute(folder: Path) -> Generator[str, None, Recomputed]:
    """Compute the figures of a report again, and compare.

    Parameters
    ----------
    folder : Path
        With ``metrics.json`` and ``predictions.csv``.

    Yields
    ------
    str
        What is computed next, in words.

    Raises
    ------
    OSError, ValueError
        If a file is missing, or not whole.
    """
    content = metrics_of(folder)
    try:
        names = [*content['models'], *content['baselines']]
        whole = read_predictions(
            folder / PREDICTIONS_FILE, content['labels'], names, multilabel=content['multilabel']
        )
        models = {name: _model(own) for name, own in content['models'].items()}
        known = {one.name for one in fields(MeasuringSettings)}
        how = MeasuringSettings(**{k: v for k, v in content['settings'].items() if k in known})
        split, images = content['set']['split'], content['set']['images']
    except (KeyError, TypeError) as error:
        raise ValueError(f'{METRICS_FILE} is not whole ({error})') from None
    inside = np.arange(len(whole)) < images
    table, tuning = whole.subset(inside), whole.subset(~inside)
    if split not in ('all', *{*table.splits}) and len(table):
        raise ValueError(f'{PREDICTIONS_FILE} has no image of the split {split!r}')
    found = yield from measure(table, tuning, models, list(content['baselines']), how)
    pairs = [
        pair for name in _COMPUTED for pair in _numbers(name, content.get(name), found.get(name))
    ]
    return Recomputed(len(pairs), tuple(where for where, same in pairs if not same))


def _model(own: Mapping[str, Any]) -> EvaluatedModel:
    entries = {one.name: own[one.name] for one in fields(EvaluatedModel) if one.name in own}
    return EvaluatedModel(**{**entries, 'thresholds': tuple(entries.get('thresholds', ()))})


def _numbers(where: str, first: Any, second: Any) -> Iterator[tuple[str, bool]]:
    """Yield where each number stands in either of two trees, and whether it is the same."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in {**first, **second}:
            yield from _numbers(f'{where}.{key}', first.get(key), second.get(key))
    elif isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        for i, (one, other) in enumerate(zip_longest(first, second)):
            yield from _numbers(f'{where}[{i}]', one, other)
    elif isinstance(first, float | int) and isinstance(second, float | int):
        yield where, abs(first - second) <= _ROUNDED
    elif first is not None or second is not None:
        yield where, first == second
