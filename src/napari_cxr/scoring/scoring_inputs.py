"""What is scored: files, folders and lists, in a stable order, each file once.

A list is a text with a path a line, or a table with a column of paths. With each file comes
what is known of it before: label, source and patient.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_cxr import dicom, image_files, image_tables
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.scoring.score_row import NO_FINDING
from napari_cxr.scoring.table_reader import image_path_of, is_score_table
from napari_cxr.settings_file import LARGEST_TABLE, read_bounded

__all__ = [
    'LABELS_FROM_FOLDERS',
    'Item',
    'ListingError',
    'items_of_table',
    'items_of_text',
    'label_columns',
    'list_items',
    'listing_fingerprint',
]


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


def items_of_table(table: Path) -> list[Item]:
    """Return the files of a table, with what else it says of them.

    Raises
    ------
    ListingError
        If it cannot be read, or does not name a file in each row.
    """
    try:
        names, rows = image_tables.read(table)
    except image_tables.ImageTableError as error:
        raise ListingError(str(error)) from None
    columns, flags = label_columns(names, rows)
    if 'path' not in columns:
        raise ListingError(
            f"{table.name} has no column 'path'; its columns, separated by commas, are: "
            f'{", ".join(names)}.'
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
        items.append(
            Item(
                whole if os.path.lexists(whole) else str(find(entries['path'])),
                truth='|'.join(image_tables.split_labels(label)),
                source=entries.get('source', ''),
                patient=entries.get('group', ''),
            )
        )
    return items


def label_columns(
    names: Sequence[str], rows: Sequence[image_tables.TableRow]
) -> tuple[dict[str, str], list[str]]:
    """Find what a table says of files.

    Parameters
    ----------
    names, rows
        As `napari_cxr.image_tables.read` returns them.

    Returns
    -------
    dict of str to str
        The table's name of each column of ours that it has: 'path', 'label' and so on. In a
        table of scores the label is the truth; what a model has said is none.
    list of str
        Columns of 0 and 1, one for each label, where there is no column of labels.
    """
    columns = image_tables.recognise_columns(names)
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

    Where all cells are empty, or one says that it is uncertain (-1), nothing is known; nor is
    it where the table has a column for that, which says no as well.
    """
    label = image_tables.labels_from_flags(row, flags)
    cells = {row[name] for name in flags} - {''}
    if label or not cells or not cells <= {'0', '0.0'}:
        return label
    return '' if NO_FINDING.casefold() in map(str.casefold, flags) else NO_FINDING


#: For labels: the names of the class folders.
LABELS_FROM_FOLDERS = 'folders'

_TABLES = ('.csv', '.tsv')

#: Paths that are named where there is no image in any.
_NAMED = 3


