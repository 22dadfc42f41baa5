"""Augmentation: random changes of training images, each with its own, all from one seed.

The parameters of an image depend on (seed, epoch, index of the image) and on nothing else:
not on its batch, the number of threads, or whether the run was interrupted.

A batch is resampled once, then grey values, detail and colours are changed. All images of a
batch go through the same few operations on their device, each with its own parameters, so a
batch needs hardly more calls than one image.
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

#: Random numbers of each image: those of the first recipes, a seed, and then those of later
#: entries, so a recipe without these still draws the same numbers. New ones are added at the
#: end.
_FIRST, _LATER = 10, 41

#: The most rectangles that are erased, random numbers of each, and their longest side.
_RECTANGLES, _OF_EACH, _LONGEST = 4, 5, 0.3

_GEOMETRY = ('rotation', 'shear', 'zoom', 'shift', 'crop', 'pad', 'flip', 'flip_vertical')


@dataclass(frozen=True, eq=False)
class ColourChanges:
    """Changes of the colours of each image of a batch of n, in this order.

    Parameters
    ----------
    shift_rgb : ndarray of float64, shape (n, 3)
        Added to red, green and blue.
    hue, saturation : ndarray of float64, shape (n,)
        Rotation as a fraction of the circle, and factor.
    shift_hsv : ndarray of float64, shape (n, 3)
        Added to hue, saturation and value.
    grey : ndarray of bool, shape (n,)
        Images that become grey.
    """

    shift_rgb: np.ndarray
    hue: np.ndarray
    saturation: np.ndarray
    shift_hsv: np.ndarray
    grey: np.ndarray


@dataclass(frozen=True, eq=False)
class Rectangles:
    """Rectangles to erase in each image of a batch of n, at most m in each.

    Parameters
    ----------
    boxes : ndarray of float64, shape (n, m, 4)
        Top, bottom, left and right, as fractions of height and width; they may reach beyond.
    values : ndarray of float64, shape (n, m)
        Their grey value.
    there : ndarray of bool, shape (n, m)
        Which of them exist.
    """

    boxes: np.ndarray
    values: np.ndarray
    there: np.ndarray


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes of each image of a batch of n.

    Parameters
    ----------
    matrices : ndarray of float64, shape (n, 2, 2)
        From the offset (x, y) from the centre in the new image to that in the old one,
        in pixels.
    shifts : ndarray of float64, shape (n, 2)
        Added to it, as fractions of width and height.
    gamma, contrast, brightness, noise : ndarray of float64, shape (n,)
        Exponent, factor, offset, standard deviation.
    seeds : ndarray of uint64, shape (n,)
        Seeds of the noise.
    moved : bool
        Whether geometry changes at all; if not, images are not resampled.
    fill : {'black', 'edge'}
        What lies outside of an image.
    multiply : ndarray of float64, shape (n,), or None
        Factor of all grey values; None for no change.
    equalise : ndarray of bool, shape (n,), or None
        Images whose histogram is equalised; None for none.
    colour : ColourChanges or None
        None leaves the images grey, with one channel.
    sharpen, blur, resolution : ndarray of float64, shape (n,), or None
        Amount of fine detail that is added; standard deviation in pixels; factor by which
        images are downsampled. None for no change.
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
        Limits of the changes. The caller applies `only` and `doubled`, which say which
        images are changed.
    seed, epoch : int
        Seed of the run, and the epoch.
    places : sequence of int
        Indices of the images in the data set.
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
    unit = (v + 1) / 2  # in (0, 1)
    quality = np.floor(recipe.jpeg + (101 - recipe.jpeg) * unit[:, 18]).astype(int)
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
        sharpen=recipe.sharpen * unit[:, 15] if recipe.sharpen else None,
        blur=recipe.blur * unit[:, 16] if recipe.blur else None,
        resolution=(1 + recipe.resolution) ** unit[:, 17] if recipe.resolution else None,
        jpeg=quality if recipe.jpeg else None,
        erase=_rectangles(recipe.erase, v[:, 19:]) if recipe.erase else None,
    )


def _geometry(
    recipe: AugmentationRecipe, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compose all geometric changes into one matrix and one shift for each image.

    From the new image to the old one: rotated, sheared, resized, flipped and cropped about
    its own centre; the centre shifted, to a random position if it is cropped; and all of it
    in an image with margins.
    """
    angle = np.deg2rad(recipe.rotation) * u[:, 0]
    slant = np.tan(np.deg2rad(recipe.shear) * u[:, 1])
    # Uniform on a log scale, so that twice as large is as likely as half as large.
    size = (1 + recipe.zoom) ** -u[:, 2]
    turned = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1)
    sheared = np.zeros((len(u), 2, 2))
    sheared[:, 0, 0] = sheared[:, 1, 1] = 1
    sheared[:, 0, 1] = slant
    matrices = turned.reshape(-1, 2, 2) @ sheared * size[:, None, None]
    matrices[_happens(u[:, 3], recipe.flip), :, 0] *= -1
    matrices[_happens(v[:, 3], recipe.flip_vertical), :, 1] *= -1
    with_margins = 1 + recipe.pad * (v[:, 2] + 1)  # on both sides
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
    unit = (v + 1) / 2
    count = np.floor(1 + _RECTANGLES * unit[:, 1]) * _happens(v[:, 0], often)
    each = unit[:, 2:].reshape(len(v), _RECTANGLES, _OF_EACH)
    middle, half = each[..., :2], _LONGEST / 2 * each[..., 2:4]
    edges = np.stack([middle - half, middle + half], axis=-1)
    there = np.arange(_RECTANGLES) < count[:, None]
    return Rectangles(edges.reshape(len(v), _RECTANGLES, 4), each[..., 4], there)


