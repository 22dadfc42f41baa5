"""What is scored: files, folders and lists, in a stable order, each file once.

With each file comes what is known of it before: label, source, patient and split.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_cxr import dicom, image_files, image_tables
from napari_cxr.checkpoint.model_images import ModelImages, image_digest
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.scoring.input_lists import Item, ListingError, items_of_table, items_of_text

__all__ = [
    'LABELS_FROM_FOLDERS',
    'list_items',
    'listing_fingerprint',
    'select_split',
]


#: For labels: the names of the class folders.
LABELS_FROM_FOLDERS = 'folders'

_TABLES = ('.csv', '.tsv')

#: Paths that are named where there is no image in any.
_NAMED = 3


def list_items(
    paths: Sequence[str | Path],
    labels: str | Path | None = None,
    directory: Callable[[Path], Iterable[Path]] | None = None,
    *,
    columns: Mapping[str, str] | None = None,
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
    columns : mapping of str to str, optional
        What tables call their columns, see `napari_cxr.image_tables.recognise_columns`. Where
        `labels` is a table, it must have them all, and a table of `paths` that of the paths.

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
    table = None if labels is None or by_folder else Path(labels)
    if (
        columns
        and table is None
        and not any(Path(path).suffix.lower() in _TABLES for path in paths)
    ):
        raise ListingError(
            'Columns were named, but no table is read: give a .csv or .tsv file, or leave the '
            'names of columns out.'
        )
    found: dict[str, Item] = {}
    for path in paths:
        for item in _items(Path(path), by_folder, directory, columns, must=table is None):
            place = _place(item.path)
            first = found.setdefault(place, item)
            if item.truth and not first.truth:  # in a table after the folder, for one
                found[place] = replace(
                    first,
                    truth=item.truth,
                    source=first.source or item.source,
                    patient=first.patient or item.patient,
                    split=first.split or item.split,
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
    if table is not None:
        found = _labelled(found, table, columns)
    items = _without_names(found.values())
    if labels is not None and not any(item.truth for item in items):
        raise ListingError(
            'No file gets a label: with --labels folders there must be a folder for each class '
            'in the folder that is scored.'
            if by_folder
            else f'{Path(labels).name} names none of the files that are scored.'
        )
    return items


def select_split(items: list[Item], split: str, images: ModelImages | None) -> list[Item]:
    """Return the files of one split: of the tables and folders, or else of the model's own run.

    Parameters
    ----------
    items : list of Item
        As `list_items` returns them.
    split : str
        'train', 'val' or 'validation', or 'test'; empty for all.
    images : ModelImages or None
        The images of the model's run; the files are then hashed.

    Raises
    ------
    ListingError
        If there is no such split, no split is known, or no file is in it.
    """
    if not split:
        return items
    wanted = image_tables.SPLIT_NAMES.get(split.lower())
    if wanted is None:
        raise ListingError(f'There is no split {split!r}: choose train, val or test.')
    if any(item.split for item in items):
        found = [item for item in items if item.split == wanted]
    elif images is not None:
        found = [item for item in items if _split_in(images, item.path) == wanted]
    else:
        raise ListingError(
            f'Which images are in the split {split!r} is not known: no table has a column of '
            'splits (another name for it is given by --split-column), and the model does not say '
            'which images it was trained on.'
        )
    if not found:
        raise ListingError(f'None of the {len(items):,} files is in the split {split!r}.')
    return found


def _split_in(images: ModelImages, path: str) -> str:
    try:
        return images.split_of(image_digest(path))
    except OSError:
        return ''


def listing_fingerprint(items: Iterable[Item]) -> str:
    """Return a SHA-256 of a listing, in hexadecimal: of paths, labels and their order."""
    digest = hashlib.sha256()
    for item in items:
        told = [item.path, item.truth, item.source, item.patient]
        line = json.dumps([*told, item.split] if item.split else told)
        digest.update(line.encode('ascii') + b'\n')
    return digest.hexdigest()


def _items(
    path: Path,
    by_folder: bool,
    directory: Callable[[Path], Iterable[Path]] | None,
    columns: Mapping[str, str] | None = None,
    *,
    must: bool = True,
) -> Iterator[Item]:
    if os.path.isdir(path):
        images = image_files.find_images(path, named=True)
        classes = _classes(path, images) if by_folder else [''] * len(images)
        splits = _splits(path, images)
        for image, label, split in zip(images, classes, splits, strict=True):
            yield Item(str(image), truth=label, split=split)
    elif path.suffix.lower() in _TABLES:
        chosen = columns or {}
        if not must and 'path' in chosen:
            chosen = {'path': chosen['path']}
        yield from items_of_table(path, chosen, must=must)
    elif path.suffix.lower() == '.txt':
        for listed in items_of_text(path):
            if os.path.isdir(listed):
                yield from _items(listed, by_folder, directory, columns, must=must)
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
    # To split a million paths takes seconds.
    if '..' in path and '..' in Path(path).parts:  # leads elsewhere after a link to a folder
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


def _splits(root: Path, images: Sequence[Path]) -> list[str]:
    """Return the split of each image in a folder whose folders are called train, val and test."""
    # All begin with the folder, which `relative_to` would compare for each.
    level = len(root.parts)
    tops = [image.parts[level].lower() for image in images]
    if len(set(tops)) < 2 or not set(tops) <= image_tables.SPLIT_NAMES.keys():
        return [''] * len(images)
    return [image_tables.SPLIT_NAMES[top] for top in tops]


def _without_names(items: Iterable[Item]) -> list[Item]:
    """Put numbers in the place of what a table calls its patients."""
    numbers: dict[str, int] = {}
    return [
        replace(item, patient=str(numbers.setdefault(item.patient, len(numbers) + 1)))
        if item.patient
        else item
        for item in items
    ]


def _labelled(
    found: dict[str, Item], table: Path, columns: Mapping[str, str] | None
) -> dict[str, Item]:
    """Give files what a table says of them."""
    if not os.path.lexists(table):
        raise ListingError(
            f'There is no table {table}: labels are a table, or {LABELS_FROM_FOLDERS!r} for the '
            'names of the '
            'class folders.'
        )
    told: dict[str, Item] = {}
    by_name: dict[str, list[Item]] = {}
    for item in items_of_table(table, columns):
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
            item = replace(
                item,
                truth=said.truth,
                source=said.source,
                patient=said.patient,
                split=said.split or item.split,
            )
        out[place] = item
    return out
