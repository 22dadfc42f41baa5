"""Lists of files: a text with a path a line, or a table with a column of paths."""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from pathlib import Path

from napari_cxr import sheets
from napari_cxr.scoring.item import Item, ListingError
from napari_cxr.scoring.reopening import file_of
from napari_cxr.scoring.row import NO_FINDING
from napari_cxr.scoring.tables_back import is_ours

__all__ = ['known_columns', 'of_table', 'of_text']


def of_text(path: Path) -> list[Path]:
    """Return the paths in a text, one a line.

    A line that begins with '#' is a comment, unless there is such a file. A name of a file that
    is no text, as Linux allows, is taken if there is such a file.

    Raises
    ------
    ListingError
        If it cannot be opened, or is no such list.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ListingError(f'{path} cannot be opened ({error.strerror}).') from None
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell writes it
    try:
        text = raw.decode('utf-16') if wide else raw.decode('utf-8-sig', 'surrogateescape')
    except UnicodeDecodeError:
        text = '\0'
    # Not by `str.splitlines`: a path may hold what that takes for the end of a line.
    lines = text.split('\n' if '\n' in text else '\r')
    found = [
        listed
        for line in lines
        if line.strip()
        for listed in [_path(path.parent, line)]
        if not line.lstrip().startswith('#') or os.path.lexists(listed)
    ]
    if '\0' in text or not all(_is_text(one) or os.path.lexists(one) for one in found):
        raise ListingError(
            f'{path.name} is no list of paths, one a line, in UTF-8: save it as UTF-8.'
        )
    return found


def _path(folder: Path, line: str) -> Path:
    """Return the path of a line, without spaces around it where they are no part of it."""
    exact, bare = line.removesuffix('\r'), line.strip()
    return folder / (exact if exact != bare and os.path.lexists(folder / exact) else bare)


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def of_table(table: Path) -> list[Item]:
    """Return the files of a table, with what else it says of them.

    Raises
    ------
    ListingError
        If it cannot be read, or does not name a file in each row.
    """
    try:
        names, rows = sheets.read(table)
    except sheets.SheetError as error:
        raise ListingError(str(error)) from None
    columns, flags = known_columns(names, rows)
    if 'path' not in columns:
        raise ListingError(
            f"{table.name} has no column 'path'; its columns, separated by commas, are: "
            f'{", ".join(names)}.'
        )
    find, ours = sheets.Finder(table.parent), is_ours(names)
    items = []
    for line, row in enumerate(rows, start=2):  # line 1 holds the names
        entries = {ours: row[theirs] for ours, theirs in columns.items()}
        if not entries['path']:
            raise ListingError(f'Line {line} of {table.name} has no path.')
        label = _label_of_flags(row, flags) if flags else entries.get('label', '')
        # Paths in a table of scores began where scoring was called.
        whole = file_of(entries['path'], table) if ours else ''
        items.append(
            Item(
                whole if os.path.lexists(whole) else str(find(entries['path'])),
                truth='|'.join(sheets.labels_in(label)),
                source=entries.get('source', ''),
                patient=entries.get('group', ''),
            )
        )
    return items


def known_columns(
    names: Sequence[str], rows: Sequence[sheets.Row]
) -> tuple[dict[str, str], list[str]]:
    """Find what a table says of files.

    Parameters
    ----------
    names, rows
        As `napari_cxr.sheets.read` returns them.

    Returns
    -------
    dict of str to str
        The table's name of each column of ours that it has: 'path', 'label' and so on. In a
        table of scores the label is the truth; what a model has said is none.
    list of str
        Columns of 0 and 1, one for each label, where there is no column of labels.
    """
    columns = sheets.columns(names)
    if is_ours(names):
        columns.pop('label')
        if 'truth' in names:
            columns['label'] = 'truth'
        return columns, []
    if 'label' in columns:
        return columns, []
    return columns, sheets.flags(names, rows, set(columns.values()))


def _label_of_flags(row: sheets.Row, flags: Sequence[str]) -> str:
    """Return the labels of a row of flags; where all say no, that there is no finding.

    Where all cells are empty, or one says that it is uncertain (-1), nothing is known; nor is
    it where the table has a column for that, which says no as well.
    """
    label = sheets.label_of_flags(row, flags)
    cells = {row[name] for name in flags} - {''}
    if label or not cells or not cells <= {'0', '0.0'}:
        return label
    return '' if NO_FINDING.casefold() in map(str.casefold, flags) else NO_FINDING
