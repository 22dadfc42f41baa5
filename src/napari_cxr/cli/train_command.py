"""``napari-cxr train`` and ``sweep``: training by recipes; and ``runs``, which compares runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.command_options import (
    AsJson,
    DeviceOption,
    EpochsOption,
    Folder,
    LabelColumn,
    PathColumn,
    PatientColumn,
    PriorOption,
    QuietOption,
    ResumeOption,
    SetOption,
    SourceColumn,
    SplitColumn,
    VerboseOption,
    ViewColumn,
    changes_of,
    columns_of,
    complete_recipes,
    complete_sweeps,
    prior_of,
)
from napari_cxr.cli.terminal_output import echo, echo_path

if TYPE_CHECKING:
    from napari_cxr.cli.training_display import TrainingDisplay
    from napari_cxr.workers.decoder_pool import DecoderPool

__all__ = ['runs', 'sweep', 'train']


def train(
    folder: Folder,
    out: Annotated[Path, typer.Option(metavar='DIR', help='Folder of the run, new or empty.')],
    recipe: Annotated[
        str | None,
        typer.Option(
            help='Name of a recipe from `recipes`, or a TOML file.',
            autocompletion=complete_recipes,
        ),
    ] = None,
    settings: SetOption = None,
    prior: PriorOption = None,
    leave_one_source_out: Annotated[
        bool,
        typer.Option(
            '--leave-one-source-out',
            help='Hold out each source in turn, and measure by it: what the model does in a '
            "hospital that it has not seen. The same as --set split.method='leave-source-out'.",
        ),
    ] = False,
    epochs: EpochsOption = 0,
    resume: ResumeOption = False,
    path_column: PathColumn = '',
    label_column: LabelColumn = '',
    patient_column: PatientColumn = '',
    source_column: SourceColumn = '',
    split_column: SplitColumn = '',
    view_column: ViewColumn = '',
    device: DeviceOption = 'auto',
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a network by a recipe; the best checkpoint and its card are saved in --out."""
    from napari_cxr.cli.training_display import TrainingDisplay
    from napari_cxr.inference.cpu import keep_freed_memory
    from napari_cxr.training import recipe as built_in_recipes
    from napari_cxr.training.dataset_index import index
    from napari_cxr.training.run_extension import extend_run
    from napari_cxr.training.run_folder import recipe_of
    from napari_cxr.training.training_loop import train as run
    from napari_cxr.workers.background_jobs import exporting

    keep_freed_memory()
    display = TrainingDisplay(quiet=quiet, verbose=verbose)
    command = _resume_command('train', folder, out, device)
    columns = columns_of(
        path=path_column,
        label=label_column,
        patient=patient_column,
        source=source_column,
        split=split_column,
        view=view_column,
    )
    with _errors_as_messages(display, command, out, 'recipe.toml'):
        if resume:
            _refuse_with_resume(
                recipe=recipe, set=settings, **{'leave-one-source-out': leave_one_source_out}
            )
            _refuse_with_resume(**{f'{what}-column': name for what, name in columns.items()})
            if not (out / 'recipe.toml').is_file():
                raise typer.BadParameter(
                    f'There is no run to resume in {out}; start one with --recipe.'
                )
            if epochs:
                echo(extend_run(out, epochs), err=True)
            elif (out / 'result.json').is_file():
                _show_finished(out)
                return
            plan = recipe_of(out)
        else:
            named = built_in_recipes.find(_required_name(recipe, 'recipe'))
            plan = named.with_changes(_with_columns(changes_of(settings), columns))
            if stated := prior_of(prior):
                plan = plan.with_changes({'calibration.prior': stated})
            plan = plan.with_changes({'epochs': epochs}) if epochs else plan
            if leave_one_source_out:
                plan = plan.with_changes({'split.method': 'leave-source-out'})
        with (
            _decoder_pool() as read,
            closing(
                run(index(folder, plan.data), plan, out, device, read=read, resume=resume)
            ) as events,
        ):
            display.show(exporting(events))


