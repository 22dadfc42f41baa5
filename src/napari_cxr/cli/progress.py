"""A run's events on the terminal: a bar for what goes on, a line for what is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from napari_cxr.cli.interrupting import Interrupts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from napari_cxr.training import EpochDone, Event, Started

__all__ = ['clock', 'show']


def show(events: Iterator[Event]) -> bool:
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
        Interrupts() as interrupts,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        drawing = _Drawing(console, progress)
        for event in events:
            drawing.take(event)
            interrupts.look()
    return drawing.failed


class _Drawing:
    """What is drawn, one event after another."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self.console, self.progress = console, progress
        self.bar = progress.add_task('Reading', total=None, pace='')
        self.failed = False
        self.told = ''

    def take(self, event: Event) -> None:
        """Draw one event."""
        from napari_cxr.training import events as kinds

        match event:
            case kinds.Reading(done=done, total=total):
                self._move('Reading', done, total)
            case kinds.Skipped(path=path, reason=reason):
                self._say(f'left out: {path}: {reason}')
            case kinds.Warned(text=text):
                self._say(text)
            case kinds.Started():
                self._start(event)
            case kinds.BatchDone(epoch=epoch, batch=batch, batches=batches):
                pace = f'{event.images_per_second:.0f} images/s'
                if event.seconds_left >= 0:  # not NaN
                    pace += f'  {clock(event.seconds_left)} left'
                self._move(f'Epoch {epoch}', batch, batches, pace)
            case kinds.EpochDone():
                self._say(_line(event))
            case kinds.Finished(path=path, metrics=metrics):
                if 'folds' in metrics and '/' not in event.run:  # of all folds together
                    self._sum_up(metrics, path)
                if path and path != self.told:
                    self._print(path)
            case kinds.RunsDone(done=done, total=total, row=row):
                self._end(done, total, row)

    def _start(self, event: Started) -> None:
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


def _line(event: EpochDone) -> str:
    figures = (
        f'loss {event.train_loss:.3f} / {event.val_loss:.3f}',
        f'accuracy {event.train_accuracy:.3f} / {event.val_accuracy:.3f}',
        f'macro AUC {event.train_macro_auc:.3f} / {event.val_macro_auc:.3f}',
        f'{event.seconds:.0f} s',
    )
    kept = '  kept' if event.best else ''
    return f'{event.epoch:3}/{event.epochs}  {"  ".join(figures)}{kept}'


def clock(seconds: float) -> str:
    """Return a time as people read it: 3:05, 1:03:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'
