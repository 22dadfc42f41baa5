"""Run folders on disk, complete or not: histories, the table of runs, and its CSV.

It needs neither Qt nor torch. The functions at the end of this file are jobs for
`background.run_job`.
"""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cxr.plugin.background import Failure, failure
from napari_cxr.plugin.runs.runs_table import RunRow
from napari_cxr.plugin.runs.training_history import RunHistory, RunPhase, TrainingHistory
from napari_cxr.settings_file import LARGEST_TABLE, read_bounded
from napari_cxr.training.run_folder import CONFUSION, FINAL_STATE_FILE
from napari_cxr.training.run_table import FINAL_MODEL, card_or_none, json_or_empty, toml_or_empty
from napari_cxr.training.training_events import EpochDone, TrainingFinished

__all__ = [
    'RunsInFolder',
    'read_run_histories',
    'read_run_history',
    'read_runs',
    'read_summary',
    'read_training_histories',
    'read_training_history',
    'row_of_ended_run',
    'write_runs',
]

_NUMBER_COLUMNS = tuple(
    field.name for field in dataclasses.fields(EpochDone) if field.type in ('float', float)
)


def read_run_history(run_folder: str | Path) -> RunHistory:
    """Return a run, or a cross-validated one with its folds, from its folder.

    Whatever is missing or incomplete in it is left out. It waits for the disk, so docks
    call it in a thread.

    Parameters
    ----------
    run_folder : str or Path
        A folder that training has written.

    Raises
    ------
    OSError
        If the folder itself cannot be read.
    """
    folder = Path(run_folder)
    history = RunHistory(folder.name)
    history.trainings = read_training_histories(folder)
    history.summary = read_summary(folder, folder.name)
    history.current = next(reversed(history.trainings), '')
    # A cross-validated run has one recipe for all, a sweep has none.
    several = history.current not in ('', folder.name)
    history.sweep = several and not (folder / 'recipe.toml').is_file()
    if history.trainings:
        ended = all(training.finished is not None for training in history.trainings.values())
        history.phase = RunPhase.FINISHED if ended else RunPhase.STOPPED
    return history


def read_training_histories(folder: Path) -> dict[str, TrainingHistory]:
    """Return the training in a folder, or those in its sub-folders, by name.

    Parameters
    ----------
    folder : Path
        Folder of a run, of a cross-validated run, or of a sweep.

    Raises
    ------
    OSError
        If it cannot be listed.
    """
    found = (path for path in folder.iterdir() if path.is_dir())
    inside = sorted(
        found, key=lambda path: (path.name == FINAL_MODEL, path)
    )  # in the order of training
    if _holds_run(folder) or not any(_holds_run(path) for path in inside):
        training = read_training_history(folder, folder.name)
        return {training.name: training} if training.epochs or training.finished else {}
    trainings = (
        read_training_history(p, f'{folder.name}/{p.name}') for p in inside if _holds_run(p)
    )
    return {training.name: training for training in trainings}


def read_summary(folder: Path, name: str) -> TrainingFinished | None:
    """Return the metrics over all folds of a run, None if there are none."""
    metrics = json_or_empty(folder / 'summary.json').get('metrics')
    if not isinstance(metrics, dict):
        return None
    result = folder / FINAL_MODEL / 'best.safetensors'
    return TrainingFinished(name, str(result) if result.is_file() else '', 0, metrics)


def read_training_history(folder: Path, name: str) -> TrainingHistory:
    """Return one training, as far as its files can be read.

    Parameters
    ----------
    folder : Path
        With ``metrics.csv``, ``recipe.toml``, ``result.json``, ``best.safetensors``; each
        may be missing or incomplete.
    name : str
        Name of the training.
    """
    planned = toml_or_empty(folder / 'recipe.toml').get('epochs', 0)
    planned = planned if isinstance(planned, int) else 0
    epochs = {
        epoch.epoch: epoch for epoch in _read_epochs(folder / 'metrics.csv', name, max(planned, 0))
    }
    card = card_or_none(folder / 'best.safetensors')
    result = json_or_empty(folder / 'result.json')
    training = TrainingHistory(
        name, card.labels if card is not None else (), planned, epochs=epochs
    )
    # The metrics are added to the card in one write, after the last epoch.
    metrics = (card.metrics if card is not None else {}) or result.get('metrics')
    if isinstance(metrics, dict) and metrics:
        epoch = card.data.get('epoch') if card is not None else None
        best = epoch if isinstance(epoch, int) else training.best.epoch if training.best else 0
        path = str(folder / 'best.safetensors') if card is not None else ''
        training.finished = TrainingFinished(name, path, best, metrics)
    return training