def _happens(u: np.ndarray, probability: float) -> np.ndarray:
    # u is uniform in (-1, 1), so (u + 1) / 2 < p happens with probability p.
    happens: np.ndarray = (u + 1) / 2 < probability
    return happens


#: Bins of the histogram for equalisation: more than 8 bits have, few enough to count.
_LEVELS = 4096


def augment(images: Tensor, changes: Changes) -> Tensor:
    """Apply changes to images.

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
    # An entry of a recipe is 0 for all images or (almost surely) for none, so what is skipped
    # below does not depend on the batch.
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
    """Return numbers of each image, (n,) or (n, channels), as a tensor that broadcasts."""
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
    # As functional.affine_grid, in a third of the time, without a matrix product.
    columns = along_x * _centres(width, images)
    rows = along_y * _centres(height, images) + start
    grid = columns[:, None] + rows[:, :, None]
    outside = {'black': 'zeros', 'edge': 'border'}[changes.fill]
    return functional.grid_sample(images, grid, padding_mode=outside, align_corners=False)


def _centres(pixels: int, images: Tensor) -> Tensor:
    """Return the centres of pixels on an axis from -1 to 1, shape (pixels, 1)."""
    count = torch.arange(pixels, device=images.device, dtype=images.dtype)[:, None]
    return (2 * count + 1) / pixels - 1


def _equalised(images: Tensor) -> Tensor:
    """Map each grey value to the fraction of pixels up to it, the darkest to 0.

    ``(cdf(v) - cdf(darkest)) / (1 - cdf(darkest))``, as OpenCV's equalizeHist: black
    around an image stays black, and does not compress the rest. An image of one value does
    not change.
    """
    n, pixels = len(images), images[0].numel()
    level = (images.reshape(n, -1) * (_LEVELS - 1)).round().long()
    counts = torch.zeros(n, _LEVELS, device=images.device)
    # Integers below 2 ** 24 are exact in single precision, in any order of addition.
    counts.scatter_add_(1, level, torch.ones_like(level, dtype=counts.dtype))
    below = counts.cumsum(1).gather(1, level)
    darkest = below.amin(1, keepdim=True)
    out = (below - darkest) / (pixels - darkest).clamp(min=1)
    return torch.where(darkest < pixels, out, images.reshape(n, -1)).reshape(images.shape)


def _erased(images: Tensor, erased: Rectangles) -> Tensor:
    """Fill the pixels whose centres are in a rectangle; later ones cover earlier ones."""
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
        hue = hue + (turn + shift[:, 0])  # whole turns do not matter
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
    """Return images before and after augmentation, for display.

    Parameters
    ----------
    images : ndarray of uint8 or uint16, shape (n, h, w)
        At input size, as for training.
    recipe : Recipe
        Its `augmentation` and `input`.
    seed : int
        Another seed shows other changes.
    labels : sequence of str
        The label of each image, several joined by '|'. Needed if the recipe augments only
        some classes; without them all images are changed.

    Returns
    -------
    ndarray of uint8, shape (k, n, 2, h, w, 3)
        Red, green and blue of each image without and with augmentation. For networks with
        hue, saturation and value as input a second picture (k = 2) follows: these, drawn as
        red, green and blue.
    """
    unchanged = torch.from_numpy(images / np.float32(np.iinfo(images.dtype).max))[:, None]
    changed = augment(unchanged, draw(recipe.augmentation, seed, 0, range(len(images))))
    unchanged, changed = unchanged.expand(-1, 3, -1, -1), changed.expand(-1, 3, -1, -1)
    only = set(recipe.augmentation.only)
    if only and labels:
        other = torch.tensor([only.isdisjoint(label.split('|')) for label in labels])
        changed = torch.where(other[:, None, None, None], unchanged, changed)
    pairs = [torch.stack([unchanged, changed], dim=1)]
    if recipe.input.colour == 'hsv':
        pairs.append(torch.stack([rgb_to_hsv(unchanged), rgb_to_hsv(changed)], dim=1))
    return _drawn(torch.stack(pairs))


def _drawn(pictures: Tensor) -> np.ndarray:
    drawn: np.ndarray = (pictures * 255).round().to(torch.uint8).movedim(-3, -1).numpy()
    return drawn
