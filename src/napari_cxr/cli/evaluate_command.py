"""``napari-cxr evaluate``: how good a model is, what that is worth, and a report of both."""

from __future__ import annotations

import errno
import math
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cxr.cli.classify_command import load_model
from napari_cxr.cli.command_options import (
    BackendOption,
    DeviceOption,
    LabelColumn,
    PathColumn,
    PatientColumn,
    QuietOption,
    SourceColumn,
    SplitColumn,
    ViewColumn,
    columns_of,
)
from napari_cxr.cli.progress_display import time_text
from napari_cxr.cli.terminal_output import echo, echo_path

if TYPE_CHECKING:
    from napari_cxr.evaluation.evaluation_events import EvaluationEvent, EvaluationFinished
    from napari_cxr.evaluation.evaluation_settings import ModelToEvaluate

__all__ = ['evaluate']

#: Of errors: a disk that is full, or a file larger than this user or the disk may have.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: Of more figures that differ only so many are named.
_MOST_PRINTED = 20


def evaluate(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar='MODEL... IMAGES | SCORES... | RUN',
            help='Models, by name or file, and then the images: a folder with a folder for each '
            'class, or a table. Or finished tables of scores, one of each model. Or the folder of '
            'a training run, to be judged by its own test images, fold by fold.',
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar='DIR', help='Folder for the report; needed.')
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(
            metavar='DIR',
            help='Compute every figure of the report in this folder again, from predictions.csv '
            'in it, and say whether they are the same. This is no look at the images.',
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar='train|val|test|all',
            autocompletion=lambda: ['train', 'val', 'test', 'all'],
            help='By which split. By default the test split where there is one; thresholds are '
            'then chosen by the validation split.',
        ),
    ] = '',
    by: Annotated[
        list[str] | None,
        typer.Option(metavar='COLUMN', help='Also divide the figures by this column.'),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            '--class',
            metavar='CLASS=LABEL,...',
            help="Which labels of the images mean a class of the model; 'none' stands for none "
            'of its classes: --class opacity=pneumonia --class none=normal.',
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help='Also give predictive values where so many have the class.'
        ),
    ] = None,
    cost: Annotated[
        float,
        typer.Option(
            min=0.0,
            help='How many false alarms one missed case is worth: adds a threshold by cost.',
        ),
    ] = 0.0,
    labels: Annotated[
        str | None,
        typer.Option(metavar='CSV', help='What the images of a folder are, by a table.'),
    ] = None,
    no_baselines: Annotated[
        bool,
        typer.Option('--no-baselines', help='Fit no classifiers that see no anatomy.'),
    ] = False,
    no_gallery: Annotated[
        bool,
        typer.Option('--no-gallery', help='Put no radiographs with heatmaps into the report.'),
    ] = False,
    shortcut_tests: Annotated[
        bool,
        typer.Option(
            '--shortcut-tests',
            help='Also show each image again without lungs, with another frame, without markers, '
            'mirrored, and coarser, and write a page with a verdict. Takes nine times as long.',
        ),
    ] = False,
    include_doubtful: Annotated[
        bool,
        typer.Option(
            '--include-doubtful',
            help='Count doubtful images: lateral, inverted, mirrored, or not a chest.',
        ),
    ] = False,
    sealed: Annotated[
        bool,
        typer.Option(
            '--sealed',
            help='Seal the set: it answers once for each model, and training refuses its images '
            'and copies of them.',
        ),
    ] = False,
    device: DeviceOption = 'auto',
    backend: BackendOption = '',
    workers: Annotated[
        int | None,
        typer.Option(min=1, help='Processes that decode; as many as cores by default.'),
    ] = None,
    path_column: PathColumn = '',
    label_column: LabelColumn = '',
    patient_column: PatientColumn = '',
    source_column: SourceColumn = '',
    split_column: SplitColumn = '',
    view_column: ViewColumn = '',
    quiet: QuietOption = False,
) -> None:
    """Evaluate models by labelled images, and write a report.

    Each evaluation leaves a line in a ledger beside the images, and the report says how often
    one has looked.
    """
    from napari_cxr.checkpoint import CheckpointError
    from napari_cxr.evaluation.evaluation_images import list_images
    from napari_cxr.evaluation.evaluation_run import evaluate as run
    from napari_cxr.evaluation.evaluation_run import evaluate_run, evaluate_scores
    from napari_cxr.evaluation.evaluation_settings import EvaluationSettings
    from napari_cxr.evaluation.run_predictions import is_run_folder
    from napari_cxr.scoring import CannotWrite, ListingError, ScoringError
    from napari_cxr.workers.decoder_pool import DecoderPool, listed_images

    if again is not None:
        if what:
            raise typer.BadParameter(
                f'--again takes the folder of a report and nothing else, so leave out '
                f'{" ".join(what)}; or leave out --again to evaluate anew.'
            )
        _compute_again(again, quiet)
        return
    if not what:
        raise typer.BadParameter('Name models, and then the images.')
    if out is None:
        raise typer.BadParameter('Name a folder for the report.', param_hint='--out')
    settings = EvaluationSettings.of(
        split=split,
        classes=_classes_of(classes or []),
        baselines=not no_baselines,
        gallery=not no_gallery,
        include_doubtful=include_doubtful,
        shortcut_tests=shortcut_tests,
        sealed=sealed,
        cost=cost,
        prevalence=prevalence,
        backend=backend,
    )
    try:
        if len(what) == 1 and is_run_folder(Path(what[0])):
            finished = _show(evaluate_run(what[0], out, settings), quiet)
        elif all(map(_is_score_table, what)):
            finished = _show(evaluate_scores(what, out, settings), quiet)
        else:
            *names, place = what
            if not names:
                raise typer.BadParameter(
                    f'Name a model before the images: napari-cxr evaluate MODEL {place}.'
                    if Path(place).exists()
                    else f'Name the images after the model: napari-cxr evaluate {place} IMAGES.'
                )
            models = [_model_to_evaluate(name, device, backend) for name in names]
            columns = columns_of(
                path=path_column,
                label=label_column,
                patient=patient_column,
                source=source_column,
                split=split_column,
                view=view_column,
            )
            images = list_images(
                place, labels=labels, columns=columns, by=by or (), directory=listed_images
            )
            with closing(DecoderPool(workers)) as decoders:
                finished = _show(run(images, models, out, decoders, settings), quiet)
    except CannotWrite as error:
        echo(f'Evaluation failed: {error} The same command resumes.', err=True)
        raise typer.Exit(1) from None
    except (CheckpointError, ListingError, ScoringError) as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise typer.BadParameter(f'{error.filename or out}: {error.strerror}.') from None
        echo(
            f'Evaluation failed: {out} cannot be written: {error.strerror}. What was scored is '
            'kept: make room, and give the same command again.',
            err=True,
        )
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        echo('Stopped. What was scored is kept; the same command goes on with it.', err=True)
        raise typer.Exit(1) from None
    _print_result(finished)


