"""``napari-cxr score``: many files in, a table out."""

from __future__ import annotations

import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.classifying import DEFAULT_MODEL, load_model
from napari_cxr.cli.options import DeviceOption
from napari_cxr.cli.progress import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_cxr.scoring import Event, Finished, Progress

__all__ = ['score']

_LARGEST_BATCH = 4096


def score(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar='PATH...',
            help='Images, folders, a DICOMDIR, a .txt list of paths, or a .csv table with a '
            'column of paths.',
            readable=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar='TABLE', help='The table: .csv, .jsonl, or .parquet (extra [parquet]).'
        ),
    ],
    model: Annotated[str, typer.Option(help='A name from `models`, or a file.')] = DEFAULT_MODEL,
    device: DeviceOption = 'auto',
    batch_size: Annotated[
        str, typer.Option(metavar='N|auto', help='Images that the network takes at once.')
    ] = 'auto',
    workers: Annotated[
        int | None,
        typer.Option(min=1, help='Processes that decode; as many as cores by default.'),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar='CSV|folders',
            help='What the images are, to measure by: a table of paths and labels, or the '
            'names of the folders in PATH.',
        ),
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            metavar='DIR',
            help='Save for each file a picture with the heatmap of its class, and the maps of '
            'all classes as numbers.',
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option('--resume', help='Go on with what was stopped or cut off.')
    ] = False,
    decision: Annotated[
        str | None,
        typer.Option(
            metavar='POINT',
            help="An operating point of the model's card, such as sensitivity=0.95 or youden: "
            'a column names the classes that reach it.',
        ),
    ] = None,
    identify: Annotated[
        bool,
        typer.Option('--identify', help='Add columns that name patient, study and image.'),
    ] = False,
) -> None:
    """Score many files into a table with a row for each.

    Rows are kept as they come: what is stopped, killed or cut off goes on with --resume.
    """
    from napari_cxr.inference.classifier import OutOfMemory
    from napari_cxr.scoring import (
        Decision,
        DecisionError,
        ListingError,
        ScoringError,
        Settings,
        check_out,
        list_items,
        write_so_far,
    )
    from napari_cxr.scoring import score as run
    from napari_cxr.workers.decoding import DecoderPool

    batch = _batch_of(batch_size)
    try:
        check_out(out, resume=resume)
        items = list_items(paths, labels)
        decoders = DecoderPool(workers)
        decoders.start(len(items))  # while torch is being imported
        classifier = load_model(model, device)
        chosen = None if decision is None else Decision.of_card(decision, classifier.card)
    except (ListingError, DecisionError, ScoringError) as error:
        raise typer.BadParameter(str(error)) from None
    settings = Settings(batch=batch, heatmaps=heatmaps, decision=chosen, identify=identify)
    drawing = _Drawing(sys.argv[1:])
    try:
        with closing(
            run(items, classifier, out, decoders.prepare, settings, resume=resume)
        ) as events:
            drawing.show(events)
    except KeyboardInterrupt:
        drawing.stopped(out, lambda: write_so_far(items, classifier, out, settings))
        raise typer.Exit(1) from None
    except (ScoringError, OutOfMemory) as error:
        if not drawing.begun:
            raise typer.BadParameter(str(error)) from None
        typer.echo(f'Scoring failed: {error}', err=True)
        raise typer.Exit(1) from None
    finally:
        decoders.close()
    if drawing.failed:
        raise typer.Exit(1)


