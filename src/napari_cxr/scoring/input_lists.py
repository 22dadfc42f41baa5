"""Lists of files to score: texts with a path a line, and tables with a column of paths.

With each file comes what a table says of it: label, source, patient and split.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cxr import image_tables
from napari_cxr.inference.label_rule import UNKNOWN_MARK
from napari_cxr.scoring.score_row import NO_FINDING
from napari_cxr.scoring.table_reader import image_path_of, is_score_table
from napari_cxr.settings_file import LARGEST_TABLE, read_bounded

__all__ = ['Item', 'ListingError', 'items_of_table', 'items_of_text', 'label_columns']


class ListingError(Exception):
    """Files that cannot be listed, or labels that do not fit them; the message says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file to score.

    Parameters
    ----------
    path : str
        Its file, as given or found.
    truth : str
        Its label; several are joined by '|', and `NO_FINDING` is none of several. One that ends
        with `UNKNOWN_MARK` is a label of which nobody knows. Empty where none is known.
    source : str
        Its collection or hospital, by a table; or empty.
    patient : str
        What tells patients apart, where a table does: a number of our own, from '1' in the
        order of the listing, so that nothing that a table calls them gets anywhere.
    split : str
        'train', 'val' or 'test', by a table or by folders of these names; or empty.
    problem : str
        Why a table's name leads to no file, where that is known; or empty.
    """

    path: str
    truth: str = ''
    source: str = ''
    patient: str = ''
    split: str = ''
    problem: str = ''


def items_of_text(path: Path) -> list[Path]:
    """Return the paths in a text, one a line.

    A line that begins with '#' is a comment, unless there is such a file. A name of a file that
    is no text, as Linux allows, is taken if there is such a file.

    Raises
    ------
    ListingError
        If it cannot be opened, or is no such list.
    """
    try:
        raw = read_bounded(path, LARGEST_TABLE)
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


def items_of_table(
    table: Path, chosen: Mapping[str, str] | None = None, *, must: bool = True
) -> list[Item]:
    """Return the files of a table, with what else it says of them.

    Parameters
    ----------
    table : Path
        Its file.
    chosen, must
        As of `napari_cxr.image_tables.recognise_columns`.

    Raises
    ------
    ListingError
        If it cannot be read, or does not name a file in each row.
    """
    try:
        names, rows = image_tables.read(table)
        columns, flags = label_columns(names, rows, chosen, must=must)
    except image_tables.ImageTableError as error:
        raise ListingError(_about(table, error)) from None
    if 'path' not in columns:
        raise ListingError(
            f"{table.name} has no column 'path'; its columns, separated by commas, are: "
            f'{", ".join(names)}. Name the one with the files (--path-column).'
        )
    find, ours = image_tables.ImageFinder(table.parent), is_score_table(names)
    items = []
    for line, row in enumerate(rows, start=2):  # line 1 holds the names
        entries = {ours: row[theirs] for ours, theirs in columns.items()}
        if not entries['path']:
            raise ListingError(f'Line {line} of {table.name} has no path.')
        label = _label_of_flags(row, flags) if flags else entries.get('label', '')
        # Paths in a table of scores began where scoring was called.
        whole = image_path_of(entries['path'], table) if ours else ''
        path = whole if os.path.lexists(whole) else str(find(entries['path']))
        split = entries.get('split', '').lower()
        items.append(
            Item(
                path,
                truth='|'.join(image_tables.split_labels(label)),
                source=entries.get('source', ''),
                patient=entries.get('group', ''),
                split=image_tables.SPLIT_NAMES.get(split, ''),
                problem='' if os.path.lexists(path) else find.ambiguity(entries['path']),
            )
        )
    return items


def _about(table: Path, error: image_tables.ImageTableError) -> str:
    """Return what is wrong with a table, with its name."""
    text = str(error)
    return text.replace('The table has', f'{table.name} has', 1)


def label_columns(
    names: Sequence[str],
    rows: Sequence[image_tables.TableRow],
    chosen: Mapping[str, str] | None = None,
    *,
    must: bool = True,
) -> tuple[dict[str, str], list[str]]:
    """Find what a table says of files.

    Parameters
    ----------
    names, rows
        As `napari_cxr.image_tables.read` returns them.
    chosen, must
        As of `napari_cxr.image_tables.recognise_columns`.

    Returns
    -------
    dict of str to str
        The table's name of each column of ours that it has: 'path', 'label' and so on. In a
        table of scores the label is the truth; what a model has said is none.
    list of str
        Columns of 0 and 1, one for each label, where there is no column of labels.
    """
    columns = image_tables.recognise_columns(names, chosen, must=must)
    if is_score_table(names):
        columns.pop('label')
        if 'truth' in names:
            columns['label'] = 'truth'
        return columns, []
    if 'label' in columns:
        return columns, []
    return columns, image_tables.flag_columns(names, rows, set(columns.values()))


def _label_of_flags(row: image_tables.TableRow, flags: Sequence[str]) -> str:
    """Return the labels of a row of flags; where all say no, that there is no finding.

    A label of which a cell says that nobody knows (empty, -1, 'uncertain') ends with
    `UNKNOWN_MARK`. Where that is every label, nothing is known; nor is it where all say no and
    the table has a column for that, which says no as well.
    """
    unknown = [name for name in flags if image_tables.is_unknown_flag(row[name])]
    if len(unknown) == len(flags):
        return ''
    label = image_tables.labels_from_flags(row, flags)
    if label or unknown:
        marked = [f'{name}{UNKNOWN_MARK}' for name in unknown]
        return '|'.join([label, *marked] if label else marked)
    return '' if NO_FINDING.casefold() in map(str.casefold, flags) else NO_FINDING
