"""A table of runs, read from their folders, with the columns that NOVA published.

Files may be missing or incomplete while a run is still running. For the test split the table
counts true and false positives and negatives.
"""

from __future__ import annotations

import csv
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint import Card, CheckpointError, digest, read_card
from napari_cxr.output_text import to_csv_cell
from napari_cxr.settings_file import (
    LARGEST_RESULT,
    LARGEST_TABLE,
    open_regular,
    parse_json,
    read_bounded,
    read_settings,
    read_toml,
)

__all__ = [
    'FINAL_MODEL',
    'RUN_COLUMNS',
    'card_or_none',
    'is_run_folder',
    'json_or_empty',
    'negative_class',
    'outcomes',
    'run_row',
    'run_rows',
    'toml_or_empty',
    'write_run_table',
]


def toml_or_empty(path: Path) -> dict[str, Any]:
    """Return the contents of a TOML file; empty if it cannot be read."""
    try:
        return read_toml(path)
    except (OSError, ValueError):
        return {}


def json_or_empty(path: Path) -> dict[str, Any]:
    """Return the table in a JSON file; empty if it cannot be read or is not a table."""
    try:
        found = parse_json(read_settings(path, LARGEST_RESULT))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def card_or_none(path: Path) -> Card | None:
    """Return the card of a model; None if it cannot be read."""
    try:
        return read_card(path)
    except (CheckpointError, OSError):
        return None


#: Names of the class without the disease.
_NEGATIVE = ('normal', 'healthy', 'negative', 'control', 'controls', 'rest', 'other', 'others')

_NEGATED = re.compile(r'(?:no|non|not|without)[\s_-]')


def negative_class(labels: Sequence[str]) -> str | None:
    """Return the class without the disease; None if no name says so.

    Parameters
    ----------
    labels : sequence of str
        The classes. 'NORMAL', 'no finding', 'non-covid' and, beside 'COVID', 'NOCOVID'
        are without it; of several such, the first is returned.
    """
    words = {label: label.casefold() for label in labels}
    for label, word in words.items():
        others = [other for other in words.values() if other != word]
        negated = {prefix + other for other in others for prefix in ('no', 'non')}
        if word in _NEGATIVE or _NEGATED.match(word) or word in negated:
            return label
    return None


def outcomes(card: Card) -> dict[str, int]:
    """Count right and wrong predictions on the test split.

    Parameters
    ----------
    card : Card
        The card of a finished run.

    Returns
    -------
    dict
        ``tp``, ``fp``, ``tn``, ``fn``; empty if there was no test split. Positive is

        - of two classes, the one that `negative_class` does not name, or the second;
        - of more, every class but the one that it names: a disease taken for another is a
          true positive. If no class is without disease, the counts of each class
          against the rest are added up;
        - of several labels, the counts of each label are added up.
    """
    metrics = card.metrics
    found = (metrics.get('model') or {}).get('all') or {}
    if metrics.get('measured_on') != 'test' or not isinstance(found, dict):
        return {}
    confusion, labels = found.get('confusion'), list(card.labels)
    negative = negative_class(labels)
    if negative is None and len(labels) == 2:
        negative = labels[0]
    if not confusion or negative is None or card.multilabel:
        return _added(found.get('classes') or {})
    k = labels.index(negative)
    rows, column = [sum(row) for row in confusion], sum(row[k] for row in confusion)
    tn = confusion[k][k]
    return {
        'tp': sum(rows) - rows[k] - (column - tn),
        'fp': rows[k] - tn,
        'tn': tn,
        'fn': column - tn,
    }


def _added(classes: dict[str, Any]) -> dict[str, int]:
    counts = [found['counts'] for found in classes.values() if 'counts' in found]
    if not counts:  # a card of before there were any
        return {}
    return {name: sum(c[name] for c in counts) for name in ('tp', 'fp', 'tn', 'fn')}


#: Folder of the run on all images that may follow the folds of a cross-validated one.
FINAL_MODEL = 'all'

#: Lopes, Costa and Pereira's columns first, in their order, then ours.
RUN_COLUMNS = (
    'execution_time',
    'minutes_per_epoch',
    'acc',
    'val_acc',
    'auc',
    'val_auc',
    'loss',
    'val_loss',
    'input_shape',
    'filter',
    'batch',
    'activation_output',
    'epochs',
    'optimizer',
    'lr',
    'run',
    'recipe',
    'network',
    'depth',
    'parameters',
    'trainable',
    'tp',
    'fp',
    'tn',
    'fn',
    'heatmap_peak_in_lung',
    'heatmap_lung_lift',
    'status',
)

#: Columns of a run that come from ``metrics.csv``.
_METRIC_COLUMNS = {
    'acc': 'train_accuracy',
    'val_acc': 'val_accuracy',
    'auc': 'train_macro_auc',
    'val_auc': 'val_macro_auc',
    'loss': 'train_loss',
    'val_loss': 'val_loss',
}

