"""Messages about scoring: what prevents it, its progress, and its result.

Each problem says what to do. No Qt.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_cxr.inference.label_rule import CANNOT_SAY, NO_CLASS
from napari_cxr.plugin.batch.scoring_request import ImageCount
from napari_cxr.plugin.widgets.text import duration_text
from napari_cxr.scoring import ScoringError, ScoringFinished, ScoringProgress
from napari_cxr.scoring.journal import journal_of, read_header
from napari_cxr.scoring.scoring_checks import InputSummary, check_table_name
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
    'seen_message',
    'stopped_message',
    'table_hint',
    'table_problem',
    'unmeasured_message',
]

#: At most so many names are listed.
_MOST_NAMES = 6


def images_problem(
    paths: Sequence[str], summary: InputSummary | None, count: ImageCount | None
) -> str:
    """Return what is wrong with the chosen images; empty if nothing is.

    Only the first path is checked here; `summary` covers the others.
    """
    if problem := missing_path_problem(paths[:1]) or (
        summary.error if summary is not None else ''
    ):
        return problem
    if count is not None and count.whole and not count.images:
        return f'There are no images in {Path(count.folder).name}. Choose another folder.'
    return ''


def image_count_text(count: ImageCount | None) -> str:
    """Return how many images a folder contains, as far as they are counted."""
    if count is None or not count.images:
        return ''
    if count.whole:
        return '1 image' if count.images == 1 else f'{count.images:,} images'
    return f'more than {count.images:,} images'


def missing_path_problem(paths: Sequence[str]) -> str:
    """Return which of the paths does not exist; takes a while for many."""
    path = next((path for path in paths if not os.path.exists(path)), '')
    if path:
        return f'{Path(path).name or path} does not exist. Choose a folder, or drop one here.'
    return ''


def labels_problem(kind: str, table: str, summary: InputSummary | None) -> str:
    """Return what is wrong with the labels; empty if nothing is."""
    if kind == 'table':
        if not table.strip():
            return 'Choose a table with the columns path and label.'
        if not os.path.isfile(os.path.expanduser(table.strip())):
            return 'This table does not exist. Choose another.'
    elif kind == LABELS_FROM_FOLDERS and summary is not None and not summary.folders:
        return 'The folder has no sub-folders. Choose “None” or a table of labels.'
    return ''


def table_problem(out: str) -> str:
    """Return what is wrong with the path of the table; empty if nothing is."""
    if not out:
        return 'Choose where to write the table.'
    path = Path(out)
    if path.is_dir():
        return 'This is a folder. Add a name that ends in .csv.'
    if path.exists() and not is_unfinished(out):
        return 'This table exists already. Choose another name, or open it below.'
    # Missing folders are created, so the first one that exists must be writable.
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    try:
        check_table_name(folder / path.name)
    except ScoringError as error:
        return str(error)
    return ''


def is_unfinished(out: str) -> bool:
    """Return whether a table was started and is not finished."""
    return bool(out) and journal_of(Path(out)).exists()


def expected_rows(out: str) -> int:
    """Return how many rows an unfinished table will have; 0 if that is unknown."""
    total = read_header(journal_of(Path(out))).get('total', 0) if is_unfinished(out) else 0
    return total if isinstance(total, int) else 0


def table_hint(out: str, summary: InputSummary | None) -> str:
    """Return how far an unfinished table is, or that its folder will be created."""
    folder = Path(out).parent
    if not is_unfinished(out):
        return '' if folder.is_dir() else f'This folder will be created: {folder}'
    if summary is None or summary.out != out or not summary.total:
        return 'This table was started earlier. Resume continues it.'
    return (
        f'{summary.begun:,} of {summary.total:,} rows of this table are done. Resume continues '
        'where it stopped.'
    )


def join_names(names: Sequence[str], word: str = 'and') -> str:
    """Return names as a list in a sentence: 'a, b and c'."""
    if len(names) > _MOST_NAMES:
        return f'{", ".join(names[:_MOST_NAMES])} {word} {len(names) - _MOST_NAMES} others'
    *first, last = names
    return f'{", ".join(first)} {word} {last}' if first else last


_DECIDED_METRICS = ('sensitivity', 'specificity')

_OVERALL = {'macro_auc': 'Macro AUC', 'accuracy': 'Accuracy'}


def progress_text(progress: ScoringProgress) -> str:
    """Return the progress: '1,234 of 20,000 · 14.2 images/s'."""
    text = [f'{progress.done:,} of {progress.total:,}']
    rate = progress.images_per_second
    if rate > 0:
        text.append(f'{rate:,.0f} images/s' if rate >= 100 else f'{rate:.1f} images/s')
    if progress.seconds_left >= 0 and progress.done < progress.total:  # it may be NaN
        text.append(f'{duration_text(progress.seconds_left)} left')
    if progress.failed:
        text.append(f'{progress.failed:,} failed')
    return ' · '.join(text)


def finished_message(event: ScoringFinished) -> str:
    """Return the result of a run, and what to do next."""
    scored, name = event.total - event.failed, Path(event.path).name
    if not scored:
        files = 'The file' if event.total == 1 else f'All {event.total:,} files'
        return f'{files} failed. {name} gives the reasons.'
    if event.failed:
        verb = 'was' if scored == 1 else 'were'
        text = f'{scored:,} of {event.total:,} files {verb} scored into {name}, '
        text += f'{event.failed:,} failed.'
    elif scored == 1:
        text = f'The file was scored into {name}.'
    else:
        text = f'All {scored:,} files were scored into {name}.'
    return f'{text} Double-click a row to see it with its heatmap.'


def stopped_message(done: int, total: int, out: str) -> str:
    """Return what is left of a stopped run, and how to continue it.

    `out` is empty where the run failed: the rows are in the journal, but not in a table.
    """
    if not done:
        return 'Stopped before the first file was scored.'
    of = f' of {total:,}' if total else ''
    verb = 'row is' if done == 1 else 'rows are'
    where = f'in {Path(out).name}' if out else 'kept'
    return f'Stopped: {done:,}{of} {verb} {where}. Resume continues with the others.'


def reopened_message(table: str, done: int, total: int) -> str:
    """Return what was read of a table."""
    name = Path(table).name
    if total > done:
        done_text = f'{row_count_text(done)} of {total:,}'
        return f'{name}: {done_text} are done. Resume continues with the others.'
    return f'{name}: {row_count_text(done)}.'


def saved_message(path: str, done: int, total: int) -> str:
    """Return where a table was saved, and whether it is incomplete."""
    if not total:
        return f'Saved to {path}'
    done_text = f'{row_count_text(done)} of {total:,}'
    return f'Saved to {path}: the {done_text} that are done.'


def row_count_text(count: int) -> str:
    """Return how many rows there are: '1 row', '1,234 rows'."""
    return f'{count:,} row' if count == 1 else f'{count:,} rows'


def partly_read_message(table: str, done: int) -> str:
    """Return what is shown of a table that was not read to its end."""
    some = 'only its first row is' if done == 1 else f'only its first {done:,} rows are'
    shown = some if done else 'none of its rows is'
    return f'{Path(table).name}: {shown} shown. Open it again to see all of them.'


def overall_metrics_text(metrics: dict[str, Any]) -> str:
    """Return the metrics over all classes, one per line, with their 95 % intervals."""
    parts = [
        f'{word} {_with_interval(metrics[name])}'
        for name, word in _OVERALL.items()
        if name in metrics and metrics[name][0] is not None
    ]
    return '\n'.join(parts)


def measured_text(
    metrics: dict[str, Any], by_user: int, so_far: bool, undecided: str = CANNOT_SAY
) -> str:
    """Return how many images the metrics are based on, and how far they can be trusted.

    Parameters
    ----------
    metrics : dict
        As `napari_cxr.scoring.score_evaluation.ScoreEvaluation.found` gives them.
    by_user : int
        How many of their labels the user gave.
    so_far : bool
        Whether more rows are to come.
    undecided : str
        The answer of the model that is no label.
    """
    images, patients = metrics['images'], metrics['patients']
    text = f'{images:,} images with a label'
    text += f', {by_user:,} of them by you' if by_user else ''
    text += ', so far' if so_far else ''
    if patients < images:
        text += f', of {patients:,} patients.'
    else:
        text += ', counted by image: where a patient has several, the intervals are too narrow.'
    if few := metrics.get('few'):
        things = 'patients' if patients < images else 'images'
        named = ', '.join(f'{label} {count}' for label, count in few.items())
        text += (
            f' Few {things}: {named}. With fewer than 5 there is no interval for the AUC, and '
            'little can be concluded from it.'
        )
    text += _undecided_text(metrics, undecided)
    text += ' Rows hidden by a filter count too; the 95 % interval is below each metric.'
    if by_user:
        text += (
            ' Images selected for annotation, such as the most uncertain ones, are not '
            'representative of the others.'
        )
    return text


def seen_message(metrics: dict[str, Any]) -> str:
    """Return how many images the model was trained on, and the metrics without these."""
    unseen = metrics.get('unseen')
    if not unseen:
        return ''
    trained_on, validation = unseen['trained_on'], unseen['validation']
    parts = [f'was trained on {trained_on:,}'] if trained_on else []
    parts += [f'was selected by {validation:,}'] if validation else []
    text = f'The model {" and ".join(parts)} of these images, so the metrics are too good. '
    of_others = ', '.join(overall_metrics_text(unseen['metrics']).split('\n'))
    left = '1 image' if unseen['images'] == 1 else f'{unseen["images"]:,} images'
    if of_others:
        return f'{text}Of the other {left}: {of_others}.'
    return text + (
        f'The other {left} have the same label.' if unseen['images'] else 'There are no others.'
    )


def _undecided_text(metrics: dict[str, Any], answer: str) -> str:
    """Return how many images are undecided, and the metrics of the others."""
    found = metrics.get('cannot_say')
    if not found:
        return ''
    images = '1 image' if found['images'] == 1 else f'{found["images"]:,} images'
    share = f'{100 * found["share"][0]:.0f} %'
    said = answer if answer == NO_CLASS else f'the model {answer}'
    text = f' For {images} ({share}) {said}; they count by their predicted label.'
    decided = [
        f'{label}: ' + ', '.join(f'{name} {of[name][0]:.3f}' for name in names)
        for label, of in found['decided'].get('classes', {}).items()
        if (names := [name for name in _DECIDED_METRICS if of.get(name, [None])[0] is not None])
    ]
    return text + (f' Without them: {"; ".join(decided)}.' if decided else '')


def unmeasured_message(unknown: Sequence[str], unmeasured: int) -> str:
    """Return how many images were left out of the metrics, and their labels; empty if none."""
    if not unknown:
        return ''
    images = '1 image' if unmeasured == 1 else f'{unmeasured:,} images'
    return f'Left out: {images} with a label the model does not know: {join_names(unknown)}.'


def _with_interval(metric: Sequence[float | None]) -> str:
    value, low, high = metric
    text = f'{value:.3f}'
    if low is None or high is None:
        return text
    return f'{text} (95 %: {low:.3f}–{high:.3f})'
