"""The runs of a sweep, one after another, each in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from napari_cxr.training.dataset import DatasetError, index
from napari_cxr.training.events import Event, RunsDone, Warned
from napari_cxr.training.recipe import Recipe, RecipeError
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.sweep.plan import Sweep

__all__ = ['PLAN', 'TABLE', 'run_one', 'sweep', 'write_table']

#: What a sweep leaves in its folder beside the runs: itself, and the table of them.
PLAN, TABLE = 'sweep.toml', 'runs.csv'


def sweep(
    source: str | Path,
    plan: Sweep,
    out: str | Path,
    device: str = 'auto',
    *,
    read: Any = None,
    resume: bool = False,
) -> Generator[Event, None, None]:
    """Do the runs of a sweep, and keep a table of them.

    Parameters
    ----------
    source : str or Path
        A labelled folder or table, as `index` takes it.
    plan : Sweep
        Which runs.
    out : str or Path
        The sweep's folder, new or empty unless resumed. Each run gets a sub-folder;
        ``runs.csv`` has a line for each, ``sweep.toml`` is the plan.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    read : Reader, optional
        As of `train`.
    resume : bool
        Whether to go on in a folder: runs that are done are kept, one that was cut off is
        resumed, and those that failed are tried again.

    Yields
    ------
    Event
        Each run's own, and `RunsDone` after each. A run that fails is a row with its reason,
        and the next one begins. Closing the generator stops the run that goes on; it can be
        resumed.

    Raises
    ------
    DatasetError
        If there is nothing to train on.
    TrainingError
        If the folder cannot be used, or several processes were started.
    RecipeError
        If the sweep searches and Optuna is not installed.
    DeviceUnavailable
        If there is no such device.
    """
    from napari_cxr.inference.device import choose_device

    if int(os.environ.get('WORLD_SIZE', '1')) > 1:
        raise TrainingError(
            'A sweep is done by one process; under torchrun, start its runs one by one with '
            'napari-cxr train.'
        )
    choose_device(device)  # what no run can do shows before the first
    index(source, plan.base.data)
    folder = Path(out)
    _open(folder, plan, resume)
    if plan.search is not None:
        from napari_cxr.training.sweep.searching import search

        yield from search(source, plan, folder, device, read)
        return
    rows: list[dict[str, Any]] = []
    for number, run in enumerate(plan.runs, start=1):
        row = yield from run_one(source, run.recipe, folder / run.name, device, read)
        rows.append(row)
        yield from write_table(folder, rows)
        yield RunsDone(folder.name, number, len(plan.runs), row)


def run_one(
    source: str | Path, recipe: Recipe, folder: Path, device: str, read: Any
) -> Generator[Event, None, dict[str, Any]]:
    """Do one run, or what is left of it; return its row in the table.

    Parameters
    ----------
    source, device, read
        As of `sweep`.
    recipe : Recipe
        What it does.
    folder : Path
        Of the run. A finished one is kept, an unfinished one resumed.

    Yields
    ------
    Event
        The run's.
    """
    from napari_cxr.training import train
    from napari_cxr.training.runs import row_of

    row = row_of(folder) if folder.is_dir() else {}
    if row.get('status') == 'finished':
        return row
    begun = folder.is_dir() and any(folder.iterdir())
    try:
        data = index(source, recipe.data)
        events = train(data, recipe, folder, device, read=read, resume=begun)
        with closing(events):  # type: ignore[type-var]
            yield from events
    except (DatasetError, RecipeError, TrainingError) as error:
        row = row_of(folder) if folder.is_dir() else {}
        return row | {'run': folder.name, 'status': 'failed', 'reason': str(error)}
    return row_of(folder)


def write_table(folder: Path, rows: list[dict[str, Any]]) -> Iterator[Event]:
    """Write ``runs.csv`` anew, whole at any time; yield a warning where that fails.

    A table that a spreadsheet holds open must not end a sweep of hours; the next run
    writes it again.
    """
    from napari_cxr.training import runs

    path = folder / TABLE
    try:
        half = path.with_suffix('.part')
        runs.write_table(rows, half)
        half.replace(path)
    except OSError as error:
        yield Warned(folder.name, f'{path} cannot be written: {error.strerror}.')


def _open(folder: Path, plan: Sweep, resume: bool) -> None:
    """Make the folder of a sweep, or see that it is this sweep's."""
    kept = folder / PLAN
    try:
        if resume:
            if not kept.is_file():
                raise TrainingError(f'{folder} holds no sweep that could be resumed.')
            if Sweep.from_toml(kept.read_text(encoding='utf-8')) != plan:
                raise TrainingError(
                    f'{folder} holds another sweep; resume it without changes, or take a new '
                    'folder.'
                )
            return
        if folder.exists() and any(folder.iterdir()):
            raise TrainingError(f'{folder} is not empty; resume it, or take a new folder.')
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(plan.to_toml(), encoding='utf-8')
    except OSError as error:
        raise TrainingError(f'{folder} cannot be written to: {error.strerror}.') from error