_LOCATED = ('heatmap_peak_in_lung', 'heatmap_lung_lift')

_COUNTS = ('tp', 'fp', 'tn', 'fn')

#: Where the report of a run's own model lies below its folder, see docs/evaluation.md.
_EVALUATION = 'evaluation/metrics.json'

#: Statistics of batch norm, which are not trained.
_NO_PARAMETERS = ('running_mean', 'running_var', 'num_batches_tracked')

#: How the last sentence of ``log.txt`` starts if a run has ended early.
_STATUS_BY_LOG = {'Stopped': 'stopped', 'Ended': 'failed'}

#: A run that wrote nothing for so many minutes, and three epochs, is not running any more.
_SILENCE = 10.0


def run_row(run_folder: str | Path, name: str = '') -> dict[str, Any]:
    """Return the row of one run.

    Parameters
    ----------
    run_folder : str or Path
        As `train` leaves it, finished or not. The row of a cross-validated run summarises
        its folds, and the run on all images that may follow them: metrics are means, times
        and counts are sums (an image that was tested in two folds counts twice).
    name : str
        Its name; by default that of its folder.

    Returns
    -------
    dict
        By the names in `RUN_COLUMNS`; None if unknown.

        ``execution_time`` and ``minutes_per_epoch`` are in minutes. ``acc``, ``val_acc``,
        ``auc`` (macro, of each class against the rest), ``val_auc``, ``loss`` and
        ``val_loss`` are those of the epoch whose weights were kept. ``filter`` is the most
        frequent kernel size of the convolutions, without 1 x 1. ``depth`` counts the
        layers with matrices or kernels. ``epochs`` is the number of finished epochs. ``tp``,
        ``fp``, ``tn`` and ``fn`` are those of the test split, see `outcomes`.
        ``heatmap_peak_in_lung`` is on which fraction of the images the peak of the heatmap lies
        in a lung, and ``heatmap_lung_lift`` how many times as much as by chance of the area above
        half of the peak is lung, by an evaluation of ``best.safetensors`` with its report in the
        run's folder ``evaluation``. ``status`` is
        'finished', 'stopped', 'failed' or 'running'; a killed run counts as running until
        nothing was written for ten minutes and three epochs.
    """
    folder = Path(run_folder)
    folds = _runs_in(folder)
    if folds:
        rows = [_single(fold, fold.name) for fold in folds]
        return _summed(rows, name or folder.name, json_or_empty(folder / 'summary.json'))
    return _single(folder, name or folder.name)


def run_rows(folder: str | Path) -> list[dict[str, Any]]:
    """Return the rows of all runs below a folder, in the order of their names.

    Parameters
    ----------
    folder : str or Path
        Of a sweep, or any folder that contains run folders at any depth; a cross-validated
        run is one row. If it is a cross-validated run itself, its folds are the rows.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    folder = Path(folder)
    if is_run_folder(folder) and not _runs_in(folder):
        return [run_row(folder)]
    if is_run_folder(folder):
        return [run_row(fold) for fold in _runs_in(folder)]
    return [run_row(run, run.relative_to(folder).as_posix()) for run in _below(folder)]


def write_run_table(rows: Iterable[dict[str, Any]], path: str | Path) -> None:
    """Write rows as CSV, with the columns in `RUN_COLUMNS`, then those of only some rows.

    Raises
    ------
    OSError
        If it can't be written.
    """
    rows = list(rows)
    names = dict.fromkeys([*RUN_COLUMNS, *(name for row in rows for name in row)])
    with Path(path).open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        for row in rows:  # what is None stays empty
            writer.writerow({name: to_csv_cell(value) for name, value in row.items()})


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder is that of a run, or of a cross-validated run."""
    return (folder / 'recipe.toml').is_file()


def _runs_in(folder: Path) -> list[Path]:
    return (
        [path for path in _folders(folder) if is_run_folder(path)] if is_run_folder(folder) else []
    )


def _below(folder: Path) -> Iterable[Path]:
    for path in _folders(folder):
        if is_run_folder(path):
            yield path
        else:
            with suppress(PermissionError):  # of other folders, beside the runs
                yield from _below(path)


def _folders(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.is_dir() and not p.is_symlink())
    return sorted(found, key=lambda path: (path.name == FINAL_MODEL, path))


def _single(folder: Path, name: str) -> dict[str, Any]:
    recipe, result = toml_or_empty(folder / 'recipe.toml'), json_or_empty(folder / 'result.json')
    epochs, card = _epochs(folder / 'metrics.csv'), card_or_none(folder / 'best.safetensors')
    seconds = [s for epoch in epochs if (s := _number(epoch.get('seconds'))) is not None]
    kept = next((e for e in reversed(epochs) if e.get('best') == 'True'), {})
    minutes = sum(seconds) / 60
    row: dict[str, Any] = dict.fromkeys(RUN_COLUMNS)
    row |= {
        'execution_time': minutes if seconds else None,
        'minutes_per_epoch': minutes / len(seconds) if seconds else None,
        **{ours: _number(kept.get(theirs)) for ours, theirs in _METRIC_COLUMNS.items()},
        **_described(recipe, card),
        'epochs': len(epochs),
        'run': name,
        **_built(folder),
        'trainable': result.get('trainable'),
        **(outcomes(card) if card is not None else {}),
        **_located(folder),
        'status': _status(folder, result, card, max(seconds, default=0.0)),
    }
    return row


