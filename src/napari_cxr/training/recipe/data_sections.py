"""Sections of a recipe on its images: which are used, how they are split and augmented."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from napari_cxr.image_tables import CHOSEN_COLUMNS
from napari_cxr.training.recipe.schema import RecipeError, check_entry

__all__ = ['COLOURED', 'AugmentationRecipe', 'DataRecipe', 'SplitRecipe']


@dataclass(frozen=True)
class DataRecipe:
    """Which images of a folder or a table are used, and their classes.

    Images are named by the first 16 hexadecimal digits of the SHA-256 of their file,
    so a recipe contains no path and no patient.

    Parameters
    ----------
    layout : {'auto', 'class', 'class/source', 'source/class', 'split/class'}
        The meaning of sub-folders, if there is no table.
    classes : dict of str to tuple of str
        The labels that make up each class; images with no listed label are not used.
        If empty, each label is a class.
    columns : dict of str to str
        What a table calls its columns, where it has names of its own: of 'path', 'label',
        'patient', 'source', 'split' and 'view'.
    patient : str
        Regular expression that finds the patient in a file's name: its first group, or
        the whole match. If empty, the table's column or the DICOM header is used.
    limit : int
        The most images of each class in each split, for a quick trial; 0 for all.
    balance : bool
        Whether larger classes of the training split are reduced to the size of the
        smallest.
    duplicates : bool
        Whether near-duplicates count as images of the same patient.
    together : tuple of tuple of str
        Images that a person put into one group, as if of the same patient.
    exclude : tuple of str
        Images that a person excluded.
    bits : {8, 16}
        Bits per pixel of the cached images.
    """

    layout: Literal['auto', 'class', 'class/source', 'source/class', 'split/class'] = 'auto'
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    patient: str = ''
    limit: int = 0
    balance: bool = False
    duplicates: bool = True
    together: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()
    bits: Literal[8, 16] = 8

    def __post_init__(self) -> None:
        check_entry(self.limit >= 0, 'data.limit', 'at least 0')
        check_entry(len(self.classes) != 1, 'data.classes', 'empty, or two classes or more')
        named = all(name and '|' not in name for name in self.classes)
        check_entry(named, 'data.classes', "so that each class has a name, without '|'")
        known = ', '.join(CHOSEN_COLUMNS)
        named = self.columns.keys() <= CHOSEN_COLUMNS.keys() and all(self.columns.values())
        check_entry(named, 'data.columns', f'names of columns, each for one of {known}')
        taken = [label for labels in self.classes.values() for label in labels]
        check_entry(
            len(set(taken)) == len(taken), 'data.classes', 'so that no label is in two classes'
        )
        check_entry(
            all(self.classes.values()), 'data.classes', 'a list of labels, at least one, for each'
        )
        try:
            re.compile(self.patient)
        except re.error as error:
            raise RecipeError(f'data.patient is not a regular expression: {error}.') from None


@dataclass(frozen=True)
class SplitRecipe:
    """How images are split; a patient is never in two splits.

    Parameters
    ----------
    method : {'auto', 'given', 'holdout', 'k-fold', 'leave-source-out'}
        The table's own splits; fractions held out by patient; each of `folds` equal parts
        in turn as the test split; sources in turn as the test split. Auto takes the
        table's splits if every image has one, else it holds out fractions.
    val, test : float
        Fractions of all images to hold out. In k-fold and leave-source-out, `val` is the
        fraction of the images that are not in the test split.
    folds : int
        Number of folds of k-fold.
    fold : int
        The only fold to run, from 1; 0 runs all.
    left_out : tuple of tuple of str
        For leave-source-out: sets of held-out sources, one fold each. A source may be in
        several sets. If empty, each source is held out in turn.
    then_all : bool
        For k-fold and leave-source-out: whether one more network is finally trained on all
        images except the fraction `val`. It is the result, and its card has the metrics of
        the folds.
    seed : int or None
        Seed of the split, so that runs with other seeds use the same images for each part; by
        default the recipe's own seed.
    """

    method: Literal['auto', 'given', 'holdout', 'k-fold', 'leave-source-out'] = 'auto'
    val: float = 0.15
    test: float = 0.2
    folds: int = 5
    fold: int = 0
    left_out: tuple[tuple[str, ...], ...] = ()
    then_all: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        possible = self.seed is None or 0 <= self.seed < 2**32
        check_entry(possible, 'split.seed', "between 0 and 4294967295, or 'none'")
        check_entry(0 < self.val <= 0.5, 'split.val', 'above 0 and at most 0.5')
        check_entry(0 <= self.test <= 0.5, 'split.test', 'between 0 and 0.5')
        check_entry(
            self.val + self.test < 1, 'split.val', 'so small that images are left for training'
        )
        check_entry(2 <= self.folds <= 100, 'split.folds', 'between 2 and 100')
        check_entry(
            0 <= self.fold <= self.folds, 'split.fold', 'between 0 and the number of folds'
        )
        by_source = self.method == 'leave-source-out'
        check_entry(
            by_source or not self.left_out,
            'split.left_out',
            "empty, unless split.method is 'leave-source-out'",
        )
        check_entry(
            by_source or self.method == 'k-fold' or not self.then_all,
            'split.then_all',
            "false, unless split.method is 'k-fold' or 'leave-source-out'",
        )
        sets = [frozenset(names) for names in self.left_out]
        whole = all(
            len(one) == len(names) > 0 for one, names in zip(sets, self.left_out, strict=True)
        )
        check_entry(
            whole, 'split.left_out', 'lists of sources, at least one in each, and each once'
        )
        check_entry(
            len(set(sets)) == len(sets), 'split.left_out', 'lists of which no two are the same'
        )


#: What needs three channels.
COLOURED = ('saturation', 'hue', 'shift_rgb', 'shift_hsv', 'grey')


@dataclass(frozen=True)
class AugmentationRecipe:
    """How far a training image is changed each time it is used.

    All geometric changes are one resampling. Each image gets random numbers of its own.

    Parameters
    ----------
    rotation : float
        Largest angle in either direction, in degrees.
    shear : float
        Largest shear in either direction, in degrees.
    zoom : float
        Largest change of size in either direction, as a fraction.
    shift : float
        Largest shift in either direction, as a fraction of the side.
    crop : float
        Fraction of each side that is cropped at a random position; the rest fills the
        input.
    pad : float
        Largest margin added around the image, as a fraction of the side.
    flip : float
        Probability of a horizontal flip.
    flip_vertical : float
        Probability of a vertical flip.
    brightness : float
        Largest change in either direction, as a fraction of the grey scale.
    contrast : float
        The largest factor, or its inverse, is 1 plus this; uniform on a log scale.
    gamma : float
        The largest exponent, or its inverse, is 1 plus this; uniform on a log scale.
    multiply : float
        The largest factor of all grey values, or its inverse, is 1 plus this; uniform on
        a log scale.
    equalise : float
        Probability of histogram equalisation.
    noise : float
        Largest standard deviation of added noise, as a fraction of the grey scale.
    sharpen : float
        Largest amount of unsharp masking (with a blur of 1.5 pixels).
    blur : float
        Largest standard deviation of a Gaussian blur, in pixels of the input.
    resolution : float
        Images are downsampled by a factor of up to 1 plus this, and upsampled again;
        uniform on a log scale.
    jpeg : int
        Lowest quality of JPEG compression, from 1; the highest is 100. 0 for none.
    erase : float
        Probability that one to four rectangles, of up to 30 % of the sides, are filled with
        a constant grey, so that a network cannot rely on text and markers.
    saturation : float
        The largest factor, or its inverse, is 1 plus this. Grey images have no saturation.
    hue : float
        Largest change in either direction, as a fraction of the colour circle. Grey images
        have no hue.
    shift_rgb : float
        Largest change of red, green and blue each in either direction, as a fraction of
        the scale.
    shift_hsv : float
        Largest change of hue, saturation and value each in either direction, as a
        fraction.
    grey : float
        Probability that an image becomes grey after these changes of colour.
    fill : {'black', 'edge'}
        What lies outside of the image: black, or its edge pixels repeated.
    only : tuple of str
        The classes that are augmented; empty for all.
    doubled : bool
        Whether each image of these classes is used twice in an epoch, once unchanged and
        once with a fixed change, instead of a new change each time.
    """

    rotation: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    crop: float = 0.0
    pad: float = 0.0
    flip: float = 0.0
    flip_vertical: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    multiply: float = 0.0
    equalise: float = 0.0
    noise: float = 0.0
    sharpen: float = 0.0
    blur: float = 0.0
    resolution: float = 0.0
    jpeg: int = 0
    erase: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    shift_rgb: float = 0.0
    shift_hsv: float = 0.0
    grey: float = 0.0
    fill: Literal['black', 'edge'] = 'black'
    only: tuple[str, ...] = ()
    doubled: bool = False

    def __post_init__(self) -> None:
        for name, most in (
            ('rotation', 180),
            ('shear', 45),
            ('zoom', 0.9),
            ('shift', 0.5),
            ('crop', 0.9),
            ('pad', 1),
            ('contrast', 4),
            ('gamma', 4),
            ('multiply', 4),
            ('saturation', 4),
            ('hue', 0.5),
            ('sharpen', 10),
            ('blur', 50),
            ('resolution', 15),
            ('jpeg', 100),
        ):
            value = getattr(self, name)
            check_entry(0 <= value <= most, f'augmentation.{name}', f'between 0 and {most}')
        for name in (
            'flip',
            'flip_vertical',
            'brightness',
            'noise',
            'equalise',
            'erase',
            'shift_rgb',
            'shift_hsv',
            'grey',
        ):
            value = getattr(self, name)
            check_entry(0 <= value <= 1, f'augmentation.{name}', 'between 0 and 1')

    @property
    def changes(self) -> bool:
        """Whether any image is changed at all."""
        plain = AugmentationRecipe(fill=self.fill, only=self.only, doubled=self.doubled)
        return self != plain
