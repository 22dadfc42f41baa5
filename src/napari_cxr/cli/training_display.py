"""What ``train`` and ``sweep`` print: a progress bar or lines, epochs, warnings and results."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from napari_cxr.cli.progress_display import SECONDS_BETWEEN_LINES, DelayedInterrupt, time_text
from napari_cxr.cli.terminal_output import echo_path, print_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from napari_cxr.training.training_events import EpochDone, TrainingEvent, TrainingStarted

__all__ = ['TrainingDisplay']

_METRICS = {'macro_auc': 'macro AUC', 'accuracy': 'accuracy'}
_MEASURED_ON = {'test': 'Test images', 'val': 'Validation images (there is no test split)'}


class TrainingDisplay:
    """Shows the events of a run, or of several; prints the path of each model to stdout.

    Parameters
    ----------
    quiet : bool
        Whether to print nothing but warnings, images left out, and paths.
    verbose : bool
        Whether to print a line for every step, too.

    Attributes
    ----------
    started : bool
        Whether a training has started.
    failed : bool
        Whether one of several runs has failed.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.started = self.failed = False
        self._quiet, self._verbose = quiet, verbose
        self._printed_path = ''
        self._last_line = 0.0
        self._console: Console
        self._progress: Progress
        self._bar: Any = None

    def show(self, events: Iterator[TrainingEvent]) -> None:
        """Show events until they end; a Ctrl-C comes through between two of them.

        Under torchrun only the first process prints.
        """
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        if os.environ.get('RANK', '0') != '0':
            for _ in events:
                pass
            return
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[rate]}'),
        )
        hidden = self._quiet or not self._console.is_terminal
        self._last_line = time.monotonic()
        with (
            DelayedInterrupt() as interrupts,
            Progress(*columns, console=self._console, transient=True, disable=hidden) as progress,
        ):
            self._progress = progress
            self._bar = progress.add_task('Reading', total=None, rate='')
            for event in events:
                self.show_event(event)
                interrupts.raise_if_pending()

    def show_event(self, event: TrainingEvent) -> None:
        """Show one event."""
        from napari_cxr.training import training_events as kinds

        match event:
            case kinds.ReadingProgress(done=done, total=total):
                self._update_bar('Reading', done, total)
            case kinds.ImageSkipped(path=path, reason=reason):
                self._print_line(f'left out: {path}: {reason}', always=True)
            case kinds.WarningRaised(text=text):
                self._print_line(text, always=True)
            case kinds.TrainingStarted():
                self.started = True
                self._show_start(event)
            case kinds.BatchDone(epoch=epoch, batch=batch, batches=batches):
                rate = f'{event.images_per_second:.0f} images/s'
                if event.seconds_left >= 0:  # not NaN
                    rate += f'  {time_text(event.seconds_left)} left'
                self._update_bar(f'Epoch {epoch}', batch, batches, rate)
                if self._verbose:
                    step = f'epoch {epoch}, batch {batch} of {batches}: loss {event.loss:.4f}'
                    self._print_line(f'{step}  {rate}')
            case kinds.EpochDone():
                self._print_line(_epoch_line(event))
            case kinds.TrainingFinished(path=path, metrics=metrics):
                if 'folds' in metrics and '/' not in event.run:  # of all folds together
                    self._show_folds(metrics, path)
                elif 'folds' not in metrics:
                    for line in result_lines(metrics):
                        self._print_line(line)
                if path and path != self._printed_path:
                    self._print_path(path)
            case kinds.RunsDone(done=done, total=total, row=row):
                self._show_run_done(done, total, row)

    def _show_start(self, event: TrainingStarted) -> None:
        self._print_line(
            f'{event.run}: {event.network}, {event.parameters:,} parameters, '
            f'{event.trainable:,} trainable; on {event.device} in {event.precision}'
        )
        for split, by_class in event.counts.items():
            shown = ', '.join(f'{name} {count}' for name, count in by_class.items())
            self._print_line(f'{split}: {shown}')
        epochs = '1 epoch is' if event.epoch == 1 else f'{event.epoch} epochs are'
        resumed = f'; {epochs} done already' if event.epoch else ''
        self._print_line(f'split {event.split_kind}{resumed}')
        self._update_bar('Training', 0, None)

    def _show_run_done(self, done: int, total: int, row: dict[str, Any]) -> None:
        name, status = row.get('run', ''), row.get('status', '')
        self.failed = self.failed or status == 'failed'
        reason = f' {row["reason"]}' if row.get('reason') else ''
        self._print_line(f'{done} of {total or "?"}: {name} {status}.{reason}', always=self.failed)

    def _show_folds(self, metrics: dict[str, Any], path: str) -> None:
        found = metrics['model']['all']
        shown = ', '.join(
            f'{title} {value:.3f} [{low:.3f}, {high:.3f}]'
            for title, name in (('accuracy', 'accuracy'), ('macro AUC', 'macro_auc'))
            for value, low, high in [found[name]]
            if None not in (value, low, high)
        )
        which = 'Mean over' if metrics.get('averaged') else 'All'
        result = (
            f'the result is {path}, which was trained on all images'
            if path
            else "none of the folds' models is the result; choosing the best of them would look "
            'better than it is'
        )
        self._print_line(
            f'{which} {metrics["folds"]} folds, {found["images"]} images: {shown}. These metrics '
            f'are of the recipe: {result}. See summary.csv.'
        )

    def _update_bar(self, what: str, done: int, total: int | None, rate: str = '') -> None:
        self._progress.update(self._bar, description=what, completed=done, total=total, rate=rate)
        if self._console.is_terminal or self._verbose or not total:
            return
        now = time.monotonic()
        if now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._print_line(f'{what}: {done:,} of {total:,}  {rate}'.rstrip())

    def _print_line(self, text: str, *, always: bool = False) -> None:
        if always or not self._quiet:
            print_line(self._console, text)

    def _print_path(self, path: str) -> None:
        # Not through rich, which would wrap it; and never in the middle of a bar.
        self._printed_path = path
        self._progress.stop()
        echo_path(path)
        sys.stdout.flush()
        self._progress.start()