def _located(folder: Path) -> dict[str, float | None]:
    """Return where the heatmaps of a run's model lie, by the report of its evaluation."""
    model = folder / 'best.safetensors'
    models = json_or_empty(folder / _EVALUATION).get('models')
    if not isinstance(models, dict) or not model.is_file():
        return {}
    own = digest(model)
    for found in models.values():
        try:
            if not own.startswith(found['model_hash'] or ' '):
                continue  # of another file, perhaps of before the run went on
            heatmaps = found['heatmaps']
            lift = heatmaps['measures']['half_peak_lung_fraction']['lift']
            return {
                'heatmap_peak_in_lung': _number(heatmaps['peak_in_lung']['value']),
                'heatmap_lung_lift': None if lift is None else _number(lift['value']),
            }
        except (KeyError, TypeError, AttributeError):
            continue
    return {}


def _described(recipe: dict[str, Any], card: Card | None) -> dict[str, Any]:
    def table(name: str) -> dict[str, Any]:
        found = recipe.get(name)
        return found if isinstance(found, dict) else {}

    entries, optimiser = table('input'), table('optimiser')
    sides = (entries.get('height'), entries.get('width'), entries.get('channels', 1))
    by_itself = table('loss').get('name') == 'binary cross-entropy' or (card and card.multilabel)
    return {
        'input_shape': 'x'.join(map(str, sides)) if None not in sides else None,
        'batch': recipe.get('batch'),
        'activation_output': ('sigmoid' if by_itself else 'softmax') if recipe else None,
        'optimizer': optimiser.get('name'),
        'lr': optimiser.get('learning_rate'),
        'recipe': recipe.get('name'),
        'network': recipe.get('network'),
    }


def _built(folder: Path) -> dict[str, Any]:
    """Return what the shapes of a checkpoint's tensors say, without reading their values."""
    from safetensors import SafetensorError, safe_open

    for name in ('best.safetensors', 'last.safetensors'):
        try:
            open_regular(folder / name).close()
            with safe_open(folder / name, framework='numpy') as file:
                shapes = {
                    key: tuple(file.get_slice(key).get_shape())
                    for key in file.keys()  # noqa: SIM118 -- no mapping
                    if not key.endswith(_NO_PARAMETERS)
                }
        except (OSError, SafetensorError):
            continue
        kernels = Counter(s[-1] for s in shapes.values() if len(s) == 4 and s[-1] > 1)
        return {
            'depth': sum(len(shape) > 1 for shape in shapes.values()),
            'parameters': sum(map(math.prod, shapes.values())),
            'filter': kernels.most_common(1)[0][0] if kernels else None,
        }
    return {}


def _status(folder: Path, result: dict[str, Any], card: Card | None, longest: float) -> str:
    if result or (card is not None and card.metrics):  # written last
        return 'finished'
    last_sentence = _last_sentence(folder / 'log.txt')
    found = (s for word, s in _STATUS_BY_LOG.items() if last_sentence.startswith(word))
    if status := next(found, ''):
        return status
    try:
        last = max(path.stat().st_mtime for path in folder.iterdir())
    except (OSError, ValueError):
        return 'stopped'
    return 'running' if time.time() - last < max(60 * _SILENCE, 3 * longest) else 'stopped'


def _last_sentence(log: Path) -> str:
    try:
        lines = read_settings(log, LARGEST_TABLE).splitlines()
    except (OSError, ValueError):
        return ''
    return lines[-1].partition(' ')[2] if lines else ''


def _summed(rows: list[dict[str, Any]], name: str, summary: dict[str, Any]) -> dict[str, Any]:
    row = dict(rows[0])
    for column in ('minutes_per_epoch', *_METRIC_COLUMNS, *_LOCATED):
        known = [r[column] for r in rows if r[column] is not None]
        row[column] = sum(known) / len(known) if known else None
    for column in ('execution_time', 'epochs', *_COUNTS):
        known = [r[column] for r in rows if r[column] is not None]
        row[column] = sum(known) if known else None
    found = {r['status'] for r in rows}
    unfinished = next((s for s in ('failed', 'running', 'stopped') if s in found), 'stopped')
    return row | {'run': name, 'status': 'finished' if summary else unfinished}


def _epochs(path: Path) -> list[dict[str, str]]:
    try:
        # The last line counts only once it is complete.
        text = read_bounded(path, LARGEST_TABLE).decode('utf-8', 'replace').rpartition('\n')[0]
    except OSError:
        return []
    return list(csv.DictReader(text.splitlines()))


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
