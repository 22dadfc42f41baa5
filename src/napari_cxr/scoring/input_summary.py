"""A summary before anything is listed: which labels the input has, and how far a run got."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cxr import image_tables
from napari_cxr.scoring.journal import journal_of, read_header
from napari_cxr.scoring.scoring_inputs import label_columns

__all__ = ['InputSummary', 'summarise_inputs']

_TABLES = ('.csv', '.tsv')
#: Tables in a folder that are looked into for labels.
_MOST_TABLES = 8
#: Bytes of a journal that are looked at, at once.
_CHUNK = 1 << 20


@dataclass(frozen=True)
class InputSummary:
    """What was found.

    Parameters
    ----------
    paths : tuple of str
        What was looked at.
    out : str
        The table that was asked about.
    folders : tuple of str
        Names of the sub-folders, where one folder is to be scored.
    labelled : bool
        Whether it is a table that gives labels.
    labels_in : str
        A table in the folder that gives labels, or empty.
    error : str
        Why it cannot be scored, or empty.
    begun, total : int
        Rows of that table that are done already, and paths that it will have; 0 and 0 if
        it is not begun.
    """

    paths: tuple[str, ...]
    out: str = ''
    folders: tuple[str, ...] = ()
    labelled: bool = False
    labels_in: str = ''
    error: str = ''
    begun: int = 0
    total: int = 0


def summarise_inputs(paths: Sequence[str], out: str) -> InputSummary:
    """Look for labels in what shall be scored, and for rows that are done; may take a while."""
    begun, total = _progress_of(journal_of(Path(out))) if out else (0, 0)
    found = InputSummary(tuple(paths), out, begun=begun, total=total)
    if len(paths) != 1:
        return found
    (path,) = (Path(one) for one in paths)
    folders: tuple[str, ...] = ()
    labelled, labels_in, error = False, '', ''
    try:
        if path.is_dir():
            folders, labels_in = _in_folder(path)
        elif path.suffix.lower() in _TABLES:
            labelled = _gives_labels(path)
    except OSError as problem:
        error = f'{path.name} cannot be opened: {problem.strerror}.'
    except image_tables.ImageTableError as problem:
        error = str(problem)
    return InputSummary(tuple(paths), out, folders, labelled, labels_in, error, begun, total)


def _in_folder(folder: Path) -> tuple[tuple[str, ...], str]:
    """Return the names of the sub-folders, and a table with labels."""
    with os.scandir(folder) as entries:
        listed = [entry for entry in entries if not entry.name.startswith('.')]
    folders = sorted(entry.name for entry in listed if entry.is_dir())
    tables = sorted(e.path for e in listed if Path(e.name).suffix.lower() in _TABLES)
    for table in tables[:_MOST_TABLES]:
        try:
            if _gives_labels(Path(table)):
                return tuple(folders), table
        except (image_tables.ImageTableError, OSError):
            continue
    return tuple(folders), ''


def _gives_labels(table: Path) -> bool:
    names, rows = image_tables.read(table)
    columns, flags = label_columns(names, rows)
    return 'path' in columns and ('label' in columns or bool(flags))


def _progress_of(journal: Path) -> tuple[int, int]:
    """Return how many rows a journal holds, and how many there will be."""
    header = read_header(journal)
    if not header:
        return 0, 0
    lines = 0
    try:
        with journal.open('rb') as file:
            while piece := file.read(_CHUNK):
                lines += piece.count(b'\n')
    except OSError:
        return 0, 0
    total = header.get('total', 0)
    total = total if isinstance(total, int) else 0
    # A row that was done again has two lines.
    return min(max(0, lines - 1), total), total