def _compute_again(folder: Path, quiet: bool) -> None:
    """Compute a report again; end with status 1 if a figure is not the same."""
    from napari_cxr.evaluation.recomputing import recompute

    steps = recompute(folder)
    try:
        while True:
            said = next(steps)
            if not quiet:
                echo(f'{said} …', err=True)
    except StopIteration as end:
        found = end.value
    except FileNotFoundError as error:
        raise typer.BadParameter(
            f'{folder} is no folder of a report: {Path(error.filename).name} is not there. Name '
            'the folder that was given to --out.'
        ) from None
    except OSError as error:
        raise typer.BadParameter(f'{error.filename}: {error.strerror}.') from None
    except ValueError as error:
        raise typer.BadParameter(f'{folder}: {error}.') from None
    if not found.different:
        echo(f'All {found.numbers:,} figures are the same.')
        return
    echo(f'{len(found.different):,} of {found.numbers:,} figures are not the same:', err=True)
    for where in found.different[:_MOST_PRINTED]:
        echo(f'  {where}', err=True)
    raise typer.Exit(1)


def _classes_of(given: list[str]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for one in given:
        name, sign, labels = one.partition('=')
        if not sign or not name.strip() or not labels.strip():
            raise typer.BadParameter(
                f'{one!r} is not of the form CLASS=LABEL,LABEL.', param_hint='--class'
            )
        found = [label.strip() for label in labels.split(',') if label.strip()]
        out.setdefault(name.strip(), []).extend(found)
    return out


def _is_score_table(path: str) -> bool:
    from napari_cxr.scoring import ScoringError
    from napari_cxr.scoring.table_reader import open_table

    try:
        open_table(Path(path))
    except ScoringError:
        return False
    return True


def _model_to_evaluate(name: str, device: str, backend: str) -> ModelToEvaluate:
    from napari_cxr.checkpoint import catalog, read_card
    from napari_cxr.evaluation.evaluation_settings import ModelToEvaluate

    path = catalog.resolve(name)
    return ModelToEvaluate(path, read_card(path), lambda: load_model(name, device, backend))


def _show(
    events: Generator[EvaluationEvent | None, None, object], quiet: bool
) -> EvaluationFinished:
    """Draw an evaluation to its end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from napari_cxr.evaluation.evaluation_events import (
        EvaluationFinished,
        EvaluationProgress,
        EvaluationWarned,
    )

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn('{task.fields[step]}', markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('{task.fields[left]}'),
    )
    hidden = quiet or not console.is_terminal
    step, finished = '', None
    with (
        Progress(*columns, console=console, transient=True, disable=hidden) as progress,
        closing(events),
    ):
        bar = progress.add_task('', total=None, step='', left='')
        for event in events:
            match event:
                case EvaluationProgress():
                    known = math.isfinite(event.seconds_left)
                    left = f'{time_text(event.seconds_left)} left' if known else ''
                    progress.update(
                        bar,
                        step=event.step,
                        left=left,
                        completed=event.done,
                        total=event.total or None,
                    )
                    if event.step != step and hidden and not quiet:
                        echo(f'{event.step} …', err=True)
                    step = event.step
                case EvaluationWarned(text=text):
                    echo(f'Warning: {text}', err=True)
                case EvaluationFinished():
                    finished = event
    assert finished is not None
    return finished


def _print_result(finished: EvaluationFinished) -> None:
    """Print the cautions first, then the figures that people ask for."""
    from napari_cxr.evaluation.metric_text import figure_text
    from napari_cxr.evaluation.report import images_text

    content = finished.result.metrics
    for one in content['cautions']:
        echo(f'{"STOP: " if one["kind"] == "stop" else "Note: "}{one["text"]}')
    about = content['set']
    echo('')
    echo(f'{images_text(about)}, from {about["name"]}, split {about["split"]}')
    for name, own in [*content['models'].items(), *content['baselines'].items()]:
        echo(
            f'{name}: AUC {figure_text(own.get("auc"))}, balanced accuracy '
            f'{figure_text(own.get("balanced_accuracy"))}'
        )
    echo_path(finished.report)
    if finished.shortcuts_page:
        echo_path(finished.shortcuts_page)
