"""``napari-cxr audit``: what in a labelled data set would mislead."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.command_options import (
    AsJson,
    Folder,
    LabelColumn,
    PathColumn,
    PatientColumn,
    QuietOption,
    SourceColumn,
    SplitColumn,
    ViewColumn,
    columns_of,
)
from napari_cxr.cli.terminal_output import echo, echo_path, print_line

if TYPE_CHECKING:
    from napari_cxr.evaluation.data_audit import Audit

__all__ = ['audit']

#: Doubtful labels that are listed on the terminal.
_LISTED = 10


def audit(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar='DIR',
            help='Write audit.json and doubtful-labels.csv there; the table opens in the Score '
            'dock as a reading list, the most doubtful label first.',
        ),
    ] = None,
    as_json: AsJson = False,
    auc: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help='The AUC of your model: could source, view, age or sex alone give it?',
            show_default=False,
        ),
    ] = None,
    path_column: PathColumn = '',
    label_column: LabelColumn = '',
    patient_column: PatientColumn = '',
    source_column: SourceColumn = '',
    split_column: SplitColumn = '',
    view_column: ViewColumn = '',
    quiet: QuietOption = False,
) -> None:
    """Say what in a labelled folder or table would mislead, before you train or believe a result.

    Copies and near-duplicates, wrong views, labels that are probably wrong, and whether source,
    view, age, sex or the format of the files could give a good result by themselves.
    """
    from napari_cxr.evaluation.audit_output import audit_to_dict, write_audit
    from napari_cxr.evaluation.data_audit import audit as run
    from napari_cxr.scoring import CannotWrite, ScoringError
    from napari_cxr.scoring.scoring_checks import make_result_folder
    from napari_cxr.training.dataset import DatasetError
    from napari_cxr.training.recipe import RecipeError
    from napari_cxr.training.recipe.data_sections import DataRecipe
    from napari_cxr.workers.decoder_pool import DecoderPool

    columns = columns_of(
        path=path_column,
        label=label_column,
        patient=patient_column,
        source=source_column,
        split=split_column,
        view=view_column,
    )
    try:
        if out is not None:
            make_result_folder(out)  # before minutes of work
        with (
            closing(DecoderPool()) as decoders,
            closing(run(folder, DataRecipe(columns=columns), decoders, asked=auc)) as steps,
        ):
            found = _show_progress(steps, quiet=quiet)
    except (DatasetError, RecipeError, ScoringError) as error:
        raise typer.BadParameter(str(error)) from None
    unwritten, written = '', None
    try:
        written = None if out is None else write_audit(found, out)
    except CannotWrite as error:
        unwritten = error.reason
    except OSError as error:
        unwritten = f'{out} cannot be written: {error.strerror}.'
    if as_json:
        echo(json.dumps(audit_to_dict(found), allow_nan=False))
    else:
        _print_findings(found)
    for path in () if as_json else written or ():
        if path is not None:
            echo_path(path)
    if unwritten:  # what was found is printed all the same
        echo(f'{unwritten} Make room, or name another folder (--out).', err=True)
        raise typer.Exit(1)


def _show_progress(steps: Generator[Any, None, Audit], *, quiet: bool) -> Audit:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from napari_cxr.evaluation.data_audit import AuditProgress
    from napari_cxr.training.training_events import WarningRaised

    columns = (TextColumn('{task.description}'), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    shown = sys.stderr.isatty() and not quiet
    warnings: set[str] = set()  # each reading of the images has its own
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task('Starting', total=1.0)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                result: Audit = end.value
                return result
            if isinstance(event, AuditProgress):
                progress.update(task, description=event.doing, completed=event.fraction)
            elif isinstance(event, WarningRaised) and event.text not in warnings:
                warnings.add(event.text)
                print_line(console, event.text)


def _print_findings(found: Audit) -> None:
    from napari_cxr.evaluation.audit_output import doubt_text, given_label

    count = len(found.paths)
    echo(f'{count:,} images, {len(found.labels)} classes: {", ".join(found.labels)}.')
    echo('')
    for text in found.findings or ('Nothing that would mislead was found.',):
        echo(f'- {text}')
    echo('')
    echo('Could this alone give your AUC?')
    for one in found.variables:
        number = ''
        if one.auc:
            value, low, high = one.auc
            number = f'{value:.3f} ({low:.3f} to {high:.3f})'
        echo(f'  {one.name:<24}{one.answer:<10}{number}')
    for name, (value, low, high) in found.baselines.items():
        echo(f'  {name + " *":<24}{"":<10}{value:.3f} ({low:.3f} to {high:.3f})')
    if found.baselines:
        echo('  * on image size, borders and grey levels: the no-anatomy baselines')
    doubtful = [i for i in found.most_doubtful.tolist() if found.suggested[i] >= 0]
    if doubtful:
        echo('')
        echo(f'{len(doubtful):,} labels are doubtful. The first of them:')
        for i in doubtful[:_LISTED]:
            echo(f'  {given_label(found, i)}: {found.paths[i]}')
            echo(f'    {doubt_text(found, i)}')
