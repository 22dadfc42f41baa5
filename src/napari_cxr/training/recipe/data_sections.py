"""Which images a run uses, as what, how they are divided, and how they are changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from napari_cxr.training.recipe.schema import RecipeError, check_entry

__all__ = ['COLOURED', 'AugmentationRecipe', 'DataRecipe', 'SplitRecipe']


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
        check_entry(self.limit >= 0, 'data.limit', 'at least 0')
        check_entry(len(self.classes) != 1, 'data.classes', 'empty, or two classes or more')
        named = all(name and '|' not in name for name in self.classes)
        check_entry(named, 'data.classes', "so that each class has a name, without '|'")
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
        check_entry(0 < self.val <= 0.5, 'split.val', 'above 0 and at most 0.5')
        check_entry(0 <= self.test <= 0.5, 'split.test', 'between 0 and 0.5')
        check_entry(
            self.val + self.test < 1, 'split.val', 'so small that images are left to learn from'
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
    """How far a training image is changed each time it is seen.

    All of geometry is one resampling. Each image draws numbers of its own.

    Parameters
    ----------
    rotation : float
        Largest angle either way, degrees.
    shear : float
        Largest shear either way, degrees.
    zoom : float
        Largest change of size either way, as a share.
    shift : float
        Largest shift either way, as a share of the side.
    crop : float
        Share of each side that is cut away, at a random place; the rest fills the input.
    pad : float
        Largest margin that is added around the image, as a share of the side.
    flip : float
        How often left and right are exchanged.
    flip_vertical : float
        How often up and down are exchanged.
    brightness : float
        Largest change either way, as a share of the range.
    contrast : float
        Largest factor either way is 1 plus this, even on a log scale.
    gamma : float
        Largest exponent either way is 1 plus this, even on a log scale.
    multiply : float
        Largest factor of all grey values either way is 1 plus this, even on a log scale.
    equalise : float
        How often the histogram is equalised.
    noise : float
        Largest standard deviation of added noise, as a share of the range.
    sharpen : float
        Largest share of fine detail that is added (unsharp masking with 1.5 pixels).
    blur : float
        Largest standard deviation of a Gaussian, in pixels of the input.
    resolution : float
        Largest factor by which an image is made coarser is 1 plus this, even on a log
        scale: it is resampled down by it, and up again.
    jpeg : int
        Lowest quality of a JPEG file through which an image goes, from 1; the highest is
        100. 0 for no JPEG.
    erase : float
        How often one to four rectangles, of up to 30 % of the sides, become a constant
        grey: text and markers can then not be relied upon.
    saturation : float
        Largest factor either way is 1 plus this. A grey image has none to change.
    hue : float
        Largest turn either way, as a share of the circle. A grey image has none to turn.
    shift_rgb : float
        Largest change of each of red, green and blue either way, as a share of the range.
    shift_hsv : float
        Largest change of each of hue, saturation and value either way, as a share.
    grey : float
        How often an image becomes grey after these changes of colour.
    fill : {'black', 'edge'}
        What comes from outside of the image: black, or its outermost pixels drawn out.
    only : tuple of str
        The classes that are changed; empty for all.
    doubled : bool
        Whether each image of these classes is used twice an epoch, once as it is and once
        with one change that stays the same, instead of a new change each time.
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