def _show_finished(out: Path) -> None:
    """Print the model of a run that has nothing left to do, so that a resume is a success."""
    echo(
        f'The run in {out} is finished; there is nothing to resume. To go on, say to how many '
        'epochs: --epochs N.',
        err=True,
    )
    for model in (out / 'all' / 'best.safetensors', out / 'best.safetensors'):
        if model.is_file():
            echo_path(model)
            return


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
        typer.Option(
            '--sweep',
            help='Name of a sweep from `recipes`, or a TOML file.',
            autocompletion=complete_sweeps,
        ),
    ] = None,
    settings: SetOption = None,
    resume: ResumeOption = False,
    path_column: PathColumn = '',
    label_column: LabelColumn = '',
    patient_column: PatientColumn = '',
    source_column: SourceColumn = '',
    split_column: SplitColumn = '',
    view_column: ViewColumn = '',
    device: DeviceOption = 'auto',
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train by a list, a grid or a search of recipes; runs.csv compares the runs."""
    from napari_cxr.cli.training_display import TrainingDisplay
    from napari_cxr.training.sweep import PLAN, find
    from napari_cxr.training.sweep import sweep as run

    display = TrainingDisplay(quiet=quiet, verbose=verbose)
    command = _resume_command('sweep', folder, out, device)
    columns = columns_of(
        path=path_column,
        label=label_column,
        patient=patient_column,
        source=source_column,
        split=split_column,
        view=view_column,
    )
    with _errors_as_messages(display, command, out, PLAN):
        if resume:
            _refuse_with_resume(sweep=plan, set=settings)
            _refuse_with_resume(**{f'{what}-column': name for what, name in columns.items()})
            if not (out / PLAN).is_file():
                raise typer.BadParameter(f'There is no sweep to resume in {out}.')
            whole = find(out / PLAN)
        else:
            named = find(_required_name(plan, 'sweep'))
            whole = named.with_changes(_with_columns(changes_of(settings), columns))
        with (
            _decoder_pool() as read,
            closing(run(folder, whole, out, device, read=read, resume=resume)) as events,
        ):
            display.show(events)
    if display.failed:
        raise typer.Exit(1)


#: Columns of the table that is printed; `--json` and `runs.csv` have all of them.
_RUN_COLUMNS = (
    *('run', 'status', 'recipe', 'network', 'epochs'),
    *('val_auc', 'val_acc', 'heatmap_peak_in_lung', 'heatmap_lung_lift'),
    *('val_loss', 'execution_time'),
)


def runs(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar='FOLDER...', help='Folders of runs, of sweeps, or that contain such folders.'
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Print a table of runs, the best first by the AUC on the validation images.

    Of a cross-validated run the folds are listed if its own folder is given.
    """
    from napari_cxr.training.run_table import run_rows

    rows = []
    for folder in folders:
        try:
            found = run_rows(folder)
        except OSError as error:
            raise typer.BadParameter(f'{folder}: {error.strerror}.') from None
        if not found:
            echo(f'There are no runs in {folder.absolute()}.', err=True)
        several = len(folders) > 1
        rows += [row | {'run': f'{folder}/{row["run"]}'} if several else row for row in found]
    rows.sort(key=lambda row: (row['val_auc'] is None, -(row['val_auc'] or 0)))
    if as_json:
        for row in rows:
            echo(json.dumps(row))
    elif rows:
        for line in _table_lines([_RUN_COLUMNS, *map(_run_cells, rows)]):
            echo(line)


def _run_cells(row: dict[str, Any]) -> list[str]:
    def text(value: Any) -> str:
        if value is None:
            return '-'
        return f'{value:.4f}' if isinstance(value, float) else str(value)

    cells = [text(row.get(name)) for name in _RUN_COLUMNS[:-1]]
    minutes = row.get('execution_time')
    return [*cells, '-' if minutes is None else f'{minutes:.1f} min']


def _table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f'{cell:{width}}' for cell, width in zip(row, widths, strict=True))
        yield '  '.join(cells).rstrip()


@contextmanager
def _errors_as_messages(
    display: TrainingDisplay, command: str, out: Path, plan_file: str
) -> Iterator[None]:
    """Turn errors into a sentence and an exit status.

    The status is 2 until a training has started, because then the command must be changed.
    `command` resumes what was stopped, once `plan_file` is in the folder.
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
        if not display.started:
            raise typer.BadParameter(str(error)) from None
        echo(f'The run failed: {error}', err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        best = out / 'best.safetensors'
        kept = f' The model so far is {best}.' if best.is_file() else ''
        how = f'Resume with: {command}'
        if not (out / plan_file).is_file():
            how = (
                'Training had not started; the images that were read are cached, so give the '
                'same command again.'
            )
        echo(f'Stopped.{kept} {how}', err=True)
        raise typer.Exit(1) from None


def _resume_command(command: str, folder: Path, out: Path, device: str) -> str:
    """Return the command that resumes this one."""
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


def _with_columns(changes: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    """Return changes of a recipe with the columns that were named."""
    return changes | {f'data.columns.{what}': name for what, name in columns.items()}


def _required_name(name: str | None, option: str) -> str:
    if name is None:
        raise typer.BadParameter(
            f'Name a {option}, or resume a run with --resume.', param_hint=f'--{option}'
        )
    return name


def _refuse_with_resume(**options: object) -> None:
    for name, value in options.items():
        if value:
            raise typer.BadParameter(
                'A resumed run keeps the recipe that it was started with.', param_hint=f'--{name}'
            )
