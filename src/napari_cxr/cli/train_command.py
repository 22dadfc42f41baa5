"""``napari-cxr train``, ``sweep`` and ``recipes``: training runs by recipes.

The size of a recipe's network is counted without allocating it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.command_options import (
    AsJson,
    DeviceOption,
    Folder,
    ResumeOption,
    SetOption,
    changes_of,
)

if TYPE_CHECKING:
    from napari_cxr.training.recipe import HeadRecipe, Recipe
    from napari_cxr.training.sweep import Sweep
    from napari_cxr.workers.decoder_pool import DecoderPool

__all__ = ['count_parameters', 'recipes', 'sweep', 'train']


def count_parameters(recipe: Recipe, classes: int) -> tuple[int, int]:
    """Return how many parameters a recipe's network has, and how many learn at first.

    Parameters
    ----------
    recipe : Recipe
        Its network, head, input and freezing.
    classes : int
        How many there are.

    Raises
    ------
    RecipeError
        If there is no such network, head or stage.
    """
    from napari_cxr.training.recipe import RecipeError

    size = (recipe.input.height, recipe.input.width)
    try:
        total, stages = _parameters_by_stage(
            recipe.network, classes, recipe.input.channels, size, recipe.head
        )
    except ValueError as error:
        raise RecipeError(f'network: {error}') from None
    names, up_to = list(stages), recipe.freeze.up_to
    if up_to not in ('nothing', 'everything', *names):
        raise RecipeError(
            f'freeze.up_to: {recipe.network} has no stage {up_to!r}; there are {", ".join(names)}.'
        )
    ends = {'nothing': 0, 'everything': len(names)}
    frozen = names[: ends[up_to] if up_to in ends else names.index(up_to) + 1]
    return total, total - sum(stages[name] for name in frozen)


@cache
def _parameters_by_stage(
    network: str, classes: int, channels: int, size: tuple[int, int], head: HeadRecipe
) -> tuple[int, dict[str, int]]:
    """Return the parameters of a network in all, and of each stage."""
    import torch

    from napari_cxr import networks
    from napari_cxr.training.recipe import HeadRecipe
    from napari_cxr.training.recipe.schema import as_table

    entries = {} if head == HeadRecipe() else as_table(head)
    with torch.device('meta'):  # shapes without numbers
        made = networks.create(network, classes, channels, size, entries)
    of_stages = {
        name: sum(p.numel() for p in stage.parameters()) for name, stage in made.stages.items()
    }
    return sum(p.numel() for p in made.parameters()), of_stages


def recipes(
    classes: Annotated[
        int,
        typer.Option(min=2, help='Classes to count with, where the recipe does not name them.'),
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """List the recipes and sweeps that can be named, with paper, network and parameters."""
    from napari_cxr.training import recipe as recipes
    from napari_cxr.training import sweep as sweeps

    rows = [_recipe_row('recipe', recipes.find(name), classes) for name in recipes.names()]
    rows += [_sweep_row(sweeps.find(name), classes) for name in sweeps.names()]
    for row in rows:
        typer.echo(json.dumps(row) if as_json else _recipe_text(row))


def _recipe_row(kind: str, recipe: Recipe, classes: int) -> dict[str, Any]:
    """Return what is said of a recipe; its network takes no memory."""
    named = recipe.data.classes or recipe.loss.class_weights
    total, trainable = count_parameters(recipe, len(named) or classes)
    return {
        'kind': kind,
        'name': recipe.name,
        'title': recipe.title,
        'paper': recipe.paper,
        'network': recipe.network,
        'weights': recipe.weights,
        'classes': list(named) or classes,
        'epochs': recipe.epochs,
        'parameters': total,
        'trainable': trainable,
    }


def _sweep_row(plan: Sweep, classes: int) -> dict[str, Any]:
    """Return what is said of a sweep: of each network, that of the first run with it."""
    firsts: dict[str, Recipe] = {}
    for recipe in [run.recipe for run in plan.runs] or [plan.base]:
        firsts.setdefault(recipe.network, recipe)
    networks = [_recipe_row('', recipe, classes) for recipe in firsts.values()]
    of_each = ('network', 'parameters', 'trainable')
    return {
        'kind': 'sweep',
        'name': plan.name,
        'title': plan.title,
        'paper': plan.paper,
        'runs': plan.search.trials if plan.search else len(plan.runs),
        'networks': [{key: network[key] for key in of_each} for network in networks],
    }


def _recipe_text(row: dict[str, Any]) -> str:
    runs = f', {row["runs"]} runs' if 'runs' in row else ''
    lines = [f'{row["name"]} ({row["kind"]}{runs}): {row["title"]}']
    if row['paper']:
        lines.append(f'    {row["paper"]}')
    for network in row.get('networks', [row]):
        size = f'{network["parameters"]:,} parameters, of which {network["trainable"]:,} learn'
        lines.append(f'    {network["network"]}: {size}')
    return '\n'.join(lines)


def train(
    folder: Folder,
    out: Annotated[Path, typer.Option(metavar='DIR', help='Folder of the run, new or empty.')],
    recipe: Annotated[
        str | None,
        typer.Option(help='Name of a recipe from `recipes`, or a TOML file.'),
    ] = None,
    settings: SetOption = None,
    resume: ResumeOption = False,
    device: DeviceOption = 'auto',
) -> None:
    """Train a network by a recipe; the best checkpoint and its card end in --out."""
    from napari_cxr.cli.progress_display import show_training
    from napari_cxr.inference.cpu import keep_freed_memory
    from napari_cxr.training import recipe as recipes
    from napari_cxr.training.dataset_index import index
    from napari_cxr.training.run_folder import recipe_of
    from napari_cxr.training.training_loop import train as run

    keep_freed_memory()
    with _errors_as_messages(_resume_command('train', folder, out, device), out, 'recipe.toml'):
        if resume:
            _refuse_with_resume(recipe=recipe, set=settings)
            if not (out / 'recipe.toml').is_file():
                raise typer.BadParameter(
                    f'{out} holds no run to go on with; begin one with --recipe.'
                )
            plan = recipe_of(out)
        else:
            plan = recipes.find(_required_name(recipe, 'recipe')).with_changes(
                changes_of(settings)
            )
        with (
            _decoder_pool() as read,
            closing(
                run(index(folder, plan.data), plan, out, device, read=read, resume=resume)
            ) as events,
        ):
            show_training(events)


def sweep(
    folder: Folder,
    out: Annotated[
        Path,
        typer.Option(
            metavar='DIR',
            help='Folder of the sweep, new or empty: a sub-folder a run, and runs.csv.',
        ),
    ],
    plan: Annotated[
        str | None,
        typer.Option('--sweep', help='Name of a sweep from `recipes`, or a TOML file.'),
    ] = None,
    settings: SetOption = None,
    resume: ResumeOption = False,
    device: DeviceOption = 'auto',
) -> None:
    """Train by a list, a grid or a search of recipes; runs.csv compares them."""
    from napari_cxr.cli.progress_display import show_training
    from napari_cxr.training.sweep import PLAN, find
    from napari_cxr.training.sweep import sweep as run

    with _errors_as_messages(_resume_command('sweep', folder, out, device), out, PLAN):
        if resume:
            _refuse_with_resume(sweep=plan, set=settings)
            if not (out / PLAN).is_file():
                raise typer.BadParameter(f'{out} holds no sweep to go on with.')
            whole = find(out / PLAN)
        else:
            whole = find(_required_name(plan, 'sweep')).with_changes(changes_of(settings))
        with (
            _decoder_pool() as read,
            closing(run(folder, whole, out, device, read=read, resume=resume)) as events,
        ):
            failed = show_training(events)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _errors_as_messages(again: str, out: Path, begun: str) -> Iterator[None]:
    """Turn what goes wrong into a sentence and a status.

    `again` is the command that goes on, once the file `begun` is in the folder.
    """
    from napari_cxr.inference.device import DeviceUnavailable
    from napari_cxr.training.dataset import DatasetError
    from napari_cxr.training.recipe import RecipeError
    from napari_cxr.training.run_folder import TrainingError

    try:
        yield
    except (DatasetError, RecipeError, DeviceUnavailable) as error:
        raise typer.BadParameter(str(error)) from None
    except TrainingError as error:
        typer.echo(f'The run failed: {error}', err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        best = out / 'best.safetensors'
        kept = f' The model so far is {best}.' if best.is_file() else ''
        how = f'Go on with: {again}'
        if not (out / begun).is_file():
            how = 'Nothing was learnt yet; what was read is kept, so give the same command again.'
        typer.echo(f'Stopped.{kept} {how}', err=True)
        raise typer.Exit(1) from None


def _resume_command(command: str, folder: Path, out: Path, device: str) -> str:
    """Return the command that goes on with what this one began."""
    words = ['napari-cxr', command, str(folder), '--out', str(out), '--resume']
    if device != 'auto':
        words += ['--device', device]
    return shlex.join(words)


@contextmanager
def _decoder_pool() -> Iterator[DecoderPool]:
    from napari_cxr.workers.decoder_pool import DecoderPool

    pool = DecoderPool()
    try:
        yield pool
    finally:
        pool.close()


def _required_name(name: str | None, option: str) -> str:
    if name is None:
        raise typer.BadParameter(
            f'Name a {option}, or go on with a run by --resume.', param_hint=f'--{option}'
        )
    return name


def _refuse_with_resume(**options: object) -> None:
    for name, value in options.items():
        if value:
            raise typer.BadParameter(
                'What is resumed keeps the recipe that it began with.', param_hint=f'--{name}'
            )
