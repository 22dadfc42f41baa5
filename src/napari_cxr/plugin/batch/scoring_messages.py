"""Sentences about scoring: what prevents it, how far it is, and what came out.

Each problem is one sentence that says what to do. No Qt.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_cxr.plugin.batch.input_scan import ImageCount
from napari_cxr.plugin.widgets.text import duration_text
from napari_cxr.scoring import ScoringError, ScoringFinished, ScoringProgress, table_writer
from napari_cxr.scoring.input_summary import InputSummary
from napari_cxr.scoring.journal import journal_of, read_header
from napari_cxr.scoring.scoring_inputs import LABELS_FROM_FOLDERS

__all__ = [
    'expected_rows',
    'finished_message',
    'image_count_text',
    'images_problem',
    'is_unfinished',
    'join_names',
    'labels_problem',
    'measured_text',
    'missing_path_problem',
    'overall_metrics_text',
    'partly_read_message',
    'progress_text',
    'reopened_message',
    'row_count_text',
    'saved_message',
    'stopped_message',
    'table_hint',
    'table_problem',
    'unmeasured_message',
]

#: Names that are told one by one.
_MOST_NAMES = 6


def images_problem(
    paths: Sequence[str], looked: InputSummary | None, counted: ImageCount | None
) -> str:
    """Return what is wrong with what shall be scored; empty if nothing is.

    Only the first path is asked about here; of the others `looked` says.
    """
    if problem := missing_path_problem(paths[:1]) or (looked.error if looked is not None else ''):
        return problem
    if counted is not None and counted.whole and not counted.images:
        return f'There is no image in {Path(counted.folder).name}. Choose another folder.'
    return ''


def image_count_text(counted: ImageCount | None) -> str:
    """Say how many images a folder holds, as far as they are counted."""
    if counted is None or not counted.images:
        return ''
    if counted.whole:
        return '1 image' if counted.images == 1 else f'{counted.images:,} images'
    return f'more than {counted.images:,} images'


def missing_path_problem(paths: Sequence[str]) -> str:
    """Return which of some paths does not exist; with many it takes a while."""
    path = next((path for path in paths if not os.path.exists(path)), '')
    if path:
        return f'There is no {Path(path).name or path}. Choose a folder, or drop one here.'
    return ''


def labels_problem(kind: str, table: str, looked: InputSummary | None) -> str:
    """Return what is wrong with the labels."""
    if kind == 'table':
        if not table.strip():
            return 'Choose a table with the columns path and label.'
        if not os.path.isfile(os.path.expanduser(table.strip())):
            return 'There is no such table. Choose another.'
    elif kind == LABELS_FROM_FOLDERS and looked is not None and not looked.folders:
        return 'There are no sub-folders in it. Choose “None” or a table of labels.'
    return ''


def table_problem(out: str) -> str:
    """Return what is wrong with the table's name."""
    if not out:
        return 'Say where the table shall be written.'
    path = Path(out)
    if path.is_dir():
        return 'This is a folder. Add a name that ends in .csv.'
    if path.exists() and not is_unfinished(out):
        return 'There is such a table already. Choose another name, or open it below.'
    # A folder that is missing is made: what counts is the one that it is made in.
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    try:
        table_writer.check_table_name(folder / path.name)
    except ScoringError as error:
        return str(error)
    return ''


def is_unfinished(out: str) -> bool:
    """Whether a table was begun, and is not finished."""
    return bool(out) and journal_of(Path(out)).exists()


def expected_rows(out: str) -> int:
    """Return how many rows a table that was begun will have; 0 if nothing is known."""
    total = read_header(journal_of(Path(out))).get('total', 0) if is_unfinished(out) else 0
    return total if isinstance(total, int) else 0


def table_hint(out: str, looked: InputSummary | None) -> str:
    """Say that a table was begun, and how far it is, or that its folder is a new one."""
    folder = Path(out).parent
    if not is_unfinished(out):
        return '' if folder.is_dir() else f'A new folder is made for it: {folder}'
    if looked is None or looked.out != out or not looked.total:
        return 'This table was begun earlier: Resume goes on with it.'
    return (
        f'{looked.begun:,} of {looked.total:,} rows of this table are done: Resume goes on '
        'where it stopped.'
    )


