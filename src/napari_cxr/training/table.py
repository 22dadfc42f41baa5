"""A table of images: whatever spreadsheets and the public collections write as CSV."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from napari_cxr.training.dataset import SPLIT_WORDS, DatasetError, Sample, within

__all__ = ['samples_of']

#: Names under which a column is found, best first; in lower case, words joined by '_'.
_COLUMNS = {
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
}
_FLAGS = {'1': True, '1.0': True, '0': False, '0.0': False, '-1': False, '-1.0': False, '': False}
_LONGEST = 200  # characters of a name in a message
_NOT_TEXT = 'not a CSV table in UTF-8; save it as "CSV UTF-8".'

Row = dict[str, str]


def samples_of(table: Path) -> list[Sample]:
    """Read a table.

    It needs a column of paths (path, file, image, Image Index...) and its labels: one
    column (label, class, diagnosis, Finding Labels...) in which several are separated by
    '|' or ';' as in NIH ChestX-ray14, or a column of 0 and 1 for each label as in CheXpert,
    where -1 (uncertain) and nothing count as 0. It may have split, patient (or group),
    source and view. Case does not matter in names of columns. Commas, semicolons and
    tabs separate; UTF-8 and UTF-16 are read.

    Parameters
    ----------
    table : Path
        Paths in it are relative to its folder. A file that is not there is looked for by
        its name in the folders below.

    Raises
    ------
    DatasetError
        If a column, a path, a label or a file is missing, or a file is named twice.
    """
    names, rows = _read(table)
    columns = _columns(names, table)
    if 'path' not in columns:
        raise DatasetError(
            f"{table.name} has no column 'path'; its columns, separated by commas, "
            f'are: {", ".join(names)}.'
        )
    flags = [] if 'label' in columns else _flags(names, rows, set(columns.values()))
    if 'label' not in columns and not flags:
        raise DatasetError(
            f"{table.name} has no column 'label'; its columns, separated by commas, are: "
            f'{", ".join(names)}. Add it, or one column of 0 and 1 for each label.'
        )
    find = _Finder(table.parent)
    samples = []
    for number, row in enumerate(rows, start=2):  # line 1 holds the names
        entries = {ours: row[theirs] for ours, theirs in columns.items()}
        if flags:
            entries['label'] = _label_of_flags(row, flags)
        samples.append(_sample(entries, number, table, find, must=not flags))
    missing = [s.path for s in samples if not _is_file(s.path)]
    if missing:
        raise DatasetError(
            f'{len(missing)} of {len(samples)} files named in {table.name} are missing, '
            f'the first of them {within(missing[0], table.parent)[:_LONGEST]}.'
        )
    _refuse_repeats(samples, table)
    return samples


def _sample(entries: Row, number: int, table: Path, find: _Finder, *, must: bool) -> Sample:
    labels = sorted({part.strip() for part in re.split('[|;]', entries['label'])} - {''})
    if not entries['path'] or (must and not labels):
        raise DatasetError(f'Line {number} of {table.name} has no path or no label.')
    split, group = entries.get('split', ''), entries.get('group', '')
    if split and split.lower() not in SPLIT_WORDS:
        raise DatasetError(
            f'Line {number} of {table.name} has the split {split!r}; '
            'it must be train, val or test.'
        )
    return Sample(
        path=find(entries['path']),
        label='|'.join(labels),
        # An image without a patient is taken for a patient of its own.
        group=group or f'image {number}',
        split=SPLIT_WORDS.get(split.lower(), ''),
        source=entries.get('source', ''),
        view=entries.get('view', ''),
        known=bool(group),
    )


def _read(table: Path) -> tuple[list[str], list[Row]]:
    """Return the names of the columns and the rows, all of them stripped."""
    try:
        raw = table.read_bytes()
        wide = raw[:2] in (b'\xff\xfe', b'\xfe\xff')  # Excel's "Unicode text"
        text = raw.decode('utf-16' if wide else 'utf-8-sig')
        separator, text = _separator(text)
        lines = csv.reader(io.StringIO(text, newline=''), delimiter=separator, strict=True)
        cells = [[cell.strip() for cell in line] for line in lines if any(line)]
    except OSError as error:
        raise DatasetError(f'{table.name} cannot be opened ({error.strerror}).') from None
    except UnicodeDecodeError:
        raise DatasetError(f'{table.name} is {_NOT_TEXT}') from None
    except csv.Error as error:
        raise DatasetError(
            f'{table.name} cannot be read as a table ({error}); look for a quote that is not '
            'closed, or save it as "CSV UTF-8".'
        ) from None
    if '\0' in text:  # another encoding, or no text at all
        raise DatasetError(f'{table.name} is {_NOT_TEXT}')
    if not cells:
        raise DatasetError(f'{table.name} is empty; its first line must name the columns.')
    names = cells[0]
    twice = [name for i, name in enumerate(names) if name and name in names[:i]]
    if twice:
        raise DatasetError(f'{table.name} has two columns {twice[0]!r}; rename one.')
    return names, [
        dict(zip(names, [*line, *[''] * len(names)], strict=False)) for line in cells[1:]
    ]


def _separator(text: str) -> tuple[str, str]:
    """Return what separates the columns, and the text without Excel's hint of it."""
    first, _, rest = text.partition('\n')
    if hint := re.fullmatch(r'sep=(.)\r?', first):
        return hint[1], rest
    return max(',;\t', key=first.count), text


def _columns(names: Sequence[str], table: Path) -> dict[str, str]:
    """Return our name and the table's of each column that is known."""
    known = {re.sub('[ _-]+', '_', name.lower()): name for name in names}
    return {
        ours: known[theirs]
        for ours, candidates in _COLUMNS.items()
        for theirs in reversed(candidates)
        if theirs in known
    }


def _flags(names: Sequence[str], rows: Sequence[Row], taken: set[str]) -> list[str]:
    """Return the columns that hold nothing but 0 and 1, and both."""
    return [
        name
        for name in names
        if name
        and name not in taken
        and all(row[name] in _FLAGS for row in rows)
        and len({_FLAGS[row[name]] for row in rows}) == 2
    ]


def _label_of_flags(row: Row, flags: Sequence[str]) -> str:
    if len(flags) == 1:
        return flags[0] if _FLAGS[row[flags[0]]] else f'no {flags[0]}'
    return '|'.join(name for name in flags if _FLAGS[row[name]])


class _Finder:
    """Finds files; the public collections' tables name many without their folders."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] | None = None

    def __call__(self, name: str) -> Path:
        path = self._root / name
        if not _is_file(path) and '\\' in name:  # written on Windows
            name = name.replace('\\', '/')
            path = self._root / name
        if _is_file(path):
            return path
        if self._by_name is None:
            self._by_name = {}
            for here, _, names in os.walk(self._root):
                for file in names:
                    for key in {file, Path(file).stem}:
                        self._by_name.setdefault(key, []).append(Path(here, file))
        found = self._by_name.get(name, [])
        # CheXpert's paths begin with the name of the folder that the table is in.
        beside = self._root.parent / name
        return found[0] if len(found) == 1 else beside if _is_file(beside) else path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for any file
        return False


def _refuse_repeats(samples: Sequence[Sample], table: Path) -> None:
    """Refuse a file that is named twice: it would land in two splits, or have two labels."""
    seen: set[Path] = set()
    for sample in samples:
        path = sample.path.resolve()
        if path in seen:
            raise DatasetError(
                f'{table.name} names {within(sample.path, table.parent)} more than once; '
                'keep one line for each image.'
            )
        seen.add(path)
