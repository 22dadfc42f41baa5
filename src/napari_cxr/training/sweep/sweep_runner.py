"""Runs a sweep: one run after another, each in a folder of its own.

The runs are listed, or Optuna proposes them and prunes those that fall behind.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.settings_file import LARGEST_TABLE, read_settings
from napari_cxr.training.dataset import DatasetError
from napari_cxr.training.dataset_index import index
from napari_cxr.training.recipe import Recipe, RecipeError
from napari_cxr.training.recipe.recipe_catalog import toml_text
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.sweep.sweep_plan import Range, Sweep
from napari_cxr.training.training_events import EpochDone, RunsDone, TrainingEvent, WarningRaised

if TYPE_CHECKING:
    import optuna

__all__ = ['PLAN', 'TABLE', 'run_one', 'search', 'sweep', 'write_sweep_table']

#: Files in a sweep's folder beside the runs: the sweep itself, and the table of runs.
PLAN, TABLE = 'sweep.toml', 'runs.csv'


def sweep(
    source: str | Path,
    plan: Sweep,
    out: str | Path,
    device: str = 'auto',
    *,
    read: Any = None,
    resume: bool = False,
) -> Generator[TrainingEvent, None, None]:
    """Run a sweep, and write a table of its runs.

    Parameters
    ----------
    source : str or Path
        A labelled folder or table, as `index` takes it.
    plan : Sweep
        The sweep.
    out : str or Path
        The sweep's folder, new or empty unless resumed. Each run gets a sub-folder;
        ``runs.csv`` has a line for each, ``sweep.toml`` is the sweep.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    read : ImageReader, optional
        As of `train`.
    resume : bool
        Whether to continue in a folder: finished runs are kept, an unfinished one is
        resumed, and failed ones are tried again.

    Yields
    ------
    TrainingEvent
        Each run's own, and `RunsDone` after each. A run that fails becomes a row with the
        reason, and the next one starts. Closing the generator stops the current run; it can
        be resumed.

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
            'A sweep runs in one process; under torchrun, start its runs one by one with '
            'napari-cxr train.'
        )
    choose_device(device)  # problems of all runs show before the first
    index(source, plan.base.data)
    folder = Path(out)
    _open_sweep(folder, plan, resume)
    if plan.search is not None:
        yield from search(source, plan, folder, device, read)
        return
    rows: list[dict[str, Any]] = []
    for number, run in enumerate(plan.runs, start=1):
        row = yield from run_one(source, run.recipe, folder / run.name, device, read)
        rows.append(row)
        yield from write_sweep_table(folder, rows)
        yield RunsDone(folder.name, number, len(plan.runs), row)


def run_one(
    source: str | Path, recipe: Recipe, folder: Path, device: str, read: Any
) -> Generator[TrainingEvent, None, dict[str, Any]]:
    """Do one run, or the rest of it; return its row in the table.

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
    TrainingEvent
        The run's.
    """
    from napari_cxr.training.run_table import run_row
    from napari_cxr.training.training_loop import train

    row = run_row(folder) if folder.is_dir() else {}
    if row.get('status') == 'finished':
        return row
    started = folder.is_dir() and any(folder.iterdir())
    try:
        data = index(source, recipe.data)
        events = train(data, recipe, folder, device, read=read, resume=started, keep_state=False)
        with closing(events):  # type: ignore[type-var]
            yield from events
    except (DatasetError, RecipeError, TrainingError) as error:
        row = run_row(folder) if folder.is_dir() else {}
        return row | {'run': folder.name, 'status': 'failed', 'reason': str(error)}
    return run_row(folder)


def write_sweep_table(folder: Path, rows: list[dict[str, Any]]) -> Iterator[TrainingEvent]:
    """Write ``runs.csv`` atomically; yield a warning if that fails.

    A table that is open in a spreadsheet must not stop a sweep of hours; after the next run
    it is written again.
    """
    from napari_cxr.training.run_table import write_run_table

    path = folder / TABLE
    try:
        half = path.with_suffix('.part')
        write_run_table(rows, half)
        half.replace(path)
    except OSError as error:
        yield WarningRaised(folder.name, f'{path} cannot be written: {error.strerror}.')


