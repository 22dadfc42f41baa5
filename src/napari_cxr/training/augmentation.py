"""Random changes of training images, each image with its own, all from one seed.

The parameters of an image depend on (seed, epoch, place of the image) and on
nothing else: not on the batch it falls into, the number of threads, or whether
the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from napari_cxr.training.recipe import AugmentationRecipe

__all__ = ['Changes', 'augment', 'draw']


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
    """

    matrices: np.ndarray
    shifts: np.ndarray
    gamma: np.ndarray
    contrast: np.ndarray
    brightness: np.ndarray
    noise: np.ndarray
    seeds: np.ndarray


def draw(recipe: AugmentationRecipe, seed: int, epoch: int, places: Sequence[int]) -> Changes:
    """Draw the changes of some images.

    Parameters
    ----------
    recipe : AugmentationRecipe
        How far they may go.
    seed, epoch : int
        Of the run, and which pass.
    places : sequence of int
        Of the images in the data set.
    """
    u = np.empty((len(places), 10))
    seeds = np.empty(len(places), dtype=np.uint64)
    for row, place in enumerate(places):
        random = np.random.default_rng((seed, epoch, int(place)))
        u[row] = random.uniform(-1, 1, u.shape[1])
        seeds[row] = random.integers(2**63)
    angle = np.deg2rad(recipe.rotation) * u[:, 0]
    slant = np.tan(np.deg2rad(recipe.shear) * u[:, 1])
    # Even on a log scale, so that twice as large is as likely as half as large.
    size = (1 + recipe.zoom) ** -u[:, 2]
    turned = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1)
    sheared = np.zeros((len(places), 2, 2))
    sheared[:, 0, 0] = sheared[:, 1, 1] = 1
    sheared[:, 0, 1] = slant
    matrices = turned.reshape(-1, 2, 2) @ sheared * size[:, None, None]
    # u is uniform in (-1, 1), so (u + 1) / 2 < p happens with probability p.
    matrices[(u[:, 3] + 1) / 2 < recipe.flip, :, 0] *= -1
    return Changes(
        matrices=matrices,
        shifts=recipe.shift * u[:, 4:6],
        gamma=(1 + recipe.gamma) ** u[:, 6],
        contrast=(1 + recipe.contrast) ** u[:, 7],
        brightness=recipe.brightness * u[:, 8],
        noise=recipe.noise * (u[:, 9] + 1) / 2,
        seeds=seeds,
    )


def augment(images: torch.Tensor, changes: Changes) -> torch.Tensor:
    """Change images: one resampling for all of geometry, then intensity.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 1, h, w)
        In [0, 1].
    changes : Changes
        One for each.

    Returns
    -------
    Tensor of float32, shape (n, 1, h, w)
        In [0, 1]. What comes from outside of the image is black.
    """
    n, _, height, width = images.shape
    device = images.device
    # affine_grid counts from -1 to 1 over each axis; pixels are only square in pixels.
    half = np.array([width / 2, height / 2])
    theta = np.empty((n, 2, 3), dtype=np.float32)
    theta[:, :, :2] = changes.matrices * (half[None, None, :] / half[None, :, None])
    theta[:, :, 2] = 2 * changes.shifts
    grid = functional.affine_grid(
        torch.from_numpy(theta).to(device), list(images.shape), align_corners=False
    )
    out = functional.grid_sample(images, grid, padding_mode='zeros', align_corners=False)

    def each(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(device)[:, None, None, None]

    out = out.clamp(0, 1) ** each(changes.gamma)
    mean = out.mean(dim=(1, 2, 3), keepdim=True)
    out = (out - mean) * each(changes.contrast) + mean + each(changes.brightness)
    if changes.noise.any():
        fields = [
            np.random.default_rng(int(s)).standard_normal((1, height, width), dtype=np.float32)
            for s in changes.seeds
        ]
        out = out + each(changes.noise) * torch.from_numpy(np.stack(fields)).to(device)
    return out.clamp(0, 1)
