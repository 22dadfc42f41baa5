"""What ``score`` prints while it runs and at its end; and how Ctrl-C stops a command.

A Ctrl-C comes through between two steps of a run, where its state is consistent and can be saved.
"""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from napari_cxr.cli.terminal_output import echo, echo_path, print_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cxr.scoring import ScoringEvent, ScoringFinished, ScoringProgress
    from napari_cxr.scoring.score_row import ScoringRun

__all__ = ['SECONDS_BETWEEN_LINES', 'DelayedInterrupt', 'ScoringDisplay', 'time_text']


class DelayedInterrupt:
    """Delays a Ctrl-C until `raise_if_pending`; a second one comes through at once.

    Within a step of a run, weights and optimiser are inconsistent, so that only a state written
    minutes ago could be kept.

    Parameters
    ----------
    *others : int
        Signals to treat like a Ctrl-C.
    """

    def __init__(self, *others: int) -> None:
        self._pending = False
        self._before: dict[int, Any] = {}
        ours = threading.current_thread() is threading.main_thread()
        self._signals = (
            (signal.SIGINT, *others) if ours else ()
        )  # other threads cannot set handlers

    def __enter__(self) -> DelayedInterrupt:
        for one in self._signals:
            self._before[one] = signal.signal(one, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def raise_if_pending(self) -> None:
        """Raise `KeyboardInterrupt` if there was a Ctrl-C."""
        if self._pending:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._pending:
            raise KeyboardInterrupt
        self._pending = True
        with suppress(RuntimeError):  # in the middle of another line, which cannot be re-entered
            echo('Stopping after this step; press Ctrl-C again to stop at once.', err=True)


def time_text(seconds: float) -> str:
    """Return a duration as 3:05 or 1:03:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'


#: Seconds between two lines of progress where there is no terminal for a bar.
SECONDS_BETWEEN_LINES = 60.0

#: Longest command that is repeated in full, in characters.
_LONGEST_COMMAND = 1000


class ScoringDisplay:
    """Shows a scoring run: a bar with speed and failures, then the result.

    Parameters
    ----------
    command : list of str
        The arguments of the command line, to show how to resume.
    quiet : bool
        Whether to print nothing but warnings, files that failed, and the result.
    verbose : bool
        Whether to print a line for every file.

    Attributes
    ----------
    started : bool
        Whether the scoring has started.
    failed, failed_before : int
        Number of files that could not be scored; and of those among them that have their row
        from before, in a run that is resumed.
    """

    def __init__(self, command: list[str], *, quiet: bool = False, verbose: bool = False) -> None:
        self._command, self._quiet, self._verbose = command, quiet, verbose
        self.started = False
        self.failed = self.failed_before = 0

    def show(self, events: Iterator[ScoringEvent]) -> None:
        """Show events until they end; a Ctrl-C comes through between two of them."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from napari_cxr import scoring

        console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (
            TextColumn('Scoring'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[rate]}'),
        )
        hidden = self._quiet or not console.is_terminal
        finished, run, last_line = None, None, time.monotonic()
        with (
            # Batch systems send SIGTERM at the end of the allotted time.
            DelayedInterrupt(signal.SIGTERM) as interrupts,
            Progress(*columns, console=console, transient=True, disable=hidden) as progress,
        ):
            bar = progress.add_task('', total=None, rate='')
            for event in events:
                match event:
                    case scoring.ScoringPreparing(text=text):
                        progress.update(bar, rate=text)
                    case scoring.ScoringStarted():
                        self.started, self.failed = True, event.failed
                        self.failed_before = event.failed
                        run = event.run
                        resumed = f', {event.done:,} of them done already' if event.done else ''
                        backend = '' if event.backend == 'torch' else f', with {event.backend}'
                        if not self._quiet:
                            print_line(
                                console,
                                f'{event.total:,} file{"s" * (event.total != 1)}{resumed}; '
                                f'{event.run.model} on {event.device}{backend}',
                            )
                        progress.update(bar, completed=event.done, total=event.total, rate='')
                    case scoring.RowScored(row=row):
                        if row.status == 'error':
                            print_line(console, f'{row.path}: {row.error}')
                        elif self._verbose:
                            print_line(console, f'{row.path}: {row.answer or row.label}')
                    case scoring.ScoringWarned(text=text):
                        print_line(console, text)
                    case scoring.ScoringProgress():
                        self.failed = event.failed
                        progress.update(bar, completed=event.done, rate=_rate_text(event))
                        if (
                            not (console.is_terminal or self._quiet)
                            and time.monotonic() - last_line > SECONDS_BETWEEN_LINES
                        ):
                            last_line = time.monotonic()
                            done = f'{event.done:,} of {event.total:,}'
                            print_line(console, f'{done}  {_rate_text(event)}')
                    case scoring.ScoringFinished():
                        self.failed, finished = event.failed, event
                interrupts.raise_if_pending()
        if finished is not None and run is not None:
            _print_summary(finished, run)

    def stopped(self, out: Path, write: Callable[[], int]) -> None:
        """Save the rows so far after a Ctrl-C, and say how to resume."""
        from napari_cxr.scoring import ScoringError

        try:
            done = write()
        except ScoringError as error:
            echo(f'Stopped. {error}', err=True)
            return
        there = f'{out} holds the {done:,} row{"s" * (done != 1)} so far.'
        there = there if done else 'No row is done yet.'
        echo(f'Stopped. {there} Resume with{self._resume_command()}', err=True)

    def _resume_command(self) -> str:
        words = [word for word in self._command if word != '--resume']
        paths = words.index('--') if '--' in words else len(words)  # all that follows is paths
        command = shlex.join(['napari-cxr', *words[:paths], '--resume', *words[paths:]])
        return (
            f': {command}'
            if len(command) <= _LONGEST_COMMAND
            else ' the same command and --resume.'
        )


#: Metrics of all classes together, and what they are called.
_OVERALL = {'accuracy': 'accuracy', 'macro_auc': 'macro AUC'}


def _rate_text(event: ScoringProgress) -> str:
    words = [f'{event.images_per_second:.1f} images/s']
    if event.seconds_left >= 0:  # not NaN
        words.append(f'{time_text(event.seconds_left)} left')
    if event.failed:
        words.append(f'{event.failed:,} failed')
    return '  '.join(words)


def _print_summary(event: ScoringFinished, run: ScoringRun) -> None:
    """Print the metrics, if there are any, and last the path of the table."""
    scored = event.total - event.failed
    were = 'file was' if event.total == 1 else 'files were'
    echo(f'{scored:,} of {event.total:,} {were} scored.', err=True)
    if event.unknown:
        named = ', '.join(repr(label) for label in event.unknown[:8])
        images = f'{event.unmeasured:,} image{"s" * (event.unmeasured != 1)}'
        echo(f'Not measured: {images}, because the model has no such label: {named}.', err=True)
    if event.doubtful:
        images = f'{event.doubtful:,} doubtful image{"s" * (event.doubtful != 1)}'
        echo(
            f'Measured as well: {images} (column doubts).'
            if event.doubtful_included
            else f'Not measured: {images} (column doubts); --include-doubtful counts them.',
            err=True,
        )
    if event.metrics:
        for line in _metric_lines(event.metrics, run):
            echo(line)
        echo(f'All metrics, as JSON: {event.metrics_file}', err=True)
    elif run.truth:
        rule = run.label_rule
        names = [*run.labels, *([rule.negative] if rule.multilabel and rule.negative else [])]
        listed = ', '.join(repr(name) for name in names[:8])
        echo(
            'Not measured: this needs labelled images of at least two classes, with the labels '
            f'of the model: {listed}.',
            err=True,
        )
    echo_path(event.path)


def _metric_lines(metrics: dict[str, Any], run: ScoringRun) -> list[str]:
    """Return the metrics with their 95 % intervals, one line each."""
    labels, rule = run.labels, run.label_rule
    by = (
        f'{metrics["patients"]:,} patients'
        if metrics['patients'] < metrics['images']
        else 'by image: where a patient has several, the intervals are too narrow'
    )
    lines = [
        f'{metrics["images"]:,} images with a label ({by}): '
        + _metrics_with_intervals(metrics, _OVERALL, bool(metrics['few']))
    ]
    words = {'auc': 'AUC', 'sensitivity': 'sensitivity', 'specificity': 'specificity'}
    lines += [
        f'  {label} ({found["images"]:,}'
        + (f'; threshold {rule.threshold(label):.3g}): ' if run.multilabel else '): ')
        + _metrics_with_intervals(found, words, _is_rare_class(label, metrics))
        for label, found in metrics['classes'].items()
    ]
    if 'cannot_say' in metrics:
        lines += _abstention_lines(metrics, words, rule.undecided_answer)
    lines += [
        f'  {label} by the decision: {_metrics_with_intervals(found["called"], words)}'
        for label, found in metrics['classes'].items()
        if 'called' in found
    ]
    lines += _part_lines(metrics, words)
    if 'confusion' in metrics:
        lines.append('  confusion (rows: true label, columns: predicted label):')
        wide = max(map(len, labels))
        columns = [max(6, len(label)) for label in labels]
        table = [labels, *([f'{n:,}' for n in row] for row in metrics['confusion'])]
        lines += [
            f'    {label:{wide}}'
            + ''.join(f'  {entry:>{width}}' for entry, width in zip(row, columns, strict=True))
            for label, row in zip(('', *labels), table, strict=True)
        ]
    if metrics['few']:
        named = ', '.join(f'{label} {n}' for label, n in metrics['few'].items())
        things = 'patients' if metrics['patients'] < metrics['images'] else 'images'
        lines.append(
            f'  Few {things}: {named}. With fewer than 5 an AUC has no interval, and says little.'
        )
    return lines


def _part_lines(metrics: dict[str, Any], words: dict[str, str]) -> list[str]:
    """Return lines on the images that the model has not seen in its training, and on sources."""
    lines = []
    if unseen := metrics.get('unseen'):
        lines += _unseen_lines(unseen)
        lines += [
            f'    {label} ({found["images"]:,}): '
            + _metrics_with_intervals(found, words, _is_rare_class(label, unseen['metrics']))
            for label, found in unseen['metrics'].get('classes', {}).items()
        ]
    for name, part in metrics.get('sources', {}).items():
        found = part['metrics']
        lines.append(
            f'  {name} ({part["images"]:,}): '
            + (
                _metrics_with_intervals(found, _OVERALL, bool(found['few']))
                if found
                else 'all have the same label'
            )
        )
        if 'unseen' in part:
            lines += [f'  {line}' for line in _unseen_lines(part['unseen'])]
    return lines


def _unseen_lines(unseen: dict[str, Any]) -> list[str]:
    """Return a line on the images that are left without those the model has seen."""
    found = unseen['metrics']
    if found:
        told = _metrics_with_intervals(found, _OVERALL, bool(found['few']))
    elif unseen['images']:
        told = 'all have the same label'
    else:
        told = 'nothing is left to judge it by'
    trained_on, validation = unseen['trained_on'], unseen['validation']
    without = f'{trained_on:,} training images'
    without += f' and {validation:,} validation images' if validation else ''
    return [f'  Without the model’s own {without} ({unseen["images"]:,}): {told}']


def _abstention_lines(metrics: dict[str, Any], words: dict[str, str], answer: str) -> list[str]:
    """Return lines on the images for which the answer is no label, and on the others."""
    found = metrics['cannot_say']
    share = _metrics_with_intervals({'share': found['share']}, {'share': 'a share of'})
    lines = [
        f'  {answer.capitalize()}: {found["images"]:,} of {metrics["images"]:,} images, {share}'
    ]
    decided = found['decided']
    if not decided:
        return [
            *lines,
            '  The others all have the same label, so there are no metrics without them.',
        ]
    lines.append(
        f'  Without them ({decided["images"]:,}): '
        + _metrics_with_intervals(decided, _OVERALL, bool(decided['few']))
    )
    return lines + [
        f'    {label} ({of["images"]:,}): '
        + _metrics_with_intervals(of, words, _is_rare_class(label, decided))
        for label, of in decided['classes'].items()
    ]


def _is_rare_class(label: str, metrics: dict[str, Any]) -> bool:
    """Return whether few images have a class, or few do not have it."""
    few, others = metrics['few'], metrics['classes'].keys() - {label}
    if 'confusion' in metrics and others <= few.keys():
        return True
    return label in few or f'no {label}' in few


def _metrics_with_intervals(
    found: dict[str, Any], words: dict[str, str], few: bool = False
) -> str:
    """Return metrics with their intervals, or why there is no interval."""
    why = 'too few' if few else 'the same in every resample'
    return ', '.join(
        f'{word} {value:.3f} '
        + (f'[{low:.3f}, {high:.3f}]' if low is not None else f'(no interval: {why})')
        for name, word in words.items()
        if name in found
        for value, low, high in [found[name]]
        if value is not None
    )
