"""A labelled folder, or a table of images, as frozen rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_cxr.training.recipe.data import DataRecipe

__all__ = ['Dataset', 'DatasetError', 'Sample', 'index']

SPLITS = ('train', 'val', 'test')

#: Names under which a column is found, best first; compared in lower case.
_COLUMNS = {
    'path': ('path', 'file', 'filename', 'image'),
    'label': ('label', 'class', 'diagnosis', 'finding'),
    'split': ('split', 'set', 'subset', 'fold'),
    'group': ('split_group', 'group', 'patient_id', 'patientid', 'patient', 'subject'),
    'source': ('source', 'site', 'hospital', 'dataset'),
    'view': ('view', 'view_position', 'viewposition', 'projection'),
}
_SPLIT_WORDS = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
    'testing': 'test',
}
#: What tables call a lateral view; LL and RL are DICOM's, PS3.3 C.8.7.1.1.
_LATERAL = ('lateral', 'lat', 'll', 'rl', 'l', 'left lateral', 'right lateral')


class DatasetError(Exception):
    """A folder or table that cannot be trained on; the message says what to do."""


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Parameters
    ----------
    path : Path
        Its file.
    label : str
        Its class; several labels are joined by '|'.
    group : str
        The patient, or whatever must not be divided between splits; unique to
        the image where nothing is known.
    split : str
        'train', 'val', 'test', or empty where none was given.
    source : str
        The collection or hospital, or empty.
    view : str
        View position by the table, or empty.
    known : bool
        Whether `group` is a patient by name, and not by guess.
    """

    path: Path
    label: str
    group: str
    split: str = ''
    source: str = ''
    view: str = ''
    known: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Its labels, one by one."""
        return tuple(self.label.split('|'))

    @property
    def is_lateral(self) -> bool:
        """Whether the table calls the view lateral."""
        return self.view.lower() in _LATERAL


@dataclass(frozen=True)
class Dataset:
    """Labelled images, and whether their patients are known.

    Parameters
    ----------
    root : Path
        The folder they were found under.
    samples : tuple of Sample
        In the order of the table, or sorted by path.
    grouped : bool
        Whether patients are known; if not, a split can only be by image.
    """

    root: Path
    samples: tuple[Sample, ...]
    grouped: bool

    def __post_init__(self) -> None:
        if not self.samples:
            raise DatasetError(f'No labelled image was found in {self.root.name}.')
        if len(self.labels) < 2:
            raise DatasetError(
                f'All images have the label {self.labels[0]!r}; a classifier needs at least two '
                'classes. Put one sub-folder a class into the folder, or a manifest.csv.'
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({label for sample in self.samples for label in sample.labels}))

    @property
    def several(self) -> bool:
        """Whether an image can have several labels."""
        return any('|' in sample.label for sample in self.samples)

    @property
    def has_splits(self) -> bool:
        """Whether every image was given a split."""
        return all(sample.split for sample in self.samples)

    def name_of(self, place: int) -> str:
        """Return the path of an image as seen from the data set's folder, for messages."""
        return _within(self.samples[place].path, self.root)

    def at(self, places: Sequence[int]) -> Dataset:
        """Return the data set of the images at these places."""
        return replace(self, samples=tuple(self.samples[i] for i in places))

    def without(self, places: Sequence[int]) -> Dataset:
        """Return the data set without the images at these places."""
        left_out = set(places)
        kept = tuple(s for i, s in enumerate(self.samples) if i not in left_out)
        return replace(self, samples=kept)


def index(source: str | Path, data: DataRecipe | None = None) -> Dataset:
    """Find the labelled images of a folder or a table.

    Parameters
    ----------
    source : str or Path
        A folder with a ``manifest.csv``, a folder with one sub-folder a class,
        or a CSV file. A table needs the columns path and label, and may have
        split, patient (or group), source and view; upper and lower case of
        column names do not matter. Paths are relative to the table.

    data : DataRecipe, optional
        What the folders mean, which labels are which classes, and how a file's name
        tells the patient.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError
        If there is nothing to train on, or the table is wrong; the message says
        what to change.
    """
    source = Path(source)
    if source.is_dir():
        table = source / 'manifest.csv'
        return _from_table(table) if table.is_file() else _from_folder(source)
    if source.suffix.lower() == '.csv' and source.is_file():
        return _from_table(source)
    raise DatasetError(f'{source} is neither a folder of images nor a CSV file.')


