"""Labelled images as frozen rows, out of a folder or a table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from napari_cxr.image_tables import SPLIT_NAMES
from napari_cxr.training.recipe.data_sections import DataRecipe

__all__ = ['SPLITS', 'SPLIT_NAMES', 'Dataset', 'DatasetError', 'Sample', 'index']

SPLITS = ('train', 'val', 'test')
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
        Its class; several labels are joined by '|'. Empty where it has none of
        several labels.
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
        Whether `group` is a patient that a table, a name or a header tells.
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
        return tuple(self.label.split('|')) if self.label else ()

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
        Whether all patients are known; if not, a split can only be by image.
    limit : int
        The most images a class that a split uses in each part, 0 for all.
    balance : bool
        Whether a split cuts its larger training classes to the size of the smallest.
    torn : int
        Pairs of near-duplicates that the given splits divide.
    """

    root: Path
    samples: tuple[Sample, ...]
    grouped: bool
    limit: int = 0
    balance: bool = False
    torn: int = 0

    def __post_init__(self) -> None:
        if not self.samples:
            raise DatasetError(f'No labelled image was found in {self.root.name}.')
        if len(self.labels) < 2:
            label = next(iter(self.labels), '')
            raise DatasetError(
                f'All images have the label {label!r}; a classifier needs at least two '
                'classes. Put one sub-folder a class into the folder, or a manifest.csv.'
            )

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({label for sample in self.samples for label in sample.labels}))

    @cached_property
    def several(self) -> bool:
        """Whether an image can have several labels, or none."""
        return any(len(sample.labels) != 1 for sample in self.samples)

    @property
    def has_splits(self) -> bool:
        """Whether every image was given a split."""
        return all(sample.split for sample in self.samples)

    def name_of(self, place: int) -> str:
        """Return the path of an image as seen from the data set's folder, for messages."""
        return within(self.samples[place].path, self.root)

    def at(self, places: Iterable[int]) -> Dataset:
        """Return the data set of the images at these places, in this order."""
        return replace(self, samples=tuple(self.samples[i] for i in places))

    def without(self, places: Sequence[int]) -> Dataset:
        """Return the data set without the images at these places."""
        left_out = set(places)
        return self.at(i for i in range(len(self.samples)) if i not in left_out)


def index(source: str | Path, data: DataRecipe | None = None) -> Dataset:
    """Find the labelled images of a folder or a table.

    Parameters
    ----------
    source : str or Path
        A folder with a ``manifest.csv``; a folder of sub-folders, which `data.layout`
        says the meaning of; or a CSV file, see `napari_cxr.training.dataset_index`.
    data : DataRecipe, optional
        What the folders mean, which labels are which classes, and how a file's name
        tells the patient.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError
        If there is nothing to train on, or folders, table or recipe do not fit
        together; the message says what to change.
    """
    from napari_cxr.training import dataset_index

    # Whole, so that '.' has a name in messages.
    source, data = Path(os.path.abspath(source)), data or DataRecipe()
    if source.is_dir() and (source / 'manifest.csv').is_file():
        source /= 'manifest.csv'
    if source.is_dir():
        root, samples = source, dataset_index.samples_in_folder(source, data.layout)
    elif source.suffix.lower() == '.csv' and source.is_file():
        root, samples = source.parent, dataset_index.samples_in_table(source)
    else:
        raise DatasetError(f'{source} is neither a folder of images nor a CSV file.')
    if data.patient:
        samples = _with_patients(samples, re.compile(data.patient), root)
    samples = _in_classes(samples, data.classes)
    _refuse_twins(samples)
    _refuse_ambiguous({sample.source for sample in samples})
    grouped = bool(samples) and all(sample.known for sample in samples)
    return Dataset(root, tuple(samples), grouped, limit=data.limit, balance=data.balance)


def within(path: Path, root: Path) -> str:
    """Return a path as seen from a folder; a table may name files elsewhere by whole paths."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _with_patients(samples: list[Sample], pattern: re.Pattern[str], root: Path) -> list[Sample]:
    """Take the patient from the file's name, or from the folders that it is in."""
    out = []
    for sample in samples:
        match = pattern.search(sample.path.name) or pattern.search(within(sample.path, root))
        found = match and match.group(1 if pattern.groups else 0)
        out.append(replace(sample, group=found, known=True) if found else sample)
    if samples and out == samples:
        raise DatasetError(
            f'data.patient, {pattern.pattern!r}, finds a patient in no file name; the first is '
            f'{samples[0].path.name}.'
        )
    return out


def _in_classes(samples: list[Sample], classes: dict[str, tuple[str, ...]]) -> list[Sample]:
    """Merge labels to classes; images with none of these labels are left out."""
    if not classes:
        return samples
    present = {label for sample in samples for label in sample.labels}
    class_of = {label: name for name, labels in classes.items() for label in labels}
    for label in class_of:
        if label not in present:
            raise DatasetError(
                f'data.classes names the label {label!r}, which no image has; the labels are '
                f'{", ".join(repr(p) for p in sorted(present))}.'
            )
    by_case = {label.casefold(): label for label in class_of}
    for label in sorted(present - set(class_of)):
        if label.casefold() in by_case:
            raise DatasetError(
                f'data.classes names the label {by_case[label.casefold()]!r}, and there is '
                f'{label!r} as well; name both, or write them alike.'
            )
    out = []
    for sample in samples:
        found = {class_of[label] for label in sample.labels if label in class_of}
        if found:
            out.append(replace(sample, label='|'.join(sorted(found))))
    return out


def _refuse_twins(samples: list[Sample]) -> None:
    by_case: dict[str, set[str]] = {}
    for sample in samples:
        for label in sample.labels:
            by_case.setdefault(label.casefold(), set()).add(label)
    for spellings in by_case.values():
        if len(spellings) > 1:
            listed = ' and '.join(repr(s) for s in sorted(spellings))
            raise DatasetError(
                f'The labels {listed} differ in case only; write them alike, or merge them in '
                'data.classes.'
            )


def _refuse_ambiguous(sources: set[str]) -> None:
    """Refuse names of sources that figures by source use for something else."""
    clashes = {'all': len(sources) > 1, 'no source': '' in sources}
    for name, clash in clashes.items():
        if clash and name in sources:
            raise DatasetError(
                f'A source is called {name!r}, which means something else in figures by '
                'source; rename it.'
            )
