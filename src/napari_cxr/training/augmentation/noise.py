"""Normal noise that depends on an image's seed alone, not on the batch it is drawn in."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ['standard_normal']


def standard_normal(seeds: np.ndarray, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw a field of noise for each seed.

    On the CPU numpy draws image by image. Elsewhere that would keep the device waiting,
    and all images are drawn there at once; the noise is another, equally good one.

    Parameters
    ----------
    seeds : ndarray of uint64, shape (n,)
        Below 2 ** 63.
    shape : tuple of int
        Height and width.
    device : torch.device
        Where the noise is wanted.

    Returns
    -------
    Tensor of float32, shape (n, 1, *shape)
    """
    if device.type != 'cpu':
        return _counted(seeds, shape, device)
    fields = np.empty((len(seeds), 1, *shape), dtype=np.float32)
    for field, seed in zip(fields, seeds, strict=True):
        np.random.default_rng(int(seed)).standard_normal(dtype=np.float32, out=field)
    return torch.from_numpy(fields)


def _counted(seeds: np.ndarray, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Hash seed and pixel number (splitmix64: Steele et al. 2014), then Box and Muller."""
    half = -(-math.prod(shape) // 2)
    start = torch.from_numpy(seeds.astype(np.int64)).to(device)[:, None]
    counter = torch.arange(1, half + 1, device=device)
    bits = start + counter * _signed(0x9E3779B97F4A7C15)
    bits = (bits ^ _shifted(bits, 30)) * _signed(0xBF58476D1CE4E5B9)
    bits = (bits ^ _shifted(bits, 27)) * _signed(0x94D049BB133111EB)
    bits = bits ^ _shifted(bits, 31)
    # 24 bits each are what single precision holds; the half keeps the logarithm finite.
    first = (_shifted(bits, 40).float() + 0.5) / 2**24
    second = (bits & (2**24 - 1)).float() / 2**24
    radius, angle = (-2 * first.log()).sqrt(), 2 * math.pi * second
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return both[:, : math.prod(shape)].reshape(len(seeds), 1, *shape)


def _signed(number: int) -> int:
    """Return the same 64 bits as a signed number; torch has no unsigned arithmetic."""
    return number - 2**64 if number >= 2**63 else number


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right with zeros coming in, which torch does not do for signed numbers."""
    return (bits >> by) & (2 ** (64 - by) - 1)
