"""Changes applied to a batch: one resampling, then grey values, detail, and colours.

All images of a batch go through the same few operations on their device, each with
numbers of its own, so a batch costs hardly more calls than one image.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_cxr.training.augmentation.changes import Changes, ColourChanges, Rectangles
from napari_cxr.training.augmentation.detail import blurred, coarser, compressed, sharpened
from napari_cxr.training.augmentation.noise import standard_normal
from napari_cxr.training.colour import LUMA, hsv_to_rgb, rgb_to_hsv

__all__ = ['augment']

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