def _open_sweep(folder: Path, plan: Sweep, resume: bool) -> None:
    """Make the folder of a sweep, or check that it is this sweep's."""
    stored = folder / PLAN
    try:
        if resume:
            if not stored.is_file():
                raise TrainingError(f'{folder} contains no sweep to resume.')
            if Sweep.from_toml(toml_text(stored, 'sweep', Sweep.from_toml)) != plan:
                raise TrainingError(
                    f'{folder} contains another sweep; resume that one without changes, or '
                    'choose a new folder.'
                )
            return
        if folder.exists() and any(folder.iterdir()):
            raise TrainingError(
                f'{folder} is not empty; resume its sweep, or choose a new folder.'
            )
        folder.mkdir(parents=True, exist_ok=True)
        stored.write_text(plan.to_toml(), encoding='utf-8')
    except OSError as error:
        raise TrainingError(f'{folder} cannot be written to: {error.strerror}.') from error


#: Optuna's own journal, in lines of JSON.
_JOURNAL = 'search.log'


def search(
    source: str | Path, plan: Sweep, folder: Path, device: str, read: Any
) -> Generator[TrainingEvent, None, None]:
    """Run the trials of a search that are not done yet.

    The score of a trial is that of its best epoch, averaged over folds if there are several.
    After each epoch of its first fold it is compared with the trials before it, and pruned
    if it is worse than their median. An interrupted trial continues from its last state.

    Raises
    ------
    RecipeError
        If Optuna is not installed.
    """
    assert plan.search is not None
    study = _study(plan, folder)
    from optuna.trial import TrialState

    for cut_off in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(cut_off.number, state=TrialState.FAIL)
        study.enqueue_trial(cut_off.params, {'folder': _folder_of(cut_off)})
    rows = [_row(folder, trial) for trial in _ended(study)]
    ranges = {place: _distribution(one) for place, one in plan.search.ranges.items()}
    while len(rows) < plan.search.trials:
        trial = study.ask(ranges)
        trial.set_user_attr('folder', _folder_of(trial))
        yield from _try(source, plan, study, trial, folder, device, read)
        rows = [_row(folder, one) for one in _ended(study)]
        yield from write_sweep_table(folder, rows)
        row = next(row for row in rows if row['run'] == _folder_of(trial))
        yield RunsDone(folder.name, len(rows), plan.search.trials, row)


def _try(
    source: str | Path,
    plan: Sweep,
    study: optuna.Study,
    trial: optuna.Trial,
    folder: Path,
    device: str,
    read: Any,
) -> Generator[TrainingEvent, None, None]:
    """Run one trial, and report its result to the study."""
    from optuna.trial import TrialState

    name = _folder_of(trial)
    score = _TrialScore(trial, plan.metric)
    for run, values in _validation_curves(
        folder / name, plan.metric
    ).items():  # of an interrupted trial
        for epoch, value in enumerate(values, start=1):
            score.update(run, epoch, value)
    try:
        recipe = plan.recipe_of(name, trial.params)
    except RecipeError as error:
        row: dict[str, Any] = {'status': 'failed', 'reason': str(error)}
    else:
        with closing(run_one(source, recipe, folder / name, device, read)) as events:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    row = end.value
                    break
                yield event
                if isinstance(event, EpochDone):
                    value = getattr(event, f'val_{plan.metric}')
                    if score.update(event.run, event.epoch, value):
                        study.tell(trial, state=TrialState.PRUNED)
                        return
    if row.get('status') == 'failed' or not score.best:
        trial.set_user_attr('reason', row.get('reason', 'It ended without an epoch.'))
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, score.value())