def result_lines(metrics: dict[str, Any]) -> list[str]:
    """Return the metrics of a trained model, each beside those of the baselines.

    Parameters
    ----------
    metrics : dict
        As on the model's card.
    """
    found = (metrics.get('model') or {}).get('all') or {}
    if not found:
        return []
    where = _MEASURED_ON.get(str(metrics.get('measured_on')), str(metrics.get('measured_on')))
    lines = [f'{where}, {found.get("images", "?")}, with 95 % intervals:']
    for key, title in _METRICS.items():
        if (text := _interval_text(found.get(key))) is None:
            continue
        others = [
            f'{name} {value}'
            for name, baseline in (metrics.get('baselines') or {}).items()
            if (value := _interval_text((baseline.get('all') or {}).get(key))) is not None
        ]
        beside = f'; baselines without anatomy: {", ".join(others)}' if others else ''
        lines.append(f'  {title} {text}{beside}')
    return lines if len(lines) > 1 else []


def _interval_text(interval: Any) -> str | None:
    if not isinstance(interval, list | tuple) or not interval or interval[0] is None:
        return None
    if len(interval) == 3 and None not in interval:
        return f'{interval[0]:.3f} [{interval[1]:.3f}, {interval[2]:.3f}]'
    return f'{interval[0]:.3f}'


def _epoch_line(event: EpochDone) -> str:
    metrics = (
        f'loss {event.train_loss:.3f} / {event.val_loss:.3f}',
        f'accuracy {event.train_accuracy:.3f} / {event.val_accuracy:.3f}',
        f'macro AUC {event.train_macro_auc:.3f} / {event.val_macro_auc:.3f}',
        f'{event.seconds:.0f} s',
    )
    kept = '  kept' if event.best else ''
    return f'{event.epoch:3}/{event.epochs}  {"  ".join(metrics)}{kept}'
