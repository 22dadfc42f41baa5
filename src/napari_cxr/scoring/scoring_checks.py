"""Before anything is scored: what the input holds, and whether the output can be written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cxr import image_tables
from napari_cxr.scoring import heatmap_files, table_reader, table_writer
from napari_cxr.scoring.annotation.readers import labels_files_of
from napari_cxr.scoring.input_lists import label_columns
from napari_cxr.scoring.journal import ScoringError, journal_of, read_header
from napari_cxr.settings_file import open_regular

__all__ = [
    'InputSummary',
    'check_heatmaps',
    'check_out',
    'check_save_as',
    'check_table_name',
    'make_heatmap_folder',
    'make_result_folder',
    'summarise_inputs',
]

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
    splits : bool
        Whether a table, or the names of sub-folders, say which image is in which split.
    """

    paths: tuple[str, ...]
    out: str = ''
    folders: tuple[str, ...] = ()
    labelled: bool = False
    labels_in: str = ''
    error: str = ''
    begun: int = 0
    total: int = 0
    splits: bool = False


def summarise_inputs(paths: Sequence[str], out: str) -> InputSummary:
    """Look for labels in what shall be scored, and for rows that are done; may take a while."""
    begun, total = _progress_of(journal_of(Path(out))) if out else (0, 0)
    found = InputSummary(tuple(paths), out, begun=begun, total=total)
    if len(paths) != 1:
        return found
    (path,) = (Path(one) for one in paths)
    folders: tuple[str, ...] = ()
    labelled, splits, labels_in, error = False, False, '', ''
    try:
        if path.is_dir():
            folders, labels_in = _in_folder(path)
            names = {name.lower() for name in folders}
            splits = len(names) > 1 and names <= image_tables.SPLIT_NAMES.keys()
        elif path.suffix.lower() in _TABLES:
            labelled, splits = _gives(path)
    except OSError as problem:
        error = f'{path.name} cannot be opened: {problem.strerror}.'
    except image_tables.ImageTableError as problem:
        error = str(problem)
    return InputSummary(
        tuple(paths), out, folders, labelled, labels_in, error, begun, total, splits
    )


def _in_folder(folder: Path) -> tuple[tuple[str, ...], str]:
    """Return the names of the sub-folders, and a table with labels."""
    with os.scandir(folder) as entries:
        listed = [entry for entry in entries if not entry.name.startswith('.')]
    folders = sorted(entry.name for entry in listed if entry.is_dir())
    tables = sorted(e.path for e in listed if Path(e.name).suffix.lower() in _TABLES)
    for table in tables[:_MOST_TABLES]:
        try:
            if _gives(Path(table))[0]:
                return tuple(folders), table
        except (image_tables.ImageTableError, OSError):
            continue
    return tuple(folders), ''


def _gives(table: Path) -> tuple[bool, bool]:
    """Return whether a table gives labels, and whether it gives splits."""
    names, rows = image_tables.read(table)
    columns, flags = label_columns(names, rows)
    named = 'path' in columns
    return named and ('label' in columns or bool(flags)), named and 'split' in columns


def _progress_of(journal: Path) -> tuple[int, int]:
    """Return how many rows a journal holds, and how many there will be."""
    header = read_header(journal)
    if not header:
        return 0, 0
    lines = 0
    try:
        with open_regular(journal) as file:
            while piece := file.read(_CHUNK):
                lines += piece.count(b'\n')
    except OSError:
        return 0, 0
    total = header.get('total', 0)
    total = total if isinstance(total, int) else 0
    # A row that was done again has two lines.
    return min(max(0, lines - 1), total), total


def check_table_name(path: Path) -> None:
    """See whether a table of this name can be written.

    Raises
    ------
    ScoringError
        If its ending is unknown, its folder is missing or cannot be written to, or it needs
        what is not installed.
    """
    if path.suffix.lower() not in table_writer.TABLE_FORMATS:
        raise ScoringError(
            f'{path.name}: a table is called .csv, .jsonl or .parquet, by which its form is '
            'chosen.'
        )
    if not os.path.isdir(path.parent):
        if os.path.lexists(path.parent):
            raise ScoringError(f'{path.parent} is no folder; choose another.')
        raise ScoringError(f'There is no folder {path.parent}; make it, or choose another.')
    if not os.access(path.parent, os.W_OK):
        raise ScoringError(f'Nothing can be written to {path.parent}; choose another folder.')
    try:
        os.lstat(path.with_name(f'.{path.name}.________.part'))  # as `open_atomic` calls it
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ScoringError(
            f'{path.name} cannot be the name of a table: {error.strerror}.'
        ) from None
    if path.suffix.lower() == '.parquet':
        table_writer.import_pyarrow()


