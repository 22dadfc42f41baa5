"""More epochs for a run: one that is finished, or was stopped, is let go on for longer.

This is another run than one that was planned for as many epochs from the start, unless its
learning rate is constant; `extend_run` says what becomes of the rate, and the run's environment
and the model's card say after which epoch it was continued. A run that is resumed without more
epochs is not touched by any of this, and stays the same bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.training.checkpointing import read_progress
from napari_cxr.training.optimization import rate_fraction
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_folder import (
    FINAL_STATE_FILE,
    STATE_FILE,
    TrainingError,
    recipe_of,
)
from napari_cxr.training.run_table import json_or_empty

__all__ = ['continuations', 'extend_run', 'rate_text']


def continuations(folder: Path) -> list[dict[str, int]]:
    """Return after how many epochs a run was continued, and how many had been planned."""
    found: list[dict[str, int]] = json_or_empty(folder / 'environment.json').get('continued', [])
    return found


def extend_run(folder: str | Path, epochs: int) -> str:
    """Give a run more epochs; what is resumed afterwards goes on to these.

    Parameters
    ----------
    folder : str or Path
        The run's; it may be finished.
    epochs : int
        How many it shall have in all.

    Returns
    -------
    str
        What that means, for a person.

    Raises
    ------
    TrainingError
        If there is no run that can go on, or it has done as many epochs already.
    RecipeError
        If the recipe does not allow so many.
    """
    folder = Path(folder)
    if any((place / 'sweep.toml').is_file() for place in (folder, folder.parent)):
        raise TrainingError(
            f'{folder} {"is" if (folder / "sweep.toml").is_file() else "belongs to"} a sweep, '
            'whose runs keep no optimiser and cannot go on for more epochs. Train anew with the '
            'recipe of the run that you want, and more epochs.'
        )
    recipe = recipe_of(folder)
    if int(os.environ.get('WORLD_SIZE', '1')) > 1:
        raise TrainingError(
            'Give a run more epochs in one process, without torchrun; it can be resumed with '
            'torchrun afterwards.'
        )
    if not (folder / 'split.csv').is_file() or (folder.parent / 'recipe.toml').is_file():
        raise TrainingError(
            f'{folder} belongs to a run in folds, which have as many epochs each. Start a new run '
            'with more.'
        )
    places = [folder / name for name in (STATE_FILE, FINAL_STATE_FILE)]
    state = next((path for path in places if path.is_file()), None)
    if state is None and (folder / 'result.json').is_file():
        raise TrainingError(
            f'The run in {folder} has no {FINAL_STATE_FILE}, which holds its optimiser, so it '
            'cannot go on: that was removed, or the run is of an earlier version. '
            'Start a new run from its weights: set weights to its last.safetensors.'
        )
    done, batches = read_progress(state) if state is not None else (0, 0)
    if epochs <= done:
        raise TrainingError(
            f'The run in {folder} has done {done} epochs. Give a larger number than that.'
        )
    longer = recipe.with_changes({'epochs': epochs})
    try:
        _write(folder, longer, {'after': done, 'planned': recipe.epochs})
    except OSError as error:
        raise TrainingError(f'{folder} cannot be written to: {error.strerror}.') from error
    return _what_it_means(recipe, longer, done + (1 if batches else 0))


def _write(folder: Path, longer: Recipe, continued: dict[str, int]) -> None:
    """Change the files of a run so that it goes on; a crash in between leaves it whole."""
    text = longer.to_toml().encode()
    environment = json_or_empty(folder / 'environment.json')
    digests = dict(environment.get('sha256', {}))
    digests.pop('recipe.toml', None)
    environment['continued'] = [*environment.get('continued', ()), continued]
    if not (folder / STATE_FILE).is_file() and (folder / FINAL_STATE_FILE).is_file():
        (folder / FINAL_STATE_FILE).replace(folder / STATE_FILE)
    # Without its hash the recipe is not compared, whichever of the two is there.
    write_atomic(folder / 'environment.json', _json(environment | {'sha256': digests}))
    write_atomic(folder / 'recipe.toml', text)
    digests['recipe.toml'] = hashlib.sha256(text).hexdigest()
    write_atomic(folder / 'environment.json', _json(environment | {'sha256': digests}))
    (folder / 'result.json').unlink(missing_ok=True)


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + '\n').encode()


def _what_it_means(recipe: Recipe, longer: Recipe, done: int) -> str:
    text = f'The run goes on after epoch {done} to epoch {longer.epochs}. '
    text += rate_text(recipe, longer, done)
    if recipe.stopping.patience:
        text += ' Early stopping counts anew.'
    return text


def rate_text(recipe: Recipe, longer: Recipe, done: int) -> str:
    """Return what becomes of the learning rate of a run that goes on after `done` epochs."""
    schedule = longer.schedule
    if schedule.name == 'constant':
        return (
            'The learning rate is constant, so the result is that of a run of '
            f'{longer.epochs} epochs.'
        )
    if schedule.name == 'stages':
        return (
            'The learning rate goes on by the stages of the recipe, so the result is that of a '
            f'run of {longer.epochs} epochs.'
        )
    before, after = (
        rate_fraction(schedule, min(done, plan.epochs), plan.epochs, 0.0)
        for plan in (recipe, longer)
    )
    change = 'rises' if after >= before else 'falls'
    return (
        f'The learning rate {change} from {before:.0%} to {after:.0%} of its highest, where a '
        f'cosine over {longer.epochs} epochs has it then, and falls to 0 from there. So the '
        f'result is not that of a run of {longer.epochs} epochs from the start.'
    )
