"""What is drawn of ``napari-cxr score``, and what it says at the end."""

from __future__ import annotations

import shlex
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_cxr.cli.progress import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_cxr.scoring import Event, Finished, Progress
    from napari_cxr.scoring.row import Run

__all__ = ['Drawing']

#: Seconds between two lines that say how far it is, where no bar can be drawn.
_EVERY = 60.0
#: Characters of a command that is repeated in full.
_LONGEST = 1000


class Drawing:
    """What is drawn of a run: a bar with speed and failures, and what came out.

    Parameters
    ----------
    command : list of str
        The words of the command line, for telling how to go on.

    Attributes
    ----------
    begun : bool
        Whether the first file was about to be read.
    failed : int
        Rows that are errors.
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
        finished, run, told = None, None, time.monotonic()
        with (
            # Which a batch system sends at the end of the time that it gives.
            Interrupts(signal.SIGTERM) as interrupts,
            Progress(
                *columns, console=console, transient=True, disable=not console.is_terminal
            ) as progress,
        ):
            bar = progress.add_task('', total=None, pace='')
            for event in events:
                match event:
                    case scoring.Preparing(text=text):
                        progress.update(bar, pace=text)
                    case scoring.Started():
                        self.begun, self.failed = True, event.failed
                        run = event.run
                        resumed = f', {event.done:,} of them done already' if event.done else ''
                        way = '' if event.way == 'eager' else f', by {event.way}'
                        console.print(
                            f'{event.total:,} file{"s" * (event.total != 1)}{resumed}; '
                            f'{event.run.model} on {event.device}{way}',
                            markup=False,
                        )
                        progress.update(bar, completed=event.done, total=event.total, pace='')
                    case scoring.Scored(row=row):
                        if row.status == 'error':
                            console.print(f'{row.path}: {row.error}', markup=False)
                    case scoring.Warned(text=text):
                        console.print(text, markup=False)
                    case scoring.Progress():
                        self.failed = event.failed
                        progress.update(bar, completed=event.done, pace=_pace(event))
                        if not console.is_terminal and time.monotonic() - told > _EVERY:
                            told = time.monotonic()
                            done = f'{event.done:,} of {event.total:,}'
                            console.print(f'{done}  {_pace(event)}', markup=False)
                    case scoring.Finished():
                        self.failed, finished = event.failed, event
                interrupts.look()
        if finished is not None and run is not None:
            _sum_up(finished, run)

    def stopped(self, out: Path, write: Callable[[], int]) -> None:
        """Write what is done after a Ctrl-C, and say how to go on."""
        from napari_cxr.scoring import ScoringError

        try:
            done = write()
        except ScoringError as error:
            typer.echo(f'Stopped. {error}', err=True)
            return
        there = f'{out} holds the {done:,} row{"s" * (done != 1)} so far.'
        there = there if done else 'No row is done yet.'
        typer.echo(f'Stopped. {there} Go on with{self._again()}', err=True)

    def _again(self) -> str:
        words = [word for word in self._command if word != '--resume']
        paths = words.index('--') if '--' in words else len(words)  # all that follows is paths
        again = shlex.join(['napari-cxr', *words[:paths], '--resume', *words[paths:]])
        return f': {again}' if len(again) <= _LONGEST else ' the same command and --resume.'


def _pace(event: Progress) -> str:
    words = [f'{event.images_per_second:.1f} images/s']
    if event.seconds_left >= 0:  # not NaN
        words.append(f'{clock(event.seconds_left)} left')
    if event.failed:
        words.append(f'{event.failed:,} failed')
    return '  '.join(words)


def _sum_up(event: Finished, run: Run) -> None:
    """Print what came out: the figures where there are any, and the table's name last."""
    scored = event.total - event.failed
    were = 'file was' if event.total == 1 else 'files were'
    typer.echo(f'{scored:,} of {event.total:,} {were} scored.', err=True)
    if event.unknown:
        named = ', '.join(repr(label) for label in event.unknown[:8])
        images = f'{event.unmeasured:,} image{"s" * (event.unmeasured != 1)}'
        typer.echo(
            f'Not measured: {images}, because the model has no such label: {named}.', err=True
        )
    if event.metrics:
        for line in _figures(event.metrics, run):
            typer.echo(line)
    elif run.truth:
        rule = run.label_rule
        names = [*run.labels, *([rule.negative] if rule.several and rule.negative else [])]
        listed = ', '.join(repr(name) for name in names[:8])
        typer.echo(
            'Not measured: labelled images of two classes are needed, called as the model calls '
            f'them: {listed}.',
            err=True,
        )
    typer.echo(event.path)


