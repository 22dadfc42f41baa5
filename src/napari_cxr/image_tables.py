"""Tables of images in CSV, as spreadsheets and public data sets write them."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from napari_cxr.output_text import from_csv_cell
from napari_cxr.settings_file import LARGEST_TABLE, read_bounded

__all__ = [
    'CHOSEN_COLUMNS',
    'COLUMN_NAMES',
    'SPLIT_NAMES',
    'TABLE_ENDINGS',
    'ImageFinder',
    'ImageTableError',
    'TableRow',
    'flag_columns',
    'is_file',
    'labels_from_flags',
    'read',
    'recognise_columns',
    'split_labels',
    'unknown_flags',
]

#: Accepted names of each column, preferred first; in lower case, words joined by '_'.
COLUMN_NAMES = {
    'path': (
        *('path', 'file', 'filename', 'file_name', 'file_path', 'filepath'),
        *('image', 'image_path', 'image_index', 'image_name', 'image_id'),
    ),
    'label': (
        *('label', 'labels', 'class', 'diagnosis', 'finding', 'findings'),
        *('finding_label', 'finding_labels'),
    ),
    'split': ('split', 'set', 'subset', 'fold'),
    'group': (
        *('split_group', 'group', 'patient_id', 'patientid', 'patient'),
        *('subject', 'subject_id'),
    ),
    'source': ('source', 'site', 'hospital', 'institution', 'collection', 'dataset'),
    'view': ('view', 'view_position', 'viewposition', 'projection', 'frontal/lateral'),
    'age': ('age', 'patient_age', 'patientage', 'age_years'),
    'sex': ('sex', 'gender', 'patient_sex', 'patientsex', 'patient_gender'),
}
#: Columns that a person can name, where a table calls them otherwise; and what they are here.
CHOSEN_COLUMNS = {
    'path': 'path',
    'label': 'label',
    'patient': 'group',
    'source': 'source',
    'split': 'split',
    'view': 'view',
}
#: Names of the splits in folders and tables, in lower case.
SPLIT_NAMES = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
    'testing': 'test',
}
#: Endings of the names of tables.
TABLE_ENDINGS = ('.csv', '.tsv')
_FLAGS = {'1': True, '1.0': True, '0': False, '0.0': False}
#: Cells of such columns that say that nobody knows, as in CheXpert.
_UNKNOWN_FLAGS = ('', '-1', '-1.0', 'u', 'uncertain', 'unknown', 'n/a', 'na', 'nan')
#: In a column of flags at most this part of the cells is something else, by mistake.
_MISTAKES = 0.05
#: Extensions of files that are never images, whatever a table says.
_LISTS = ('.csv', '.tsv', '.txt')
_NOT_TEXT = 'not a CSV table in UTF-8; save it as "CSV UTF-8".'

TableRow = dict[str, str]


class ImageTableError(Exception):
    """A table that cannot be read; the message says why and what to do."""


def read(table: Path) -> tuple[list[str], list[TableRow]]:
    """Read a table with commas, semicolons or tabs as separators, in UTF-8 or UTF-16.

    Parameters
    ----------
    table : Path
        The file.

    Returns
    -------
    list of str, list of dict
        The names of the columns, and the rows by these names, without surrounding spaces.

    Raises
    ------
    ImageTableError
        If it cannot be opened, or is not such a table.
    """
    try:
        raw = read_bounded(table, LARGEST_TABLE)
        wide = raw[:2] in (b'\xff\xfe', b'\xfe\xff')  # Excel's "Unicode text"
        text = raw.decode('utf-16' if wide else 'utf-8-sig')
        separator, text = _separator(text)
        lines = csv.reader(io.StringIO(text, newline=''), delimiter=separator, strict=True)
        cells = [[from_csv_cell(cell).strip() for cell in line] for line in lines if any(line)]
    except OSError as error:
        raise ImageTableError(f'{table.name} cannot be opened ({error.strerror}).') from None
    except UnicodeDecodeError:
        raise ImageTableError(f'{table.name} is {_NOT_TEXT}') from None
    except csv.Error as error:
        raise ImageTableError(
            f'{table.name} cannot be read as a table ({error}). Look for a quote that is not '
            'closed, or save it as "CSV UTF-8".'
        ) from None
    if '\0' in text:  # another encoding, or not text
        raise ImageTableError(f'{table.name} is {_NOT_TEXT}')
    if not cells:
        raise ImageTableError(f'{table.name} is empty; its first line must name the columns.')
    names = cells[0]
    twice = [name for i, name in enumerate(names) if name and name in names[:i]]
    if twice:
        raise ImageTableError(f'{table.name} has two columns {twice[0]!r}. Rename one of them.')
    return names, [
        dict(zip(names, [*line, *[''] * len(names)], strict=False)) for line in cells[1:]
    ]


def _separator(text: str) -> tuple[str, str]:
    """Return the separator of the columns, and the text without Excel's line that names it."""
    first, _, rest = text.partition('\n')
    if hint := re.fullmatch(r'sep=(.)\r?', first):
        return hint[1], rest

    def columns(separator: str) -> int:  # not characters: a name in quotes may hold a comma
        return len(next(csv.reader([first], delimiter=separator), []))

    return max(',;\t', key=columns), text


