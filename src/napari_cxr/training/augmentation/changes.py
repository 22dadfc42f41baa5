"""What happens to each training image, drawn from one seed. Without torch.

The parameters of an image depend on (seed, epoch, place of the image) and on
nothing else: not on the batch it falls into, the number of threads, or whether
the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_cxr.training.recipe import AugmentationRecipe
from napari_cxr.training.recipe.image import COLOURED

__all__ = ['Changes', 'ColourChanges', 'Rectangles', 'draw']

#: Numbers that each image draws: those of the first recipes, a seed, and then those of
#: later entries, so that a recipe without these still draws what it always drew.
#: They are drawn in the order in which they came; what is new is added at the end.
_FIRST, _LATER = 10, 41
#: The most rectangles that are erased, numbers that each takes, and their longest side.
_RECTANGLES, _OF_EACH, _LONGEST = 4, 5, 0.3
_GEOMETRY = ('rotation', 'shear', 'zoom', 'shift', 'crop', 'pad', 'flip', 'flip_vertical')


@dataclass(frozen=True, eq=False)
class ColourChanges:
    """What happens to the colours of each image of a batch of n, in this order.

    Parameters
    ----------
    shift_rgb : ndarray of float64, shape (n, 3)
        Added to red, green and blue.
    hue, saturation : ndarray of float64, shape (n,)
        Turn as a share of the circle, and factor.
    shift_hsv : ndarray of float64, shape (n, 3)
        Added to hue, saturation and value.
    grey : ndarray of bool, shape (n,)
        Which images end up grey.
    """

    shift_rgb: np.ndarray
    hue: np.ndarray
    saturation: np.ndarray
    shift_hsv: np.ndarray
    grey: np.ndarray


@dataclass(frozen=True, eq=False)
class Rectangles:
    """What is erased of each image of a batch of n, at most m rectangles each.

    Parameters
    ----------
    boxes : ndarray of float64, shape (n, m, 4)
        Top, bottom, left and right, as shares of height and width; they may reach beyond.
    values : ndarray of float64, shape (n, m)
        The grey that they become.
    there : ndarray of bool, shape (n, m)
        Which of them there are.
    """

    boxes: np.ndarray
    values: np.ndarray
    there: np.ndarray


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to each image of a batch of n.

    Parameters
    ----------
    matrices : ndarray of float64, shape (n, 2, 2)
        From an offset (x, y) to the centre in the new image to that in the old,
        in pixels.
    shifts : ndarray of float64, shape (n, 2)
        Added to it, as shares of width and height.
    gamma, contrast, brightness, noise : ndarray of float64, shape (n,)
        Exponent, factor, summand, standard deviation.
    seeds : ndarray of uint64, shape (n,)
        Of the noise.
    moved : bool
        Whether geometry changes at all; if not, images are not resampled.
    fill : {'black', 'edge'}
        What comes from outside of an image.
    multiply : ndarray of float64, shape (n,), or None
        Factor of all grey values; None for no change.
    equalise : ndarray of bool, shape (n,), or None
        Whose histogram is equalised; None for no image's.
    colour : ColourChanges or None
        None leaves the images grey, with one channel.
    sharpen, blur, resolution : ndarray of float64, shape (n,), or None
        Share of fine detail that is added; standard deviation in pixels; by how many
        times there are fewer pixels in a row. None for no change.
    jpeg : ndarray of int, shape (n,), or None
        Quality; None for no JPEG.
    erase : Rectangles or None
        None erases nothing.
    """

    matrices: np.ndarray
    shifts: np.ndarray
    gamma: np.ndarray
    contrast: np.ndarray
    brightness: np.ndarray
    noise: np.ndarray
    seeds: np.ndarray
    moved: bool = True
    fill: Literal['black', 'edge'] = 'black'
    multiply: np.ndarray | None = None
    equalise: np.ndarray | None = None
    colour: ColourChanges | None = None
    sharpen: np.ndarray | None = None
    blur: np.ndarray | None = None
    resolution: np.ndarray | None = None
    jpeg: np.ndarray | None = None
    erase: Rectangles | None = None