def list_items(
    paths: Sequence[str | Path],
    labels: str | Path | None = None,
    directory: Callable[[Path], Iterable[Path]] | None = None,
) -> list[Item]:
    """List the files to score.

    Parameters
    ----------
    paths : sequence of str or Path
        Images; folders, of which all images in them are taken, and also what is called an
        image and is none, and folders in them that cannot be opened; a DICOMDIR, of which
        what it lists; a ``.txt`` file with the path of an image or a folder a line, and
        comments after '#'; a ``.csv`` or ``.tsv`` table with a column of paths, and perhaps
        labels, sources and patients, see `napari_cxr.image_tables`; of a table of scores
        the labels are the truth in it. Paths in a list are relative to its folder; what a
        table names without its folder or its ending is looked for by its name below there.
    labels : str or Path, optional
        'folders': the first folder below each folder given is the label; below folders
        that are called train, val and test, the second. Or a table of paths and labels; a
        file that is at no path of it is looked for by its name.
    directory : callable, optional
        Takes a DICOMDIR and returns the files that it lists, or raises `UnreadableImage`:
        `napari_cxr.workers.decoder_pool.listed_images`, so that a malformed one does no harm. By
        default it is read in this process.

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
    by_folder = labels is not None and str(labels) == LABELS_FROM_FOLDERS
    found: dict[str, Item] = {}
    for path in paths:
        for item in _items(Path(path), by_folder, directory):
            place = _place(item.path)
            first = found.setdefault(place, item)
            if item.truth and not first.truth:  # in a table after the folder, for one
                found[place] = replace(
                    first,
                    truth=item.truth,
                    source=first.source or item.source,
                    patient=first.patient or item.patient,
                )
            elif item.truth and first.truth != item.truth:
                raise ListingError(
                    f'{Path(item.path).name} is listed twice, with the labels {first.truth!r} '
                    f'and {item.truth!r}: leave one out.'
                )
    if not found:
        named = ', '.join(str(path) for path in paths[:_NAMED])
        more = f' and {len(paths) - _NAMED:,} more' if len(paths) > _NAMED else ''
        raise ListingError(f'There is no image in {named}{more}.')
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


def listing_fingerprint(items: Iterable[Item]) -> str:
    """Return a SHA-256 of a listing, in hexadecimal: of paths, labels and their order."""
    digest = hashlib.sha256()
    for item in items:
        line = json.dumps([item.path, item.truth, item.source, item.patient])
        digest.update(line.encode('ascii') + b'\n')
    return digest.hexdigest()


def _items(
    path: Path, by_folder: bool, directory: Callable[[Path], Iterable[Path]] | None
) -> Iterator[Item]:
    if os.path.isdir(path):
        images = image_files.find_images(path, named=True)
        classes = _classes(path, images) if by_folder else [''] * len(images)
        yield from (Item(str(i), truth=c) for i, c in zip(images, classes, strict=True))
    elif path.suffix.lower() in _TABLES:
        yield from items_of_table(path)
    elif path.suffix.lower() == '.txt':
        for listed in items_of_text(path):
            if os.path.isdir(listed):
                yield from _items(listed, by_folder, directory)
            else:
                yield Item(str(listed))
    elif dicom.is_directory(path):
        try:
            yield from (Item(str(listed)) for listed in (directory or _listed_here)(path))
        except UnreadableImage as error:
            raise ListingError(f'{path}: {error}') from None
    else:
        try:
            os.lstat(path)  # whether it can be read is told in its row
        except FileNotFoundError:  # most likely mistyped; in a list it would be a row
            raise ListingError(f'There is no file or folder {path}.') from None
        except OSError as error:
            raise ListingError(f'{path} cannot be opened: {error.strerror}.') from None
        yield Item(str(path))


def _listed_here(path: Path) -> list[Path]:
    from napari_cxr.dicom.directory import listed_images

    return listed_images(path)


def _place(path: str) -> str:
    """Return what two spellings of one path have in common; links to one file have nothing."""
    if '..' in Path(path).parts:  # which leads elsewhere where it follows a link to a folder
        folder, name = os.path.split(path)
        return os.path.join(os.path.realpath(folder), name)
    return os.path.abspath(path)


def _classes(root: Path, images: Sequence[Path]) -> list[str]:
    """Return the class of each image in a folder, by the folders on the way to it.

    The first level is the classes', as for training. Below folders that are called train, val
    and test it is the second. Where names of the second level come up under several folders
    of the first, either may be meant; then nothing is guessed.
    """
    ways = [image.relative_to(root).parts[:-1] for image in images]
    level = int(all(way[0].lower() in image_tables.SPLIT_NAMES for way in ways if way))
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
    if not os.path.lexists(table):
        raise ListingError(
            f'There is no table {table}: labels are a table, or {LABELS_FROM_FOLDERS!r} for the '
            'names of the '
            'class folders.'
        )
    told: dict[str, Item] = {}
    by_name: dict[str, list[Item]] = {}
    for item in items_of_table(table):
        place = _place(item.path)
        if place not in told:
            told[place] = item
            by_name.setdefault(Path(item.path).name, []).append(item)
        elif told[place].truth != item.truth:
            raise ListingError(f'{table.name} gives two labels to {Path(item.path).name}.')
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