class _TrialScore:
    """A trial's validation metric, of the best epoch of its run or of each of its folds."""

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self.trial, self.sign = trial, -1.0 if metric == 'loss' else 1.0
        self.best: dict[str, float] = {}

    def update(self, run: str, epoch: int, value: float) -> bool:
        """Add an epoch; return whether the trial should be pruned in its first fold."""
        self.best[run] = max(self.best.get(run, -math.inf), self.sign * value)
        if len(self.best) > 1:
            return False
        self.trial.report(value, epoch)
        return self.trial.should_prune()

    def value(self) -> float:
        """Return the mean over folds."""
        return self.sign * math.fsum(self.best.values()) / len(self.best)


def _study(plan: Sweep, folder: Path) -> optuna.Study:
    """Return the study of a folder, with a sampler that continues where it stopped."""
    try:
        import optuna
    except ImportError:
        raise RecipeError(
            'A search needs Optuna, which is not installed: '
            'pip install "napari-cxr[search]". Sweeps by runs or by a grid work without it.'
        ) from None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    assert plan.search is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = str(folder / _JOURNAL)
    # A lock by an exclusive file: links need privileges on Windows that people lack.
    with contextlib.suppress(OSError):
        (folder / f'{_JOURNAL}.lock').unlink()  # of a process that was killed
    storage = JournalStorage(JournalFileBackend(path, JournalFileOpenLock(path)))
    study = optuna.create_study(
        storage=storage,
        study_name=plan.name,
        direction='minimize' if plan.metric == 'loss' else 'maximize',
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        load_if_exists=True,
    )
    # The seed depends on the number of trials, or a resumed search would repeat its draws.
    seed = (plan.base.seed + len(study.get_trials(deepcopy=False))) % 2**32
    if plan.search.sampler == 'tpe':
        study.sampler = optuna.samplers.TPESampler(seed=seed)
    else:
        study.sampler = optuna.samplers.RandomSampler(seed=seed)
    if plan.search.sampler == 'grid':  # Optuna's grid sampler does not work with ask()
        choices = [one.choices for one in plan.search.ranges.values()]
        for combination in itertools.product(*choices):
            chosen = dict(zip(plan.search.ranges, combination, strict=True))
            study.enqueue_trial(chosen, skip_if_exists=True)
    return study


def _distribution(one: Range) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if one.choices:
        return distributions.CategoricalDistribution(one.choices)
    assert one.low is not None and one.high is not None
    if one.whole:
        return distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return distributions.FloatDistribution(one.low, one.high, log=one.log)


def _folder_of(trial: optuna.Trial | optuna.trial.FrozenTrial) -> str:
    """Return the name of a trial's folder, or of the one that it continues."""
    name: str = trial.user_attrs.get('folder', f'trial-{trial.number + 1:03}')
    return name


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the finished trials, the last one of each folder."""
    ended = {}
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished():
            ended[_folder_of(trial)] = trial
    waiting = {
        _folder_of(trial)
        for trial in study.get_trials(deepcopy=False)
        if not trial.state.is_finished()
    }
    return [trial for name, trial in ended.items() if name not in waiting]


def _row(folder: Path, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """Return a trial's row: that of its run, its status, and its parameters."""
    from optuna.trial import TrialState

    from napari_cxr.training.run_table import run_row

    name = _folder_of(trial)
    row = run_row(folder / name) if (folder / name).is_dir() else {}
    row |= {'run': name}
    if trial.state == TrialState.PRUNED:
        row |= {'status': 'given up'}
    elif trial.state == TrialState.FAIL:
        row |= {'status': 'failed', 'reason': trial.user_attrs.get('reason', '')}
    return row | trial.params


def _validation_curves(folder: Path, metric: str) -> dict[str, list[float]]:
    """Return the validation metric by epoch of a run, or of each of its folds, so far."""
    found = {}
    for path in (folder / 'metrics.csv', *sorted(folder.glob('*/metrics.csv'))):
        if path.is_file():
            text = read_settings(path, LARGEST_TABLE)
            rows = csv.DictReader(io.StringIO(text, newline=''))
            found[path.parent.name] = [float(row[f'val_{metric}']) for row in rows]
    return found
