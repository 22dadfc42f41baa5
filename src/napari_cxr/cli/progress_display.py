"""What running commands draw on the terminal: bars, lines and results; and how Ctrl-C stops them.

A Ctrl-C comes through between two steps of a run, where its state is whole and can be kept.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress

    from napari_cxr.scoring import ScoringEvent, ScoringFinished, ScoringProgress
    from napari_cxr.scoring.score_row import ScoringRun
    from napari_cxr.training.training_events import EpochDone, TrainingEvent, TrainingStarted

__all__ = ['DelayedInterrupt', 'ScoringDisplay', 'show_training', 'time_text']


class DelayedInterrupt:
    """Holds a Ctrl-C back until it is asked for; a second one comes through at once.

    Within a step of a run, weights and optimiser do not fit together, so that only what was
    written minutes ago could be kept.

    Parameters
    ----------
    *others : int
        Signals that count as a Ctrl-C, besides its own.
    """

    def __init__(self, *others: int) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}
        ours = threading.current_thread() is threading.main_thread()
        self._signals = (signal.SIGINT, *others) if ours else ()  # others cannot have a handler

    def __enter__(self) -> DelayedInterrupt:
        for one in self._signals:
            self._before[one] = signal.signal(one, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def look(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        if self._asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        with suppress(RuntimeError):  # in the middle of another line, where Python lets nobody in
            typer.echo('Stopping after this step; Ctrl-C once more stops at once.', err=True)


def show_training(events: Iterator[TrainingEvent]) -> bool:
    """Draw the events of a run, or of several; print where each checkpoint is.

    Under torchrun only the first process draws.

    Returns
    -------
    bool
        Whether a run of several failed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    if os.environ.get('RANK', '0') != '0':
        for _ in events:
            pass
        return False
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('{task.fields[pace]}'),
    )
    with (
        DelayedInterrupt() as interrupts,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        drawing = _TrainingDisplay(console, progress)
        for event in events:
            drawing.take(event)
            interrupts.look()
    return drawing.failed


class _TrainingDisplay:
    """What is drawn, one event after another."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self.console, self.progress = console, progress
        self.bar = progress.add_task('Reading', total=None, pace='')
        self.failed = False
        self.told = ''

    def take(self, event: TrainingEvent) -> None:
        """Draw one event."""
        from napari_cxr.training import training_events as kinds

        match event:
            case kinds.ReadingProgress(done=done, total=total):
                self._move('Reading', done, total)
            case kinds.ImageSkipped(path=path, reason=reason):
                self._say(f'left out: {path}: {reason}')
            case kinds.WarningRaised(text=text):
                self._say(text)
            case kinds.TrainingStarted():
                self._start(event)
            case kinds.BatchDone(epoch=epoch, batch=batch, batches=batches):
                pace = f'{event.images_per_second:.0f} images/s'
                if event.seconds_left >= 0:  # not NaN
                    pace += f'  {time_text(event.seconds_left)} left'
                self._move(f'Epoch {epoch}', batch, batches, pace)
            case kinds.EpochDone():
                self._say(_epoch_line(event))
            case kinds.TrainingFinished(path=path, metrics=metrics):
                if 'folds' in metrics and '/' not in event.run:  # of all folds together
                    self._sum_up(metrics, path)
                if path and path != self.told:
                    self._print(path)
            case kinds.RunsDone(done=done, total=total, row=row):
                self._end(done, total, row)

    def _start(self, event: TrainingStarted) -> None:
        self._say(
            f'{event.run}: {event.network}, {event.parameters:,} parameters, of which '
            f'{event.trainable:,} learn; on {event.device} in {event.precision}'
        )
        for split, by_class in event.counts.items():
            shown = ', '.join(f'{name} {count}' for name, count in by_class.items())
            self._say(f'{split}: {shown}')
        resumed = f'; {event.epoch} epochs are done already' if event.epoch else ''
        self._say(f'split {event.split_kind}{resumed}')
        self._move('Training', 0, None)

    def _end(self, done: int, total: int, row: dict[str, Any]) -> None:
        name, status = row.get('run', ''), row.get('status', '')
        self.failed = self.failed or status == 'failed'
        reason = f' {row["reason"]}' if row.get('reason') else ''
        self._say(f'{done} of {total or "?"}: {name} {status}.{reason}')

    def _sum_up(self, metrics: dict[str, Any], path: str) -> None:
        found = metrics['model']['all']
        shown = ', '.join(
            f'{words} {value:.3f} [{low:.3f}, {high:.3f}]'
            for words, name in (('accuracy', 'accuracy'), ('macro AUC', 'macro_auc'))
            for value, low, high in [found[name]]
            if None not in (value, low, high)
        )
        which = 'Mean over' if metrics.get('averaged') else 'All'
        result = (
            f'the result is {path}, which learnt from all images'
            if path
            else "none of the folds' models is the result, and the best of them would look "
            'better than it is'
        )
        self._say(
            f'{which} {metrics["folds"]} folds, {found["images"]} images: {shown}. These figures '
            f'are of the recipe: {result}. See summary.csv.'
        )

    def _move(self, what: str, done: int, total: int | None, pace: str = '') -> None:
        self.progress.update(self.bar, description=what, completed=done, total=total, pace=pace)

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def _print(self, path: str) -> None:
        # Not through rich, which would wrap it; and never between two halves of a bar.
        self.told = path
        self.progress.stop()
        typer.echo(path)
        sys.stdout.flush()
        self.progress.start()


def _epoch_line(event: EpochDone) -> str:
    figures = (
        f'loss {event.train_loss:.3f} / {event.val_loss:.3f}',
        f'accuracy {event.train_accuracy:.3f} / {event.val_accuracy:.3f}',
        f'macro AUC {event.train_macro_auc:.3f} / {event.val_macro_auc:.3f}',
        f'{event.seconds:.0f} s',
    )
    kept = '  kept' if event.best else ''
    return f'{event.epoch:3}/{event.epochs}  {"  ".join(figures)}{kept}'


def time_text(seconds: float) -> str:
    """Return a time as people read it: 3:05, 1:03:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'


#: Seconds between two lines that say how far it is, where no bar can be drawn.
_SECONDS_BETWEEN_LINES = 60.0

#: Characters of a command that is repeated in full.
_LONGEST_COMMAND = 1000


class ScoringDisplay:
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

    def show(self, events: Iterator[ScoringEvent]) -> None:
        """Draw events until they end; a Ctrl-C comes through between two of them."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from napari_cxr import scoring

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
            DelayedInterrupt(signal.SIGTERM) as interrupts,
            Progress(
                *columns, console=console, transient=True, disable=not console.is_terminal
            ) as progress,
        ):
            bar = progress.add_task('', total=None, pace='')
            for event in events:
                match event:
                    case scoring.ScoringPreparing(text=text):
                        progress.update(bar, pace=text)
                    case scoring.ScoringStarted():
                        self.begun, self.failed = True, event.failed
                        run = event.run
                        resumed = f', {event.done:,} of them done already' if event.done else ''
                        backend = '' if event.backend == 'torch' else f', by {event.backend}'
                        console.print(
                            f'{event.total:,} file{"s" * (event.total != 1)}{resumed}; '
                            f'{event.run.model} on {event.device}{backend}',
                            markup=False,
                        )
                        progress.update(bar, completed=event.done, total=event.total, pace='')
                    case scoring.RowScored(row=row):
                        if row.status == 'error':
                            console.print(f'{row.path}: {row.error}', markup=False)
                    case scoring.ScoringWarned(text=text):
                        console.print(text, markup=False)
                    case scoring.ScoringProgress():
                        self.failed = event.failed
                        progress.update(bar, completed=event.done, pace=_rate_text(event))
                        if (
                            not console.is_terminal
                            and time.monotonic() - told > _SECONDS_BETWEEN_LINES
                        ):
                            told = time.monotonic()
                            done = f'{event.done:,} of {event.total:,}'
                            console.print(f'{done}  {_rate_text(event)}', markup=False)
                    case scoring.ScoringFinished():
                        self.failed, finished = event.failed, event
                interrupts.look()
        if finished is not None and run is not None:
            _print_summary(finished, run)

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
        return (
            f': {again}' if len(again) <= _LONGEST_COMMAND else ' the same command and --resume.'
        )


def _rate_text(event: ScoringProgress) -> str:
    words = [f'{event.images_per_second:.1f} images/s']
    if event.seconds_left >= 0:  # not NaN
        words.append(f'{time_text(event.seconds_left)} left')
    if event.failed:
        words.append(f'{event.failed:,} failed')
    return '  '.join(words)


def _print_summary(event: ScoringFinished, run: ScoringRun) -> None:
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
        for line in _metric_lines(event.metrics, run):
            typer.echo(line)
    elif run.truth:
        rule = run.label_rule
        names = [*run.labels, *([rule.negative] if rule.multilabel and rule.negative else [])]
        listed = ', '.join(repr(name) for name in names[:8])
        typer.echo(
            'Not measured: labelled images of two classes are needed, called as the model calls '
            f'them: {listed}.',
            err=True,
        )
    typer.echo(event.path)


def _metric_lines(metrics: dict[str, Any], run: ScoringRun) -> list[str]:
    """Return lines of figures with their 95 % intervals."""
    labels, rule = run.labels, run.label_rule
    by = (
        f'{metrics["patients"]:,} patients'
        if metrics['patients'] < metrics['images']
        else 'by image: where a patient has several, the intervals are too narrow'
    )
    lines = [
        f'{metrics["images"]:,} images with a label ({by}): '
        + _metrics_with_intervals(
            metrics, {'accuracy': 'accuracy', 'macro_auc': 'macro AUC'}, bool(metrics['few'])
        )
    ]
    words = {'auc': 'AUC', 'sensitivity': 'sensitivity', 'specificity': 'specificity'}
    lines += [
        f'  {label} ({found["images"]:,}'
        + (f'; threshold {rule.threshold(label):.3g}): ' if run.multilabel else '): ')
        + _metrics_with_intervals(found, words, _is_rare_class(label, metrics))
        for label, found in metrics['classes'].items()
    ]
    if 'cannot_say' in metrics:
        lines += _abstention_lines(metrics, words)
    lines += [
        f'  {label} called by the decision: {_metrics_with_intervals(found["called"], words)}'
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


def _abstention_lines(metrics: dict[str, Any], words: dict[str, str]) -> list[str]:
    """Return lines on the images for which the model gives no answer, and on the others."""
    found = metrics['cannot_say']
    share = _metrics_with_intervals({'share': found['share']}, {'share': 'a share of'})
    lines = [f'  Cannot say: {found["images"]:,} of {metrics["images"]:,} images, {share}']
    decided = found['decided']
    if not decided:
        return [*lines, '  The others have all the same labels, so they are not measured apart.']
    overall = {'accuracy': 'accuracy', 'macro_auc': 'macro AUC'}
    lines.append(
        f'  Without them ({decided["images"]:,}): '
        + _metrics_with_intervals(decided, overall, bool(decided['few']))
    )
    return lines + [
        f'    {label} ({of["images"]:,}): '
        + _metrics_with_intervals(of, words, _is_rare_class(label, decided))
        for label, of in decided['classes'].items()
    ]


def _is_rare_class(label: str, metrics: dict[str, Any]) -> bool:
    """Tell whether few have a class, or have it not."""
    few, others = metrics['few'], metrics['classes'].keys() - {label}
    if 'confusion' in metrics and others <= few.keys():
        return True
    return label in few or f'no {label}' in few


def _metrics_with_intervals(
    found: dict[str, Any], words: dict[str, str], few: bool = False
) -> str:
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
