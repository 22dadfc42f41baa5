"""A network of fixed filters and a dozen weights: how patchy the lungs are, at two scales.

Networks that learn their own filters from a few hundred radiographs learn to tell scanners,
formats and ages apart. This one cannot: it sees the lungs only, at coarse scales only,
whatever the place, as three numbers; docs/bundled-model.md compares.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork

__all__ = ['lung_texture']

#: Standard deviations of the Gaussians between which the bands lie, as shares of the side:
#: structures as wide as a rib or a patch of consolidation, and twice as wide.
_SCALES = (3 / 80, 6 / 80, 12 / 80)
#: Inputs below this are outside of the lungs, which `Preprocessing.lungs = 'only'` makes 0.
_OUTSIDE = 1 / 64
#: Cells of the last map are so many pixels wide.
_POOL = 4
_NOTHING = 1e-6


@register
def lung_texture(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return a classifier of three texture statistics of the lungs.

    Its input is what `Preprocessing` with ``lungs = 'only'``, mean 0 and standard
    deviation 1 makes: the lungs' grey values, and 0 outside. Of several channels the
    mean is taken.

    Raises
    ------
    ValueError
        If the size is too small for two bands.
    """
    if min(size) < 40:
        raise ValueError('lung_texture takes images of 40 pixels or more.')
    stages = {'bands': _Bands(), 'energy': _Energy()}
    return StagedNetwork(stages, _Statistics(classes), classes=classes, channels=channels)


class _Bands(nn.Module):
    """What differs between neighbouring Gaussian smoothings of the lungs, and the lungs.

    The smoothing is a normalised convolution (Knutsson and Westin, CVPR 1993): pixels
    outside of the lungs have no say, so the lungs' edge is no structure.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, h, w) to (N, 3, h, w): two bands and the lungs, all 0 outside."""
        # Neighbouring smoothings are nearly alike: half precision would lose what differs.
        with _single_precision(x.device.type):
            x = x.float().mean(dim=1, keepdim=True)
            lungs = (x > _OUTSIDE).float()
            both = torch.cat([x * lungs, lungs], dim=1)
            smooth = []
            for scale in _SCALES:
                values, weights = _smoothed(both, scale).split(1, dim=1)
                smooth.append(values / (weights + _NOTHING))
            bands = [(a - b) * lungs for a, b in pairwise(smooth)]
            return torch.cat([*bands, lungs], dim=1)


class _Energy(nn.Module):
    """Local energies: the squares of the bands, the fourth power of the first, the lungs."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, 3, h, w) to (N, 4, h / 4, w / 4), nowhere negative."""
        bands, lungs = maps[:, :-1], maps[:, -1:]
        energy = bands * bands
        first = energy[:, :1]
        return functional.avg_pool2d(torch.cat([energy, first * first, lungs], dim=1), _POOL)


class _Statistics(nn.Module):
    """Logits from the log of each band's energy, and the log kurtosis of the first.

    A kurtosis above that of noise says that the energy is in few places.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(3, affine=False)
        self.linear = nn.Linear(3, classes)

    def forward(self, energy: Tensor) -> Tensor:
        """Map (N, 4, h, w) to logits (N, K)."""
        logs = torch.log(energy.float().mean(dim=(2, 3)) + _NOTHING**2)
        bands, fourth, lungs = logs[:, :2], logs[:, 2:3], logs[:, 3:]
        # Means over the lungs, not over the image, whatever the lungs' share of it.
        amplitudes = (bands - lungs) / 2
        kurtosis = fourth - 2 * bands[:, :1] + lungs
        logits: Tensor = self.linear(self.scale(torch.cat([amplitudes, kurtosis], dim=1)))
        return logits


def _single_precision(device: str) -> AbstractContextManager[object]:
    # Tensors without data, by which shapes and places are found, know no autocast.
    return nullcontext() if device == 'meta' else torch.autocast(device, enabled=False)


def _smoothed(maps: Tensor, scale: float) -> Tensor:
    """Smooth two channels by a Gaussian, its standard deviation a share of each side."""
    # Whole numbers, which they are not yet where the network is being converted.
    down, across = (_gaussian(scale * int(side), maps.device) for side in maps.shape[2:])
    half = len(down) // 2, len(across) // 2
    columns = down.reshape(1, 1, -1, 1).repeat(2, 1, 1, 1)
    rows = across.reshape(1, 1, 1, -1).repeat(2, 1, 1, 1)
    maps = functional.conv2d(maps, columns, padding=(half[0], 0), groups=2)
    return functional.conv2d(maps, rows, padding=(0, half[1]), groups=2)


def _gaussian(sigma: float, device: torch.device) -> Tensor:
    """Return a Gaussian of sum 1, cut at three standard deviations."""
    reach = round(3 * sigma)
    along = torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)
    kernel = torch.exp(-(along**2) / (2 * sigma**2))
    return kernel / kernel.sum()
