"""Labelled images as frozen rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from napari_cxr.image_tables import SPLIT_NAMES

__all__ = ['SPLITS', 'SPLIT_NAMES', 'Dataset', 'DatasetError', 'Sample', 'within']

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
        Its class; several labels are joined by '|'. Empty for an image without a
        finding, where images can have several labels.
    group : str
        The patient, or whatever else must stay in one split; unique to the image
        where nothing is known.
    split : str
        'train', 'val', 'test', or empty where none was given.
    source : str
        The collection or hospital, or empty.
    view : str
        View position by the table, or empty.
    known : bool
        Whether `group` is a patient, known from a table, a file name or a header.
    problem : str
        Why a table's name leads to no file; or empty.
    unknown : tuple of str
        Where images can have several labels: those of which nobody knows whether it has them.
    age, sex : str
        Of the patient, as the table writes them, or empty.
    """

    path: Path
    label: str
    group: str
    split: str = ''
    source: str = ''
    view: str = ''
    known: bool = False
    problem: str = ''
    unknown: tuple[str, ...] = ()
    age: str = ''
    sex: str = ''

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, one by one."""
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
        The folder that contains them.
    samples : tuple of Sample
        In the order of the table, or sorted by path.
    grouped : bool
        Whether all patients are known; if not, a split can only be by image.
    limit : int
        The most images of each class that a split uses in each part; 0 for all.
    balance : bool
        Whether a split reduces its larger training classes to the size of the smallest.
    divided_pairs : int
        Pairs of near-duplicates that lie in two of the given splits.
    """

    root: Path
    samples: tuple[Sample, ...]
    grouped: bool
    limit: int = 0
    balance: bool = False
    divided_pairs: int = 0

    def __post_init__(self) -> None:
        if not self.samples:
            raise DatasetError(f'No labelled image was found in {self.root.name}.')
        if len(self.labels) < 2:
            label = next(iter(self.labels), '')
            raise DatasetError(
                f'All images have the label {label!r}; a classifier needs at least two '
                'classes. Put the images of each class into a sub-folder of their own, or add '
                'a manifest.csv.'
            )

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({label for sample in self.samples for label in sample.labels}))

    @cached_property
    def multilabel(self) -> bool:
        """Whether an image can have several labels, or none."""
        return any(len(sample.labels) != 1 for sample in self.samples)

    @property
    def has_splits(self) -> bool:
        """Whether every image was given a split."""
        return all(sample.split for sample in self.samples)

    def name_of(self, place: int) -> str:
        """Return the path of an image relative to the data set's folder, for messages."""
        return within(self.samples[place].path, self.root)

    def subset(self, places: Iterable[int]) -> Dataset:
        """Return a data set of the images at these indices, in this order."""
        return replace(self, samples=tuple(self.samples[i] for i in places))

    def drop(self, places: Sequence[int]) -> Dataset:
        """Return the data set without the images at these indices."""
        left_out = set(places)
        return self.subset(i for i in range(len(self.samples)) if i not in left_out)


def within(path: Path, root: Path) -> str:
    """Return a path relative to a folder, or as it is if it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