class _Drawing:
    """What is drawn of a run: a bar with speed and failures, and what came out.

    Parameters
    ----------
    command : list of str
        The words of the command line, for telling how to go on.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.begun = False
        self.failed = 0

    def show(self, events: Iterator[Event]) -> None:
        """Draw events until they end; a Ctrl-C comes through between two of them."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from napari_cxr import scoring
        from napari_cxr.cli.interrupting import Interrupts

        console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (
            TextColumn('Scoring'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[pace]}'),
        )
        finished = None
        with (
            Interrupts() as interrupts,
            Progress(*columns, console=console, transient=True) as progress,
        ):
            bar = progress.add_task('', total=None, pace='')
            for event in events:
                match event:
                    case scoring.Started():
                        self.begun, self.failed = True, event.failed
                        resumed = f', {event.done:,} of them done already' if event.done else ''
                        console.print(
                            f'{event.total:,} files{resumed}; {event.model} on {event.device}',
                            markup=False,
                        )
                        progress.update(bar, completed=event.done, total=event.total)
                    case scoring.Scored(row=row):
                        if row.status == 'error':
                            console.print(f'{row.path}: {row.error}', markup=False)
                    case scoring.Warned(text=text):
                        console.print(text, markup=False)
                    case scoring.Progress():
                        self.failed = event.failed
                        progress.update(bar, completed=event.done, pace=_pace(event))
                    case scoring.Finished():
                        self.failed, finished = event.failed, event
                interrupts.look()
        if finished is not None:
            _sum_up(finished)

    def stopped(self, out: Path, write: Callable[[], int]) -> None:
        """Write what is done after a Ctrl-C, and say how to go on."""
        from napari_cxr.scoring import ScoringError

        again = [word for word in self._command if word != '--resume']
        try:
            done = write()
        except ScoringError as error:
            typer.echo(f'Stopped. {error}', err=True)
            return
        how = shlex.join(['napari-cxr', *again, '--resume'])
        typer.echo(f'Stopped. {out} holds the {done:,} rows so far. Go on with: {how}', err=True)


def _pace(event: Progress) -> str:
    words = [f'{event.images_per_second:.1f} images/s']
    if event.seconds_left >= 0:  # not NaN
        words.append(f'{clock(event.seconds_left)} left')
    if event.failed:
        words.append(f'{event.failed:,} failed')
    return '  '.join(words)


def _sum_up(event: Finished) -> None:
    """Print what came out: the figures where there are any, and the table's name last."""
    scored = event.total - event.failed
    typer.echo(f'{scored:,} of {event.total:,} files were scored.', err=True)
    if event.unknown:
        named = ', '.join(repr(label) for label in event.unknown[:8])
        typer.echo(f'Not measured, because the model has no such label: {named}.', err=True)
    if event.metrics:
        for line in _figures(event.metrics):
            typer.echo(line)
    typer.echo(event.path)


def _figures(metrics: dict[str, Any]) -> list[str]:
    """Return lines of figures with their 95 % intervals."""
    by = 'patients' if metrics['patients'] < metrics['images'] else 'images, each its own patient'
    lines = [
        f'{metrics["images"]:,} images with a label ({metrics["patients"]:,} {by}): '
        + _with_intervals(metrics, {'accuracy': 'accuracy', 'macro_auc': 'macro AUC'})
    ]
    words = {'auc': 'AUC', 'sensitivity': 'sensitivity', 'specificity': 'specificity'}
    lines += [
        f'  {label} ({found["images"]:,}): {_with_intervals(found, words)}'
        for label, found in metrics['classes'].items()
    ]
    if 'confusion' in metrics:
        lines.append('  confusion (rows are the truth, columns the most probable class):')
        lines += ['    ' + ' '.join(f'{n:6}' for n in row) for row in metrics['confusion']]
    return lines


def _with_intervals(found: dict[str, Any], words: dict[str, str]) -> str:
    return ', '.join(
        f'{word} {value:.3f}' + (f' [{low:.3f}, {high:.3f}]' if low is not None else '')
        for name, word in words.items()
        if name in found
        for value, low, high in [found[name]]
        if value is not None
    )


def _batch_of(words: str) -> int:
    """Return a batch size, 0 for 'auto'."""
    if words == 'auto':
        return 0
    if words.isdecimal() and 1 <= int(words) <= _LARGEST_BATCH:
        return int(words)
    raise typer.BadParameter(
        f"{words!r} is neither 'auto' nor a number from 1 to {_LARGEST_BATCH}.",
        param_hint='--batch-size',
    )