def check_out(out: str | Path, *, resume: bool) -> None:
    """See whether a table of this name can be begun, or resumed; costs nothing.

    Raises
    ------
    ScoringError
        If its name or folder is wrong, or if there is such a table, finished or begun, and it
        shall not be resumed; and if what is there is no table of scores.
    """
    out = Path(out)
    check_table_name(out)
    journal = journal_of(out)
    if journal.exists():
        if not resume:
            raise ScoringError(
                f'{out} was begun already: resume (--resume), or remove {journal.name} to begin '
                'anew.'
            )
    elif os.path.lexists(out):
        if not resume:
            raise ScoringError(
                f'{out} exists: resume to add files that are new (--resume), remove it, or choose '
                'another name.'
            )
        table_reader.read_rows(out)


def check_heatmaps(folder: str | Path, out: str | Path, paths: Sequence[str | Path]) -> None:
    """See whether heatmaps of a table can be saved in a folder; costs nothing.

    Parameters
    ----------
    folder : str or Path
        The folder; it need not be there.
    out : str or Path
        The table.
    paths : sequence of str or Path
        What shall be scored, as `list_items` takes it.

    Raises
    ------
    ScoringError
        If nothing can be written to it, it holds those of another table, or it lies in a
        folder that is scored: there they would be taken for radiographs the next time, and
        nothing could be resumed.
    """
    folder, out = Path(folder), Path(out)
    place = Path(os.path.realpath(folder))
    for path in paths:
        if os.path.isdir(path) and place.is_relative_to(os.path.realpath(path)):
            raise ScoringError(
                f'{folder} lies in {path}, which is scored: its pictures would be taken for '
                'radiographs when you resume. Choose a folder outside.'
            )
    there = next(one for one in (place, *place.parents) if os.path.exists(one))
    if there == place:
        _check_folder(folder, out)
    elif not (there.is_dir() and os.access(there, os.W_OK)):
        raise ScoringError(f'{folder} cannot be made in {there}; choose another folder.')


def check_save_as(path: str | Path) -> None:
    """See whether a copy of a table may get this name; a table that is there is overwritten.

    Labels and notes stay with the table that they were given in, and rows of a run that was
    stopped with theirs: beside a copy they would pass for its own.

    Raises
    ------
    ScoringError
        If such a table cannot be written, or rows or labels of another one lie beside it.
    """
    path = Path(path)
    check_table_name(path)
    if journal_of(path).exists():
        raise ScoringError(
            f'{path.name} was begun by scoring and is not finished: choose another name.'
        )
    if there := labels_files_of(path):
        raise ScoringError(
            f'Beside {path.name} lie labels that were given in another table of this name: choose '
            f'another name, or move {" and ".join(each.name for each in there)} away.'
        )


def make_result_folder(folder: Path) -> None:
    """Make a folder for results if it is not there.

    Raises
    ------
    ScoringError
        If it cannot be made, or nothing can be written to it; the message says what to do.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            inside = '' if place == folder else f', so {folder} cannot be in it'
            raise ScoringError(
                f'{place} is a file, not a folder{inside}. Name another folder for the results.'
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoringError(
            f'The folder {folder} cannot be made ({error.strerror}). Name another folder for the '
            'results.'
        ) from None
    if not os.access(folder, os.W_OK):
        raise ScoringError(
            f'Nothing can be written to {folder}. Name another folder for the results.'
        )


def make_heatmap_folder(folder: Path, out: Path) -> None:
    """Make a folder for the heatmaps of a table if it is not there.

    Raises
    ------
    ScoringError
        If nothing can be written to it, or it holds those of another table.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoringError(f'{folder} cannot be made: {error.strerror}.') from None
    _check_folder(folder, out)


def _check_folder(folder: Path, out: Path) -> None:
    if not folder.is_dir():
        raise ScoringError(f'{folder} is no folder; choose another name.')
    if not os.access(folder, os.W_OK):
        raise ScoringError(f'Nothing can be written to {folder}; choose another folder.')
    try:
        # Of a table that is there already, they are its own.
        begun = journal_of(out).exists() or os.path.lexists(out)
        taken = not begun and heatmap_files.has_heatmaps(folder)
    except OSError as error:
        raise ScoringError(f'{folder} cannot be opened: {error.strerror}.') from None
    if taken:
        raise ScoringError(
            f'{folder} holds heatmaps of another table, which would be overwritten; choose '
            'another folder, or remove them.'
        )
