"""Which files to score, in a stable order, each once; and what is known of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_cxr import dicom, files, sheets
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.scoring.row import NO_FINDING
from napari_cxr.scoring.tables_back import is_ours

__all__ = ['FOLDERS', 'Item', 'ListingError', 'fingerprint', 'known_columns', 'list_items']

#: For labels: the names of the class folders.
FOLDERS = 'folders'
_TABLES = ('.csv', '.tsv')


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
        Its label; several are joined by '|', and `NO_FINDING` is none of several. Empty
        where none is known.
    source : str
        Its collection or hospital, by a table; or empty.
    patient : str
        What tells patients apart, where a table does: a number of our own, from '1' in the
        order of the listing, so that nothing that a table calls them gets anywhere.
    """

    path: str
    truth: str = ''
    source: str = ''
    patient: str = ''


def list_items(paths: Sequence[str | Path], labels: str | Path | None = None) -> list[Item]:
    """List the files to score.

    Parameters
    ----------
    paths : sequence of str or Path
        Images; folders, of which all images in them are taken, and also what is called an
        image and is none, and folders in them that cannot be opened; a DICOMDIR, of which
        what it lists; a ``.txt`` file with a path a line; a ``.csv`` or ``.tsv`` table with
        a column of paths, and perhaps labels, sources and patients, see
        `napari_cxr.sheets`; of a table of scores the labels are the truth in
        it. Paths in a list are relative to its folder.
    labels : str or Path, optional
        'folders': the first folder below each folder given is the label; below folders
        that are called train, val and test, the second. Or a table of paths and labels; a
        file that is at no path of it is looked for by its name.

    Returns
    -------
    list of Item
        In the order of `paths`; a folder's sorted, a list's as they stand. A path comes
        once, where it came first. Links to one file are paths of their own; of a folder that
        links lead to several times, or in a circle, the files come once.

    Raises
    ------
    ListingError
        If there is nothing to score, one of `paths` is not there, a list cannot be read, a
        path comes with two labels, or no file gets a label.
    """
    by_folder = labels is not None and str(labels) == FOLDERS
    found: dict[str, Item] = {}
    for path in paths:
        for item in _items(Path(path), by_folder):
            first = found.setdefault(os.path.abspath(item.path), item)
            if item.truth and first.truth not in ('', item.truth):
                raise ListingError(
                    f'{Path(item.path).name} is listed twice, with the labels {first.truth!r} '
                    f'and {item.truth!r}: leave one out.'
                )
    if not found:
        raise ListingError(f'There is no image in {", ".join(str(path) for path in paths)}.')
    if labels is not None and not by_folder:
        found = _labelled(found, Path(labels))
    items = _without_names(found.values())
    if labels is not None and not any(item.truth for item in items):
        raise ListingError(
            'No file gets a label: with --labels folders there must be a folder for each class '
            'in the folder that is scored.'
            if by_folder
            else f'{Path(labels).name} names none of the files that are scored.'
        )
    return items


def fingerprint(items: Iterable[Item]) -> str:
    """Return a SHA-256 of a listing, in hexadecimal: of paths, labels and their order."""
    digest = hashlib.sha256()
    for item in items:
        line = json.dumps([item.path, item.truth, item.source, item.patient])
        digest.update(line.encode('ascii') + b'\n')
    return digest.hexdigest()


def _items(path: Path, by_folder: bool) -> Iterator[Item]:
    if path.is_dir():
        images = files.find_images(path, named=True)
        classes = _classes(path, images) if by_folder else [''] * len(images)
        yield from (Item(str(i), truth=c) for i, c in zip(images, classes, strict=True))
    elif path.suffix.lower() in _TABLES:
        yield from _of_table(path)
    elif path.suffix.lower() == '.txt':
        yield from (Item(str(listed)) for listed in _of_list(path))
    elif dicom.is_directory(path):
        from napari_cxr.dicom.directory import listed_images

        try:
            yield from (Item(str(listed)) for listed in listed_images(path))
        except UnreadableImage as error:
            raise ListingError(f'{path}: {error}') from None
    elif os.path.lexists(path):  # whether it can be read is told in its row
        yield Item(str(path))
    else:  # most likely mistyped; in a list it would be a row
        raise ListingError(f'There is no file or folder {path}.')


def _classes(root: Path, images: Sequence[Path]) -> list[str]:
    """Return the class of each image in a folder, by the folders on the way to it.

    The first level is the classes', as for training. Below folders that are called train, val
    and test it is the second. Where names of the second level come up under several folders
    of the first, either may be meant; then nothing is guessed.
    """
    ways = [image.relative_to(root).parts[:-1] for image in images]
    level = int(all(way[0].lower() in sheets.SPLIT_WORDS for way in ways if way))
    if level == 0 and not any(len(way) == 1 for way in ways):
        above: dict[str, set[str]] = {}
        for way in ways:
            if way:
                above.setdefault(way[1], set()).add(way[0])
        shared = sorted(name for name, tops in above.items() if len(tops) > 1)
        if shared:
            raise ListingError(
                f'{root.name} has folders of the same name '
                f'({", ".join(map(repr, shared[:4]))}) in several of its folders, so it is not '
                'clear which are the classes: give the folders that the class folders are in, '
                'each by itself, or a table of labels.'
            )
    return [way[level] if len(way) > level else '' for way in ways]


def _of_list(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except OSError as error:
        raise ListingError(f'{path} cannot be opened ({error.strerror}).') from None
    except UnicodeDecodeError:
        raise ListingError(f'{path.name} is no list of paths in UTF-8, one a line.') from None
    return [path.parent / line.strip() for line in lines if line.strip()]


def _of_table(table: Path) -> list[Item]:
    """Return the files of a table, with what else it says of them."""
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
    find = sheets.Finder(table.parent)
    items = []
    for line, row in enumerate(rows, start=2):  # line 1 holds the names
        entries = {ours: row[theirs] for ours, theirs in columns.items()}
        if not entries['path']:
            raise ListingError(f'Line {line} of {table.name} has no path.')
        label = _label_of_flags(row, flags) if flags else entries.get('label', '')
        items.append(
            Item(
                str(find(entries['path'])),
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


def _without_names(items: Iterable[Item]) -> list[Item]:
    """Put numbers in the place of what a table calls its patients."""
    numbers: dict[str, int] = {}
    return [
        replace(item, patient=str(numbers.setdefault(item.patient, len(numbers) + 1)))
        if item.patient
        else item
        for item in items
    ]


def _labelled(found: dict[str, Item], table: Path) -> dict[str, Item]:
    """Give files what a table says of them."""
    told: dict[str, Item] = {}
    by_name: dict[str, list[Item]] = {}
    for item in _of_table(table):
        place = os.path.abspath(item.path)
        if told.setdefault(place, item) != item:
            raise ListingError(f'{table.name} gives two labels to {Path(item.path).name}.')
        by_name.setdefault(Path(item.path).name, []).append(item)
    shared: dict[str, int] = {}
    for place in found:
        shared[Path(place).name] = shared.get(Path(place).name, 0) + 1
    out = {}
    for place, item in found.items():
        name = Path(place).name
        said = told.get(place)
        if said is None and shared[name] == 1 and len(by_name.get(name, ())) == 1:
            said = by_name[name][0]
        if said is not None:
            item = replace(item, truth=said.truth, source=said.source, patient=said.patient)
        out[place] = item
    return out
