"""Which images a run uses, as what, and how they are divided."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from napari_cxr.training.recipe.tables import RecipeError, check

__all__ = ['DataRecipe', 'SplitRecipe']


@dataclass(frozen=True)
class DataRecipe:
    """Which images of a folder or a table are used, and as what.

    Images are named by the first 16 hexadecimal digits of the SHA-256 of their file,
    so a recipe names no path and no patient.

    Parameters
    ----------
    layout : {'auto', 'class', 'class/source', 'source/class', 'split/class'}
        What the sub-folders of a folder without a table mean.
    classes : dict of str to tuple of str
        Each class, and the labels that it is made of; labels that are not named are
        left out. Empty takes the labels as they are.
    patient : str
        Regular expression that finds the patient in a file's name: its first group,
        or all that it matches. Empty: by the table's column or the DICOM header.
    limit : int
        The most images a class in each split, for a trial; 0 for all.
    balance : bool
        Whether larger classes of the training split are cut to the size of the smallest.
    duplicates : bool
        Whether near-duplicates count as images of one patient.
    together : tuple of tuple of str
        Images that a person put into one group.
    exclude : tuple of str
        Images that a person left out.
    bits : {8, 16}
        Of the images that are kept at working size.
    """

    layout: Literal['auto', 'class', 'class/source', 'source/class', 'split/class'] = 'auto'
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    patient: str = ''
    limit: int = 0
    balance: bool = False
    duplicates: bool = True
    together: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()
    bits: Literal[8, 16] = 8

    def __post_init__(self) -> None:
        check(self.limit >= 0, 'data.limit', 'at least 0')
        check(len(self.classes) != 1, 'data.classes', 'empty, or two classes or more')
        named = all(name and '|' not in name for name in self.classes)
        check(named, 'data.classes', "so that each class has a name, without '|'")
        taken = [label for labels in self.classes.values() for label in labels]
        check(len(set(taken)) == len(taken), 'data.classes', 'so that no label is in two classes')
        check(
            all(self.classes.values()), 'data.classes', 'a list of labels, at least one, for each'
        )
        try:
            re.compile(self.patient)
        except re.error as error:
            raise RecipeError(f'data.patient is no regular expression: {error}.') from None


@dataclass(frozen=True)
class SplitRecipe:
    """How images are divided; a patient never stands on two sides.

    Parameters
    ----------
    method : {'auto', 'given', 'holdout', 'k-fold', 'leave-source-out'}
        The table's own splits; shares held out by patient; each of `folds` equal parts
        in turn as the test split; sources in turn as the test split. Auto takes the
        table's splits where every image has one, else it holds out.
    val, test : float
        Shares to hold out, of all images. In k-fold and leave-source-out, `val` is the
        share of what is left after the test split.
    folds : int
        Of k-fold.
    fold : int
        The one fold to run, from 1; 0 runs them all.
    left_out : tuple of tuple of str
        Of leave-source-out: the sets of sources that are left out, one fold each. A source
        may be in several. Empty leaves out each source in turn.
    then_all : bool
        Of k-fold and leave-source-out: whether one more network then learns from all
        images, but for the share `val`. It is the result, and its card says what the folds
        reached on what they had not seen.
    """

    method: Literal['auto', 'given', 'holdout', 'k-fold', 'leave-source-out'] = 'auto'
    val: float = 0.15
    test: float = 0.2
    folds: int = 5
    fold: int = 0
    left_out: tuple[tuple[str, ...], ...] = ()
    then_all: bool = False

    def __post_init__(self) -> None:
        check(0 < self.val <= 0.5, 'split.val', 'above 0 and at most 0.5')
        check(0 <= self.test <= 0.5, 'split.test', 'between 0 and 0.5')
        check(self.val + self.test < 1, 'split.val', 'so small that images are left to learn from')
        check(2 <= self.folds <= 100, 'split.folds', 'between 2 and 100')
        check(0 <= self.fold <= self.folds, 'split.fold', 'between 0 and the number of folds')
        by_source = self.method == 'leave-source-out'
        check(
            by_source or not self.left_out,
            'split.left_out',
            "empty, unless split.method is 'leave-source-out'",
        )
        check(
            by_source or self.method == 'k-fold' or not self.then_all,
            'split.then_all',
            "false, unless split.method is 'k-fold' or 'leave-source-out'",
        )
        sets = [frozenset(names) for names in self.left_out]
        whole = all(
            len(one) == len(names) > 0 for one, names in zip(sets, self.left_out, strict=True)
        )
        check(whole, 'split.left_out', 'lists of sources, at least one in each, and each once')
        check(len(set(sets)) == len(sets), 'split.left_out', 'lists of which no two are the same')
