"""What a scoring run says to people: how far it is, and what came out. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_cxr.plugin.run_words import duration
from napari_cxr.plugin.score_problems import listed
from napari_cxr.scoring import Finished, Progress

__all__ = ['counted', 'finished', 'overall', 'pace', 'reopened', 'stopped', 'strange']

_OVERALL = {'macro_auc': 'Macro AUC', 'accuracy': 'Accuracy'}


def pace(progress: Progress) -> str:
    """Return how far it is: '1,234 of 20,000 · 14.2 images/s · 22 min left'."""
    words = [f'{progress.done:,} of {progress.total:,}']
    rate = progress.images_per_second
    if rate > 0:
        words.append(f'{rate:,.0f} images/s' if rate >= 100 else f'{rate:.1f} images/s')
    if progress.seconds_left >= 0 and progress.done < progress.total:  # it may be NaN
        words.append(f'{duration(progress.seconds_left)} left')
    return ' · '.join(words)


def finished(event: Finished) -> str:
    """Return what came out, and what to do next."""
    scored = event.total - event.failed
    if not scored:
        words = f'None of the {event.total:,} files could be scored: the table says why.'
    elif event.failed:
        verb = 'was' if scored == 1 else 'were'
        words = f'{scored:,} of {event.total:,} files {verb} scored; the table says why '
        words += 'the other one was not.' if event.failed == 1 else 'the others were not.'
    else:
        words = 'The file was scored.' if scored == 1 else f'All {scored:,} files were scored.'
    words += f' They are in {Path(event.path).name}.' if scored > 1 else ''
    return f'{words} Double-click a row to see its radiograph and heatmap.' if scored else words


def stopped(done: int, total: int, out: str) -> str:
    """Return what is left of a run that was stopped, and how to go on."""
    if not done:
        return 'Stopped before the first file was scored.'
    of = f' of {total:,}' if total else ''
    rows = 'row is' if done == 1 else 'rows are'
    return f'Stopped: {done:,}{of} {rows} in {Path(out).name}. Resume goes on with the others.'


def reopened(table: str, done: int, total: int) -> str:
    """Return what was read back."""
    name = Path(table).name
    rows = f'{done:,} row' if done == 1 else f'{done:,} rows'
    if total > done:
        return f'{name}: {rows} of {total:,} are done. Resume goes on with the others.'
    return f'{name}: {rows}.'


def overall(metrics: dict[str, Any]) -> str:
    """Return the figures of all classes together, one a line, with their 95 % intervals."""
    parts = [
        f'{word} {_with_interval(metrics[name])}'
        for name, word in _OVERALL.items()
        if name in metrics and metrics[name][0] is not None
    ]
    return '\n'.join(parts)


def counted(metrics: dict[str, Any], yours: bool, so_far: bool) -> str:
    """Return how many images the figures are of, and what that is worth."""
    images, patients = metrics['images'], metrics['patients']
    whose = 'that you labelled' if yours else 'with a label'
    words = f'{images:,} images {whose}{", so far" if so_far else ""}'
    if patients < images:
        return f'{words}, of {patients:,} patients.'
    return f'{words}, counted by image: where a patient has several, the intervals are too narrow.'


def strange(unknown: Sequence[str]) -> str:
    """Return which labels could not be measured; empty if all could."""
    if not unknown:
        return ''
    return f'Not measured, because the model has no such class: {listed(unknown)}.'


def _with_interval(figure: Sequence[float | None]) -> str:
    value, low, high = figure
    words = f'{value:.3f}'
    return words if low is None or high is None else f'{words} ({low:.3f}–{high:.3f})'