def _from_folder(root: Path) -> Dataset:
    from napari_cxr.files import find_images

    samples = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] not in '._'):
        paths = sorted(find_images(folder))
        if not paths:
            raise DatasetError(
                f'The class folder {folder.name!r} holds no image; fill it or take it away.'
            )
        samples += [
            Sample(path, folder.name, group=path.relative_to(root).as_posix()) for path in paths
        ]
    if not samples:
        raise DatasetError(
            f'{root.name} has no sub-folders; put the images of each class into one of its own.'
        )
    by_case: dict[str, set[str]] = {}
    for sample in samples:
        by_case.setdefault(sample.label.casefold(), set()).add(sample.label)
    _refuse_twins(by_case)
    return Dataset(root, tuple(samples), grouped=False)


def _from_table(table: Path) -> Dataset:
    try:
        with table.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            columns = _columns(reader.fieldnames or (), table)
            rows = [_row(row, columns) for row in reader]
    except (UnicodeDecodeError, csv.Error):
        raise DatasetError(f'{table.name} is not a CSV table in UTF-8.') from None
    root = table.parent
    samples = []
    by_case: dict[str, set[str]] = {}
    for number, row in enumerate(rows, start=2):  # line 1 holds the names
        if not row['path'] or not row['label']:
            raise DatasetError(f'Line {number} of {table.name} has no path or no label.')
        split = row['split'].lower()
        if split and split not in _SPLIT_WORDS:
            raise DatasetError(
                f'Line {number} of {table.name} has the split {row["split"]!r}; '
                'it must be train, val or test.'
            )
        by_case.setdefault(row['label'].casefold(), set()).add(row['label'])
        samples.append(
            Sample(
                path=root / row['path'],
                label=row['label'],
                # An image without a patient is taken for a patient of its own.
                group=row['group'] or f'image {number}',
                known=bool(row['group']),
                split=_SPLIT_WORDS.get(split, ''),
                source=row['source'],
                view=row['view'],
            )
        )
    _refuse_twins(by_case)
    _refuse_repeats(samples, table)
    missing = [s.path for s in samples if not s.path.is_file()]
    if missing:
        raise DatasetError(
            f'{len(missing)} of {len(samples)} files named in {table.name} are missing, '
            f'the first of them {_within(missing[0], root)}.'
        )
    return Dataset(root, tuple(samples), grouped=all(row['group'] for row in rows))


def _refuse_repeats(samples: Sequence[Sample], table: Path) -> None:
    """Refuse a file that is named twice: it would land in two splits, or have two labels."""
    seen: set[Path] = set()
    for sample in samples:
        path = sample.path.resolve()
        if path in seen:
            raise DatasetError(
                f'{table.name} names {_within(sample.path, table.parent)} more than once; '
                'keep one line for each image.'
            )
        seen.add(path)


def _within(path: Path, root: Path) -> str:
    # A table may name files elsewhere by their whole path.
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _columns(names: Sequence[str], table: Path) -> dict[str, str]:
    known = {name.strip().lower(): name for name in names}
    found = {
        ours: known[theirs]
        for ours, candidates in _COLUMNS.items()
        for theirs in reversed(candidates)
        if theirs in known
    }
    for needed in ('path', 'label'):
        if needed not in found:
            raise DatasetError(
                f'{table.name} has no column {needed!r}; its columns, separated by commas, '
                f'are: {", ".join(names)}.'
            )
    return found


def _row(row: dict[str, Any], columns: dict[str, str]) -> dict[str, str]:
    return {ours: (row.get(columns.get(ours, '')) or '').strip() for ours in _COLUMNS}


def _refuse_twins(by_case: dict[str, set[str]]) -> None:
    for spellings in by_case.values():
        if len(spellings) > 1:
            listed = ' and '.join(repr(s) for s in sorted(spellings))
            raise DatasetError(f'The labels {listed} differ in case only; write them alike.')
