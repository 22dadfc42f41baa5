"""Training images as a person sees them, with and without the changes of a recipe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.colour import rgb_to_hsv
from napari_cxr.training.recipe import Recipe

__all__ = ['preview']


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
