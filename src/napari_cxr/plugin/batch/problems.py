"""What keeps images from being scored, each in one sentence with what to do. No Qt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_cxr.plugin.batch.counting import Counted
from napari_cxr.scoring import ScoringError, tables
from napari_cxr.scoring.journal import journal_of, read_header
from napari_cxr.scoring.listing import FOLDERS
from napari_cxr.scoring.looking import Looked

__all__ = [
    'about_out',
    'about_source',
    'gone',
    'is_begun',
    'listed',
    'of_labels',
    'of_out',
    'of_source',
    'total_of',
]

#: Names that are told one by one.
_MOST_NAMES = 6


def of_source(paths: Sequence[str], looked: Looked | None, counted: Counted | None) -> str:
    """Return what is wrong with what shall be scored; empty if nothing is.

    Only the first path is asked about here; of the others `looked` says.
    """
    if problem := gone(paths[:1]) or (looked.error if looked is not None else ''):
        return problem
    if counted is not None and counted.whole and not counted.images:
        return f'There is no image in {Path(counted.folder).name}. Choose another folder.'
    return ''


def about_source(counted: Counted | None) -> str:
    """Say how many images a folder holds, as far as they are counted."""
    if counted is None or not counted.images:
        return ''
    if counted.whole:
        return '1 image' if counted.images == 1 else f'{counted.images:,} images'
    return f'more than {counted.images:,} images'


def gone(paths: Sequence[str]) -> str:
    """Return which of some paths does not exist; with many it takes a while."""
    path = next((path for path in paths if not os.path.exists(path)), '')
    if path:
        return f'There is no {Path(path).name or path}. Choose a folder, or drop one here.'
    return ''


def of_labels(kind: str, table: str, looked: Looked | None) -> str:
    """Return what is wrong with the labels."""
    if kind == 'table':
        if not table.strip():
            return 'Choose a table with the columns path and label.'
        if not os.path.isfile(os.path.expanduser(table.strip())):
            return 'There is no such table. Choose another.'
    elif kind == FOLDERS and looked is not None and not looked.folders:
        return 'There are no sub-folders in it. Choose “None” or a table of labels.'
    return ''


def of_out(out: str) -> str:
    """Return what is wrong with the table's name."""
    if not out:
        return 'Say where the table shall be written.'
    path = Path(out)
    if path.is_dir():
        return 'This is a folder. Add a name that ends in .csv.'
    if path.exists() and not is_begun(out):
        return 'There is such a table already. Choose another name, or open it below.'
    # A folder that is missing is made: what counts is the one that it is made in.
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    try:
        tables.check_name(folder / path.name)
    except ScoringError as error:
        return str(error)
    return ''


def is_begun(out: str) -> bool:
    """Whether a table was begun, and is not finished."""
    return bool(out) and journal_of(Path(out)).exists()


def total_of(out: str) -> int:
    """Return how many rows a table that was begun will have; 0 if nothing is known."""
    total = read_header(journal_of(Path(out))).get('total', 0) if is_begun(out) else 0
    return total if isinstance(total, int) else 0


def about_out(out: str, looked: Looked | None) -> str:
    """Say that a table was begun, and how far it is, or that its folder is a new one."""
    folder = Path(out).parent
    if not is_begun(out):
        return '' if folder.is_dir() else f'A new folder is made for it: {folder}'
    if looked is None or looked.out != out or not looked.total:
        return 'This table was begun earlier: Resume goes on with it.'
    return (
        f'{looked.begun:,} of {looked.total:,} rows of this table are done: Resume goes on '
        'where it stopped.'
    )


def listed(names: Sequence[str], word: str = 'and') -> str:
    """Return names as a sentence has them: 'a, b and c'."""
    if len(names) > _MOST_NAMES:
        return f'{", ".join(names[:_MOST_NAMES])} {word} {len(names) - _MOST_NAMES} others'
    *first, last = names
    return f'{", ".join(first)} {word} {last}' if first else last