def join_names(names: Sequence[str], word: str = 'and') -> str:
    """Return names as a sentence has them: 'a, b and c'."""
    if len(names) > _MOST_NAMES:
        return f'{", ".join(names[:_MOST_NAMES])} {word} {len(names) - _MOST_NAMES} others'
    *first, last = names
    return f'{", ".join(first)} {word} {last}' if first else last


_OF_DECIDED = ('sensitivity', 'specificity')

_OVERALL = {'macro_auc': 'Macro AUC', 'accuracy': 'Accuracy'}


def progress_text(progress: ScoringProgress) -> str:
    """Return how far it is: '1,234 of 20,000 · 14.2 images/s'."""
    words = [f'{progress.done:,} of {progress.total:,}']
    rate = progress.images_per_second
    if rate > 0:
        words.append(f'{rate:,.0f} images/s' if rate >= 100 else f'{rate:.1f} images/s')
    if progress.seconds_left >= 0 and progress.done < progress.total:  # it may be NaN
        words.append(f'{duration_text(progress.seconds_left)} left')
    if progress.failed:
        words.append(f'{progress.failed:,} failed')
    return ' · '.join(words)


def finished_message(event: ScoringFinished) -> str:
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


def stopped_message(done: int, total: int, out: str) -> str:
    """Return what is left of a run that was stopped, and how to go on.

    Without a table they are kept beside it, as where the run could not go on.
    """
    if not done:
        return 'Stopped before the first file was scored.'
    of = f' of {total:,}' if total else ''
    verb = 'row is' if done == 1 else 'rows are'
    where = f'in {Path(out).name}' if out else 'kept'
    return f'Stopped: {done:,}{of} {verb} {where}. Resume goes on with the others.'


def reopened_message(table: str, done: int, total: int) -> str:
    """Return what was read back."""
    name = Path(table).name
    if total > done:
        done_text = f'{row_count_text(done)} of {total:,}'
        return f'{name}: {done_text} are done. Resume goes on with the others.'
    return f'{name}: {row_count_text(done)}.'


def saved_message(path: str, done: int, total: int) -> str:
    """Return where a table was saved, and that it is a part of one if it is."""
    if not total:
        return f'Saved to {path}'
    done_text = f'{row_count_text(done)} of {total:,}'
    return f'Saved to {path}: a part of the table, the {done_text} that are done.'


def row_count_text(count: int) -> str:
    """Return how many rows there are: '1 row', '1,234 rows'."""
    return f'{count:,} row' if count == 1 else f'{count:,} rows'


def partly_read_message(table: str, done: int) -> str:
    """Return what is on show of a table that was not read to its end."""
    some = 'only its first row is' if done == 1 else f'only its first {done:,} rows are'
    shown = some if done else 'none of its rows is'
    return f'{Path(table).name}: {shown} on show. Open it again to see all.'


def overall_metrics_text(metrics: dict[str, Any]) -> str:
    """Return the figures of all classes together, one a line, with their 95 % intervals."""
    parts = [
        f'{word} {_with_interval(metrics[name])}'
        for name, word in _OVERALL.items()
        if name in metrics and metrics[name][0] is not None
    ]
    return '\n'.join(parts)


def measured_text(metrics: dict[str, Any], yours: int, so_far: bool) -> str:
    """Return how many images the figures are of, and what that is worth.

    Parameters
    ----------
    metrics : dict
        As `napari_cxr.scoring.score_evaluation.ScoreEvaluation.found` gives them.
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
    words += _undecided_text(metrics)
    words += ' Rows that a filter hides count too; below each figure stands its 95 % interval.'
    if yours:
        words += (
            ' Images that were chosen for reading, such as the most uncertain, say little about '
            'the others.'
        )
    return words


def _undecided_text(metrics: dict[str, Any]) -> str:
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


def unmeasured_message(unknown: Sequence[str], unmeasured: int) -> str:
    """Return how many images could not be measured, and their labels; empty if all could."""
    if not unknown:
        return ''
    images = '1 image' if unmeasured == 1 else f'{unmeasured:,} images'
    return f'Not measured: {images}, because the model has no such class: {join_names(unknown)}.'


def _with_interval(figure: Sequence[float | None]) -> str:
    value, low, high = figure
    words = f'{value:.3f}'
    if low is None or high is None:
        return words
    return f'{words} (95 %: {low:.3f}–{high:.3f})'
