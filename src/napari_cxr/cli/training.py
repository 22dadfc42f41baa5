"""``napari-cxr train`` and ``napari-cxr sweep``: runs by recipes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cxr.cli.options import (
    DeviceOption,
    Folder,
    ResumeOption,
    SetOption,
    changes_of,
)

if TYPE_CHECKING:
    from napari_cxr.workers.decoding import DecoderPool

__all__ = ['sweep', 'train']


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
    from napari_cxr.cli.progress import show
    from napari_cxr.inference.allocator import keep_freed_memory
    from napari_cxr.training import index, recipes
    from napari_cxr.training import train as run
    from napari_cxr.training.run_folder import recipe_of

    keep_freed_memory()
    with _answering(_again('train', folder, out, device), out, 'recipe.toml'):
        if resume:
            _refuse_with_resume(recipe=recipe, set=settings)
            if not (out / 'recipe.toml').is_file():
                raise typer.BadParameter(
                    f'{out} holds no run to go on with; begin one with --recipe.'
                )
            plan = recipe_of(out)
        else:
            plan = recipes.find(_given(recipe, 'recipe')).with_changes(changes_of(settings))
        with (
            _decoders() as read,
            closing(
                run(index(folder, plan.data), plan, out, device, read=read, resume=resume)
            ) as events,
        ):
            show(events)


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
    from napari_cxr.cli.progress import show
    from napari_cxr.training.sweep import PLAN, find
    from napari_cxr.training.sweep import sweep as run

    with _answering(_again('sweep', folder, out, device), out, PLAN):
        if resume:
            _refuse_with_resume(sweep=plan, set=settings)
            if not (out / PLAN).is_file():
                raise typer.BadParameter(f'{out} holds no sweep to go on with.')
            whole = find(out / PLAN)
        else:
            whole = find(_given(plan, 'sweep')).with_changes(changes_of(settings))
        with (
            _decoders() as read,
            closing(run(folder, whole, out, device, read=read, resume=resume)) as events,
        ):
            failed = show(events)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _answering(again: str, out: Path, begun: str) -> Iterator[None]:
    """Turn what goes wrong into a sentence and a status.

    `again` is the command that goes on, once the file `begun` is in the folder.
    """
    from napari_cxr.inference.device import DeviceUnavailable
    from napari_cxr.training import DatasetError, RecipeError, TrainingError

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


def _again(command: str, folder: Path, out: Path, device: str) -> str:
    """Return the command that goes on with what this one began."""
    words = ['napari-cxr', command, str(folder), '--out', str(out), '--resume']
    if device != 'auto':
        words += ['--device', device]
    return shlex.join(words)


@contextmanager
def _decoders() -> Iterator[DecoderPool]:
    from napari_cxr.workers.decoding import DecoderPool

    pool = DecoderPool()
    try:
        yield pool
    finally:
        pool.close()


def _given(name: str | None, option: str) -> str:
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
