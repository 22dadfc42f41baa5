"""How training images are changed, so that a network learns what does not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_cxr.training.recipe.tables import check

__all__ = ['COLOURED', 'AugmentationRecipe']

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
            check(0 <= value <= most, f'augmentation.{name}', f'between 0 and {most}')
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
            check(0 <= value <= 1, f'augmentation.{name}', 'between 0 and 1')

    @property
    def changes(self) -> bool:
        """Whether any image is changed at all."""
        plain = AugmentationRecipe(fill=self.fill, only=self.only, doubled=self.doubled)
        return self != plain