def recognise_columns(
    names: Sequence[str], chosen: Mapping[str, str] | None = None, *, must: bool = True
) -> dict[str, str]:
    """Return our name and the table's for each known column, ignoring case.

    Parameters
    ----------
    names : sequence of str
        The table's columns.
    chosen : mapping of str to str, optional
        Names that a person has given, by 'path', 'label', 'patient', 'source', 'split' or
        'view'; they go before those that are recognised.
    must : bool
        Whether each of these has to be there.

    Raises
    ------
    ImageTableError
        If a column that was named is not there, or is none that can be named.
    """
    known = {_plain(name): name for name in names}
    found = {
        ours: known[theirs]
        for ours, candidates in COLUMN_NAMES.items()
        for theirs in reversed(candidates)
        if theirs in known
    }
    for what, name in (chosen or {}).items():
        if what not in CHOSEN_COLUMNS:
            raise ImageTableError(
                f'{what!r} is no column that can be named; those are {", ".join(CHOSEN_COLUMNS)}.'
            )
        column = name if name in names else known.get(_plain(name))
        if column is not None:
            found[CHOSEN_COLUMNS[what]] = column
        elif must:
            raise ImageTableError(
                f'The table has no column {name!r} for the {what}. Its columns are: '
                f'{", ".join(names)}.'
            )
    return found


def _plain(name: str) -> str:
    """Return the name of a column without what does not matter in it."""
    return re.sub('[ _-]+', '_', name.lower())


def flag_columns(names: Sequence[str], rows: Sequence[TableRow], taken: set[str]) -> list[str]:
    """Return the columns that hold 1, and otherwise 0 or cells that say 'unknown'.

    Raises
    ------
    ImageTableError
        If a column has a few cells that are something else: it names the first of them.
    """
    found, mistakes = [], []
    for name in names:
        if not name or name in taken:
            continue
        kinds = [_flag(row[name]) for row in rows]
        if True not in kinds or not {False, 'unknown'} & set(kinds):
            continue
        wrong = [i for i, kind in enumerate(kinds) if kind == 'wrong']
        if not wrong:
            found.append(name)
        elif len(wrong) <= _MISTAKES * len(rows):
            mistakes.append((name, wrong[0]))
    if found and mistakes:
        name, place = mistakes[0]
        raise ImageTableError(
            f'Line {place + 2} has {rows[place][name]!r} in the column {name!r}, which otherwise '
            'says of each image whether it has that label. Write 1 if it has it, 0 if not, and '
            'nothing if that is not known.'
        )
    return found


def _flag(cell: str) -> bool | Literal['unknown', 'wrong']:
    """Return what a cell says of a label."""
    plain = cell.strip().lower()
    if plain in _FLAGS:
        return _FLAGS[plain]
    return 'unknown' if plain in _UNKNOWN_FLAGS else 'wrong'


def is_unknown_flag(cell: str) -> bool:
    """Return whether a cell of a column of 0 and 1 says that nobody knows."""
    return _flag(cell) == 'unknown'


def labels_from_flags(row: TableRow, flags: Sequence[str]) -> str:
    """Return the labels of a row with a column of 0 and 1 for each, joined by '|'.

    A label of which nobody knows is not among them; see `unknown_flags`.
    """
    if len(flags) == 1:
        return flags[0] if _flag(row[flags[0]]) is True else f'no {flags[0]}'
    return '|'.join(name for name in flags if _flag(row[name]) is True)


def unknown_flags(row: TableRow, flags: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of which a row with several such columns says that nobody knows."""
    if len(flags) == 1:
        return ()
    return tuple(name for name in flags if is_unknown_flag(row[name]))


class ImageFinder:
    """Finds files of a table, also those named without their folder or extension.

    Tables of public data sets often do.

    Parameters
    ----------
    root : Path
        The folder of the table, to which the paths in it are relative.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] | None = None

    def __call__(self, name: str) -> Path:
        """Return the file that a cell names, whether it exists or not."""
        path = self._root / name
        if not is_file(path) and '\\' in name:  # written on Windows
            name = name.replace('\\', '/')
            path = self._root / name
        if is_file(path):
            return path
        found = self._below(name)
        # CheXpert's paths begin with the name of the folder that the table is in.
        beside = self._root.parent / name
        return found[0] if len(found) == 1 else beside if is_file(beside) else path

    def ambiguity(self, name: str) -> str:
        """Say where the files are that a cell may mean; empty unless there are several."""
        found = [] if is_file(self(name)) else sorted(self._below(name.replace('\\', '/')))
        if len(found) < 2:
            return ''
        times = 'twice' if len(found) == 2 else f'{len(found)} times'
        places = found if found[0].parent == found[1].parent else [path.parent for path in found]
        first, second = (
            place.relative_to(self._root).as_posix() if place != self._root else self._root.name
            for place in places[:2]
        )
        return (
            f'{name} exists {times}, in {first} and {second}: write the path with its folder into '
            'the table.'
        )

    def _below(self, name: str) -> list[Path]:
        """Return the files below the table's folder that have a name, with or without ending."""
        if self._by_name is None:
            self._by_name = {}
            for here, _, names in os.walk(self._root):
                for file in names:
                    stem, ending = os.path.splitext(file)
                    for key in {file, file if ending.lower() in _LISTS else stem}:
                        self._by_name.setdefault(key, []).append(Path(here, file))
        return self._by_name.get(name, [])


def is_file(path: Path) -> bool:
    """Return whether there is such a file."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long for a file
        return False


def split_labels(cell: str) -> list[str]:
    """Return the labels of a cell, separated by '|' or ';', sorted and without duplicates."""
    return sorted({part.strip() for part in re.split('[|;]', cell)} - {''})