def draw(recipe: AugmentationRecipe, seed: int, epoch: int, places: Sequence[int]) -> Changes:
    """Draw the changes of some images.

    Parameters
    ----------
    recipe : AugmentationRecipe
        How far they may go. `only` and `doubled` say which images are changed, and are
        for whoever chooses `places`.
    seed, epoch : int
        Of the run, and which pass.
    places : sequence of int
        Of the images in the data set.
    """
    u = np.empty((len(places), _FIRST))
    seeds = np.empty(len(places), dtype=np.uint64)
    v = np.empty((len(places), _LATER))
    for row, place in enumerate(places):
        random = np.random.default_rng((seed, epoch, int(place)))
        u[row] = random.uniform(-1, 1, _FIRST)
        seeds[row] = random.integers(2**63)
        v[row] = random.uniform(-1, 1, _LATER)
    matrices, shifts = _geometry(recipe, u, v)
    coloured = any(getattr(recipe, name) for name in COLOURED)
    share = (v + 1) / 2  # in (0, 1)
    quality = np.floor(recipe.jpeg + (101 - recipe.jpeg) * share[:, 18]).astype(int)
    return Changes(
        matrices=matrices,
        shifts=shifts,
        gamma=(1 + recipe.gamma) ** u[:, 6],
        contrast=(1 + recipe.contrast) ** u[:, 7],
        brightness=recipe.brightness * u[:, 8],
        noise=recipe.noise * (u[:, 9] + 1) / 2,
        seeds=seeds,
        moved=any(getattr(recipe, name) for name in _GEOMETRY),
        fill=recipe.fill,
        multiply=(1 + recipe.multiply) ** v[:, 4] if recipe.multiply else None,
        equalise=_happens(v[:, 5], recipe.equalise) if recipe.equalise else None,
        colour=_colour(recipe, v[:, 6:]) if coloured else None,
        sharpen=recipe.sharpen * share[:, 15] if recipe.sharpen else None,
        blur=recipe.blur * share[:, 16] if recipe.blur else None,
        resolution=(1 + recipe.resolution) ** share[:, 17] if recipe.resolution else None,
        jpeg=quality if recipe.jpeg else None,
        erase=_rectangles(recipe.erase, v[:, 19:]) if recipe.erase else None,
    )


def _geometry(
    recipe: AugmentationRecipe, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compose all of geometry into one matrix and one shift an image.

    In the way from the new image to the old: turned, sheared, resized, mirrored and cut
    about its own centre; that centre shifted, to a random place where it is cut; and all
    of it in an image that has margins.
    """
    angle = np.deg2rad(recipe.rotation) * u[:, 0]
    slant = np.tan(np.deg2rad(recipe.shear) * u[:, 1])
    # Even on a log scale, so that twice as large is as likely as half as large.
    size = (1 + recipe.zoom) ** -u[:, 2]
    turned = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1)
    sheared = np.zeros((len(u), 2, 2))
    sheared[:, 0, 0] = sheared[:, 1, 1] = 1
    sheared[:, 0, 1] = slant
    matrices = turned.reshape(-1, 2, 2) @ sheared * size[:, None, None]
    matrices[_happens(u[:, 3], recipe.flip), :, 0] *= -1
    matrices[_happens(v[:, 3], recipe.flip_vertical), :, 1] *= -1
    with_margins = 1 + recipe.pad * (v[:, 2] + 1)  # one on either side
    matrices *= (1 - recipe.crop) * with_margins[:, None, None]
    shifts = (recipe.shift * u[:, 4:6] + recipe.crop / 2 * v[:, :2]) * with_margins[:, None]
    return matrices, shifts


def _colour(recipe: AugmentationRecipe, v: np.ndarray) -> ColourChanges:
    return ColourChanges(
        saturation=(1 + recipe.saturation) ** v[:, 0],
        hue=recipe.hue * v[:, 1],
        shift_rgb=recipe.shift_rgb * v[:, 2:5],
        shift_hsv=recipe.shift_hsv * v[:, 5:8],
        grey=_happens(v[:, 8], recipe.grey),
    )


def _rectangles(often: float, v: np.ndarray) -> Rectangles:
    share = (v + 1) / 2
    count = np.floor(1 + _RECTANGLES * share[:, 1]) * _happens(v[:, 0], often)
    each = share[:, 2:].reshape(len(v), _RECTANGLES, _OF_EACH)
    middle, half = each[..., :2], _LONGEST / 2 * each[..., 2:4]
    edges = np.stack([middle - half, middle + half], axis=-1)
    there = np.arange(_RECTANGLES) < count[:, None]
    return Rectangles(edges.reshape(len(v), _RECTANGLES, 4), each[..., 4], there)


def _happens(u: np.ndarray, probability: float) -> np.ndarray:
    # u is uniform in (-1, 1), so (u + 1) / 2 < p happens with probability p.
    happens: np.ndarray = (u + 1) / 2 < probability
    return happens
