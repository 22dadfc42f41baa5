"""Random changes of training images, each image with its own, all from one seed.

The parameters of an image depend on (seed, epoch, place of the image) and on nothing else:
not on the batch it falls into, the number of threads, or whether the run was interrupted.

They are applied to a batch as one resampling, then to grey values, detail, and colours.
All images of a batch go through the same few operations on their device, each with numbers
of its own, so a batch costs hardly more calls than one image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_cxr.training.image_operations import (
    LUMA,
    blurred,
    coarser,
    compressed,
    hsv_to_rgb,
    rgb_to_hsv,
    sharpened,
    standard_normal,
)
from napari_cxr.training.recipe import AugmentationRecipe, Recipe
from napari_cxr.training.recipe.data_sections import COLOURED

__all__ = ['Changes', 'ColourChanges', 'Rectangles', 'augment', 'draw', 'preview']

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


#: Grey values that equalising tells apart: more than 8 bits have, few enough to count.
_LEVELS = 4096


def augment(images: Tensor, changes: Changes) -> Tensor:
    """Change images.

    Grey values change in the order gamma, multiply, contrast (about the image's mean),
    brightness, equalise. Then come sharpen, blur, resolution, noise, erase and JPEG; last
    colours, in the order of `ColourChanges`.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 1, h, w)
        In [0, 1].
    changes : Changes
        One for each.

    Returns
    -------
    Tensor of float32, shape (n, 1, h, w), or (n, 3, h, w) where colours change
        In [0, 1]; three channels are red, green and blue.
    """
    # A recipe's entry is 0 for all images or, but by a chance of nothing, for none: what
    # is left out below does not depend on the batch.
    out = _moved(images, changes) if changes.moved else images
    if (changes.gamma != 1).any():
        out = out.clamp(0, 1) ** _each(changes.gamma, images)
    if changes.multiply is not None:
        out = out * _each(changes.multiply, images)
    if (changes.contrast != 1).any() or changes.brightness.any():
        mean = out.mean(dim=(1, 2, 3), keepdim=True)
        out = (out - mean).mul_(_each(changes.contrast, images)).add_(mean)
        out = out.add_(_each(changes.brightness, images))
    if changes.equalise is not None and changes.equalise.any():
        chosen = torch.from_numpy(np.flatnonzero(changes.equalise)).to(images.device)
        out = out.index_copy(0, chosen, _equalised(out[chosen].clamp(0, 1)))
    if changes.sharpen is not None:
        out = sharpened(out, changes.sharpen)
    if changes.blur is not None:
        out = blurred(out, changes.blur)
    if changes.resolution is not None:
        out = coarser(out, changes.resolution)
    if changes.noise.any():
        fields = standard_normal(changes.seeds, images.shape[2:], images.device)
        out = out + fields.mul_(_each(changes.noise, images))
    if changes.erase is not None:
        out = _erased(out, changes.erase)
    out = out.clamp(0, 1)
    if changes.jpeg is not None:
        out = compressed(out, changes.jpeg)
    return out if changes.colour is None else _recoloured(out, changes.colour)


def _each(values: np.ndarray, images: Tensor) -> Tensor:
    """Return a number an image, (n,) or (n, channels), as a tensor that broadcasts."""
    each = torch.from_numpy(values.astype(np.float32)).to(images.device)
    return each.reshape(len(values), -1, 1, 1)


def _moved(images: Tensor, changes: Changes) -> Tensor:
    n, _, height, width = images.shape
    # grid_sample counts from -1 to 1 over each axis; pixels are only square in pixels.
    half = np.array([width / 2, height / 2])
    theta = np.empty((n, 2, 3), dtype=np.float32)
    theta[:, :, :2] = changes.matrices * (half[None, None, :] / half[None, :, None])
    theta[:, :, 2] = 2 * changes.shifts
    along_x, along_y, start = torch.from_numpy(theta).to(images.device)[:, None].unbind(-1)
    # As functional.affine_grid, in a third of its time: no product of matrices is needed.
    columns = along_x * _centres(width, images)
    rows = along_y * _centres(height, images) + start
    grid = columns[:, None] + rows[:, :, None]
    outside = {'black': 'zeros', 'edge': 'border'}[changes.fill]
    return functional.grid_sample(images, grid, padding_mode=outside, align_corners=False)


def _centres(pixels: int, images: Tensor) -> Tensor:
    """Return the centres of pixels of an axis that goes from -1 to 1, shape (pixels, 1)."""
    count = torch.arange(pixels, device=images.device, dtype=images.dtype)[:, None]
    return (2 * count + 1) / pixels - 1


def _equalised(images: Tensor) -> Tensor:
    """Map each grey value to the share of pixels up to it, the darkest to 0.

    ``(cdf(v) - cdf(darkest)) / (1 - cdf(darkest))``, as OpenCV's equalizeHist: what is
    black around an image stays black, and takes no room from the rest. An image of one
    value stays as it is.
    """
    n, pixels = len(images), images[0].numel()
    level = (images.reshape(n, -1) * (_LEVELS - 1)).round().long()
    counts = torch.zeros(n, _LEVELS, device=images.device)
    # Whole numbers below 2 ** 24 are exact in single precision, in any order of adding.
    counts.scatter_add_(1, level, torch.ones_like(level, dtype=counts.dtype))
    below = counts.cumsum(1).gather(1, level)
    darkest = below.amin(1, keepdim=True)
    out = (below - darkest) / (pixels - darkest).clamp(min=1)
    return torch.where(darkest < pixels, out, images.reshape(n, -1)).reshape(images.shape)


def _erased(images: Tensor, erased: Rectangles) -> Tensor:
    """Fill the pixels whose centres are in a rectangle; a later one covers an earlier."""
    height, width = images.shape[2:]
    rows, columns = ((np.arange(side) + 0.5) / side for side in (height, width))
    top, bottom, left, right = erased.boxes.transpose(2, 0, 1)[..., None]
    down = torch.from_numpy((rows >= top) & (rows < bottom) & erased.there[..., None])
    across = torch.from_numpy((columns >= left) & (columns < right))
    down, across = down.to(images.device), across.to(images.device)
    for place in range(erased.there.shape[1]):
        inside = down[:, None, place, :, None] & across[:, None, place, None, :]
        images = torch.where(inside, _each(erased.values[:, place], images), images)
    return images


def _recoloured(grey: Tensor, changes: ColourChanges) -> Tensor:
    rgb = (grey + _each(changes.shift_rgb, grey)).clamp(0, 1)
    if changes.hue.any() or (changes.saturation != 1).any() or changes.shift_hsv.any():
        hue, saturation, value = rgb_to_hsv(rgb).unbind(1)
        shift = _each(changes.shift_hsv, grey)
        turn, factor = _each(changes.hue, grey)[:, 0], _each(changes.saturation, grey)[:, 0]
        hue = hue + (turn + shift[:, 0])  # any number of turns is as good
        saturation = (saturation * factor + shift[:, 1]).clamp(0, 1)
        value = (value + shift[:, 2]).clamp(0, 1)
        rgb = hsv_to_rgb(torch.stack([hue, saturation, value], dim=1))
    if not changes.grey.any():
        return rgb
    luma = sum(weight * rgb[:, i : i + 1] for i, weight in enumerate(LUMA))
    becomes_grey = torch.from_numpy(changes.grey).to(grey.device)[:, None, None, None]
    return torch.where(becomes_grey, luma, rgb)


def preview(
    images: np.ndarray, recipe: Recipe, seed: int = 0, labels: Sequence[str] = ()
) -> np.ndarray:
    """Show images before and after the recipe's changes.

    Parameters
    ----------
    images : ndarray of uint8 or uint16, shape (n, h, w)
        At working size, as they are trained on.
    recipe : Recipe
        Its `augmentation` and `input`.
    seed : int
        Another one shows other changes.
    labels : sequence of str
        The label of each image, several joined by '|'. Needed where the recipe changes
        some classes only; without them all are changed.

    Returns
    -------
    ndarray of uint8, shape (k, n, 2, h, w, 3)
        Red, green and blue of each image as it is, and as it may be trained on. A second
        picture (k = 2) follows for networks that see hue, saturation and value: these,
        drawn as red, green and blue.
    """
    plain = torch.from_numpy(images / np.float32(np.iinfo(images.dtype).max))[:, None]
    changed = augment(plain, draw(recipe.augmentation, seed, 0, range(len(images))))
    plain, changed = plain.expand(-1, 3, -1, -1), changed.expand(-1, 3, -1, -1)
    only = set(recipe.augmentation.only)
    if only and labels:
        kept = torch.tensor([only.isdisjoint(label.split('|')) for label in labels])
        changed = torch.where(kept[:, None, None, None], plain, changed)
    pairs = [torch.stack([plain, changed], dim=1)]
    if recipe.input.colour == 'hsv':
        pairs.append(torch.stack([rgb_to_hsv(plain), rgb_to_hsv(changed)], dim=1))
    return _drawn(torch.stack(pairs))


def _drawn(pictures: Tensor) -> np.ndarray:
    drawn: np.ndarray = (pictures * 255).round().to(torch.uint8).movedim(-3, -1).numpy()
    return drawn
