"""What a scoring run says to people: how far it is, and what came out. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_cxr.plugin.batch.problems import listed
from napari_cxr.plugin.times import duration
from napari_cxr.scoring import Finished, Progress

__all__ = [
    'counted',
    'finished',
    'overall',
    'pace',
    'read_in_part',
    'reopened',
    'rows',
    'saved',
    'stopped',
    'strange',
]

_OF_DECIDED = ('sensitivity', 'specificity')
_OVERALL = {'macro_auc': 'Macro AUC', 'accuracy': 'Accuracy'}


def pace(progress: Progress) -> str:
    """Return how far it is: '1,234 of 20,000 · 14.2 images/s'."""
    words = [f'{progress.done:,} of {progress.total:,}']
    rate = progress.images_per_second
    if rate > 0:
        words.append(f'{rate:,.0f} images/s' if rate >= 100 else f'{rate:.1f} images/s')
    if progress.seconds_left >= 0 and progress.done < progress.total:  # it may be NaN
        words.append(f'{duration(progress.seconds_left)} left')
    if progress.failed:
        words.append(f'{progress.failed:,} failed')
    return ' · '.join(words)


def finished(event: Finished) -> str:
    """Return what came out, and what to do next."""
    scored, name = event.total - event.failed, Path(event.path).name
    if not scored:
        files = 'The file' if event.total == 1 else f'None of the {event.total:,} files'
        verb = 'could not be scored' if event.total == 1 else 'could be scored'
        return f'{files} {verb}: {name} says why.'
    if event.failed:
        others = 'the other one was not' if event.failed == 1 else 'the others were not'
        verb = 'was' if scored == 1 else 'were'
        words = f'{scored:,} of {event.total:,} files {verb} scored into {name}, which says why '
        words += f'{others}.'
    elif scored == 1:
        words = f'The file was scored into {name}.'
    else:
        words = f'All {scored:,} files were scored into {name}.'
    return f'{words} Double-click a row to see it with its heatmap.'


def stopped(done: int, total: int, out: str) -> str:
    """Return what is left of a run that was stopped, and how to go on.

    Without a table they are kept beside it, as where the run could not go on.
    """
    if not done:
        return 'Stopped before the first file was scored.'
    of = f' of {total:,}' if total else ''
    verb = 'row is' if done == 1 else 'rows are'
    where = f'in {Path(out).name}' if out else 'kept'
    return f'Stopped: {done:,}{of} {verb} {where}. Resume goes on with the others.'


def reopened(table: str, done: int, total: int) -> str:
    """Return what was read back."""
    name = Path(table).name
    if total > done:
        return f'{name}: {rows(done)} of {total:,} are done. Resume goes on with the others.'
    return f'{name}: {rows(done)}.'


def saved(path: str, done: int, total: int) -> str:
    """Return where a table was saved, and that it is a part of one if it is."""
    if not total:
        return f'Saved to {path}'
    return f'Saved to {path}: a part of the table, the {rows(done)} of {total:,} that are done.'


def rows(count: int) -> str:
    """Return how many rows there are: '1 row', '1,234 rows'."""
    return f'{count:,} row' if count == 1 else f'{count:,} rows'


def read_in_part(table: str, done: int) -> str:
    """Return what is on show of a table that was not read to its end."""
    some = 'only its first row is' if done == 1 else f'only its first {done:,} rows are'
    shown = some if done else 'none of its rows is'
    return f'{Path(table).name}: {shown} on show. Open it again to see all.'


def overall(metrics: dict[str, Any]) -> str:
    """Return the figures of all classes together, one a line, with their 95 % intervals."""
    parts = [
        f'{word} {_with_interval(metrics[name])}'
        for name, word in _OVERALL.items()
        if name in metrics and metrics[name][0] is not None
    ]
    return '\n'.join(parts)


def counted(metrics: dict[str, Any], yours: int, so_far: bool) -> str:
    """Return how many images the figures are of, and what that is worth.

    Parameters
    ----------
    metrics : dict
        As `napari_cxr.scoring.measuring.Measuring.found` gives them.
    yours : int
        Labels among theirs that the person gave.
    so_far : bool
        Whether there are rows to come.
    """
    images, patients = metrics['images'], metrics['patients']
    words = f'{images:,} images with a label'
    words += f', {yours:,} of them by you' if yours else ''
    words += ', so far' if so_far else ''
    if patients < images:
        words += f', of {patients:,} patients.'
    else:
        words += ', counted by image: where a patient has several, the intervals are too narrow.'
    if few := metrics.get('few'):
        things = 'patients' if patients < images else 'images'
        named = ', '.join(f'{label} {count}' for label, count in few.items())
        words += (
            f' Few {things}: {named}. With fewer than 10 an area has no interval, and little can '
            'be judged by it.'
        )
    words += _undecided(metrics)
    words += ' Rows that a filter hides count too; below each figure stands its 95 % interval.'
    if yours:
        words += (
            ' Images that were chosen for reading, such as the most uncertain, say little about '
            'the others.'
        )
    return words


def _undecided(metrics: dict[str, Any]) -> str:
    """Return of how many images the model cannot say, and the figures of the others."""
    found = metrics.get('cannot_say')
    if not found:
        return ''
    images = '1 image' if found['images'] == 1 else f'{found["images"]:,} images'
    share = f'{100 * found["share"][0]:.0f} %'
    words = f' Of {images} ({share}) the model cannot say; they count here by their label.'
    said = [
        f'{label}: ' + ', '.join(f'{name} {of[name][0]:.3f}' for name in names)
        for label, of in found['decided'].get('classes', {}).items()
        if (names := [name for name in _OF_DECIDED if of.get(name, [None])[0] is not None])
    ]
    return words + (f' Without them, {"; ".join(said)}.' if said else '')


def strange(unknown: Sequence[str], unmeasured: int) -> str:
    """Return how many images could not be measured, and their labels; empty if all could."""
    if not unknown:
        return ''
    images = '1 image' if unmeasured == 1 else f'{unmeasured:,} images'
    return f'Not measured: {images}, because the model has no such class: {listed(unknown)}.'


def _with_interval(figure: Sequence[float | None]) -> str:
    value, low, high = figure
    words = f'{value:.3f}'
    if low is None or high is None:
        return words
    return f'{words} (95 %: {low:.3f}–{high:.3f})'