def _figures(metrics: dict[str, Any], run: Run) -> list[str]:
    """Return lines of figures with their 95 % intervals."""
    labels, rule = run.labels, run.label_rule
    by = (
        f'{metrics["patients"]:,} patients'
        if metrics['patients'] < metrics['images']
        else 'by image: where a patient has several, the intervals are too narrow'
    )
    lines = [
        f'{metrics["images"]:,} images with a label ({by}): '
        + _with_intervals(
            metrics, {'accuracy': 'accuracy', 'macro_auc': 'macro AUC'}, bool(metrics['few'])
        )
    ]
    words = {'auc': 'AUC', 'sensitivity': 'sensitivity', 'specificity': 'specificity'}
    lines += [
        f'  {label} ({found["images"]:,}'
        + (f'; threshold {rule.threshold(label):.3g}): ' if run.several else '): ')
        + _with_intervals(found, words, _is_of_few(label, metrics))
        for label, found in metrics['classes'].items()
    ]
    if 'cannot_say' in metrics:
        lines += _without_the_undecided(metrics, words)
    lines += [
        f'  {label} called by the decision: {_with_intervals(found["called"], words)}'
        for label, found in metrics['classes'].items()
        if 'called' in found
    ]
    if 'confusion' in metrics:
        lines.append('  confusion (rows are the truth, columns the most probable class):')
        wide = max(map(len, labels))
        columns = [max(6, len(label)) for label in labels]
        table = [labels, *([f'{n:,}' for n in row] for row in metrics['confusion'])]
        lines += [
            f'    {label:{wide}}'
            + ''.join(f'  {entry:>{room}}' for entry, room in zip(row, columns, strict=True))
            for label, row in zip(('', *labels), table, strict=True)
        ]
    if metrics['few']:
        named = ', '.join(f'{label} {n}' for label, n in metrics['few'].items())
        things = 'patients' if metrics['patients'] < metrics['images'] else 'images'
        lines.append(
            f'  Few {things}: {named}. With fewer than 10 an area has no interval, and little can '
            'be judged by it.'
        )
    return lines


def _without_the_undecided(metrics: dict[str, Any], words: dict[str, str]) -> list[str]:
    """Return lines on the images for which the model gives no answer, and on the others."""
    found = metrics['cannot_say']
    share = _with_intervals({'share': found['share']}, {'share': 'a share of'})
    lines = [f'  Cannot say: {found["images"]:,} of {metrics["images"]:,} images, {share}']
    decided = found['decided']
    if not decided:
        return [*lines, '  The others have all the same labels, so they are not measured apart.']
    overall = {'accuracy': 'accuracy', 'macro_auc': 'macro AUC'}
    lines.append(
        f'  Without them ({decided["images"]:,}): '
        + _with_intervals(decided, overall, bool(decided['few']))
    )
    return lines + [
        f'    {label} ({of["images"]:,}): {_with_intervals(of, words, _is_of_few(label, decided))}'
        for label, of in decided['classes'].items()
    ]


def _is_of_few(label: str, metrics: dict[str, Any]) -> bool:
    """Tell whether few have a class, or have it not."""
    few, others = metrics['few'], metrics['classes'].keys() - {label}
    if 'confusion' in metrics and others <= few.keys():
        return True
    return label in few or f'no {label}' in few


def _with_intervals(found: dict[str, Any], words: dict[str, str], few: bool = False) -> str:
    """Return figures in words; where one has no interval, why."""
    why = 'too few' if few else 'the same in every resample'
    return ', '.join(
        f'{word} {value:.3f} '
        + (f'[{low:.3f}, {high:.3f}]' if low is not None else f'(no interval: {why})')
        for name, word in words.items()
        if name in found
        for value, low, high in [found[name]]
        if value is not None
    )