def _holds_run(folder: Path) -> bool:
    return (folder / 'metrics.csv').is_file()


def _read_epochs(path: Path, run: str, epochs: int) -> list[EpochDone]:
    """Return the complete lines of a ``metrics.csv``."""
    try:
        # A last line without its end is incomplete.
        text = read_bounded(path, LARGEST_TABLE).decode('utf-8', 'replace').rpartition('\n')[0]
    except OSError:
        return []
    found = []
    for row in csv.DictReader(text.splitlines()):
        try:
            found.append(_parse_epoch(row, run, epochs))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _parse_epoch(row: dict[str, Any], run: str, epochs: int) -> EpochDone:
    numbers: dict[str, Any] = {name: float(row.get(name) or 'nan') for name in _NUMBER_COLUMNS}
    number = int(row['epoch'])
    return EpochDone(
        run=run,
        epoch=number,
        epochs=max(epochs, number),
        best=row.get('best') == 'True',
        confusion=_parse_confusion(row),
        **numbers,
    )


def _parse_confusion(row: dict[str, Any]) -> tuple[tuple[int, ...], ...]:
    """Return the matrix of an epoch; empty where there is none, or only a part of it."""
    if old := row.get('confusion'):  # the whole matrix in a cell, in runs of version 0.1
        lines = [line.split() for line in old.split('/') if line.strip()]
    else:
        cells = [cell for name, cell in row.items() if name and name.startswith(CONFUSION)]
        side = math.isqrt(len(cells))
        lines = [cells[at : at + side] for at in range(0, len(cells), side or 1)]
    if any(len(line) != len(lines) for line in lines):
        return ()
    return tuple(tuple(int(cell) for cell in line) for line in lines)


@dataclass(frozen=True, eq=False)
class RunsInFolder:
    """The runs below a folder.

    Parameters
    ----------
    folder : Path
        The requested folder.
    rows : tuple of RunRow
        Sorted by name.
    failure : Failure, optional
        Why it could not be read.
    """

    folder: Path
    rows: tuple[RunRow, ...] = ()
    failure: Failure | None = None


def read_runs(folder: Path) -> RunsInFolder:
    """Read all runs below a folder; a folder that does not exist is empty.

    Returns
    -------
    RunsInFolder
    """
    from napari_cxr.training.run_table import is_run_folder, run_rows

    if not folder.is_dir():
        return RunsInFolder(folder)
    rows = []
    try:
        for values in run_rows(folder):
            path = folder / str(values['run'])
            path = path if is_run_folder(path) else folder  # the folder is a run itself
            has_model, can_continue = (
                (path / name).is_file() for name in ('best.safetensors', FINAL_STATE_FILE)
            )
            rows.append(RunRow(values, path, has_model, can_continue))
    except OSError as error:
        text = f'{folder} cannot be read: {error.strerror}. Choose another folder.'
        return RunsInFolder(folder, failure=Failure(text, ''))
    except Exception as error:
        return RunsInFolder(folder, failure=failure(error, 'Reading the runs'))
    return RunsInFolder(folder, tuple(rows))


def read_run_histories(paths: Sequence[Path]) -> dict[Path, RunHistory | Failure]:
    """Read the curves of runs.

    Returns
    -------
    dict
        By folder.
    """
    found: dict[Path, RunHistory | Failure] = {}
    for path in paths:
        try:
            found[path] = read_run_history(path)
        except OSError as error:
            text = f'The run {path.name} cannot be read: {error.strerror}. Refresh the table.'
            found[path] = Failure(text, '')
        except Exception as error:
            found[path] = failure(error, 'Reading the run')
    return found


def write_runs(rows: list[dict[str, Any]], path: str) -> str | Failure:
    """Write rows as CSV.

    Returns
    -------
    str or Failure
        The path of the file.
    """
    from napari_cxr.training import run_table

    try:
        run_table.write_run_table(rows, path)
    except OSError as error:
        text = f'{path} could not be written: {error.strerror}. Choose another folder.'
        return Failure(text, '')
    return path


def row_of_ended_run(root: Path, folder: Path, values: dict[str, Any]) -> RunRow:
    """Return the row of a run that has just ended, with its name relative to `root`.

    Parameters
    ----------
    root : Path
        The folder whose runs are shown.
    folder : Path
        Folder of the sweep, or of the cross-validated run, that contains the run.
    values : dict
        The row of the run, see `RunsDone`; a fold is named 'RUN/FOLD' in it.
    """
    path = folder / str(values.get('run', '')).removeprefix(f'{folder.name}/')
    name = path.relative_to(root).as_posix()
    ended = values.get('status') == 'finished'
    return RunRow({**values, 'run': name}, path, ended, (path / FINAL_STATE_FILE).is_file())
