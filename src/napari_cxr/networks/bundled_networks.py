"""The networks that were designed for the bundled models.

`lite0_stride16_flip` is EfficientNet-Lite0 down to a stride of 16, averaged over an image and
its mirror image: the first five stages and the expansion of the sixth (Tan and Le 2019,
arXiv:1905.11946, without squeeze-and-excitation and with ReLU6), as TensorFlow pads them. Its
map has a cell every 16 pixels, four times as many as the whole network's, so a heatmap is
finer.

`lung_texture` has fixed filters and a dozen weights: how patchy the lungs are, at two scales.
Networks that learn their own filters from a few hundred radiographs learn to tell scanners,
formats and ages apart. This one cannot: it sees the lungs only, at coarse scales only,
whatever the place, as three numbers; docs/bundled-model.md compares.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_cxr.networks.heads import AverageLinear
from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork

__all__ = ['FlipAveraged', 'lite0_stages', 'lite0_stride16_flip', 'lung_texture']

#: Of each stage: kernel, stride, channels, blocks, and by how much a block widens its input.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 2, 6),
    (5, 2, 40, 2, 6),
    (3, 2, 80, 3, 6),
    (5, 1, 112, 3, 6),
)

_STEM = 32

_EXPANSION = 6

_EPSILON = 1e-3  # of the batch norms, as TensorFlow has it


@register
def lite0_stride16_flip(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return the network with its flip average and a linear head on the averaged map.

    Raises
    ------
    ValueError
        If the size is too small for a map of two cells a side.
    """
    if min(size) < 32:
        raise ValueError('lite0_stride16_flip needs images of at least 32 pixels a side.')
    stages = lite0_stages(channels)
    features = _STAGES[-1][2] * _EXPANSION
    return StagedNetwork(
        {'both_ways': FlipAveraged(nn.Sequential(stages))},
        AverageLinear(features, classes),
        classes=classes,
        channels=channels,
    )


class FlipAveraged(nn.Module):
    """The mean of the map of an image and of the map of its mirror image, turned back.

    A head that averages the map and is linear gives the mean of both images' logits, and
    the class activation map is the mean of both maps.

    Parameters
    ----------
    inner : Module
        From (N, channels, height, width) to (N, C, h, w).
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, height, width) to (N, C, h, w)."""
        if x.device.type == 'meta':
            # How cells are placed is worked out without data, and only for one direction at once.
            straight, turned = self.inner(x), self.inner(x.flip(-1))
        else:
            straight, turned = self.inner(torch.cat([x, x.flip(-1)])).chunk(2)
        return (straight + turned.flip(-1)) / 2


def lite0_stages(channels: int = 3) -> OrderedDict[str, nn.Module]:
    """Return the stages by name, with random weights; the last returns 672 channels.

    Parameters
    ----------
    channels : int
        Of the input.
    """
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=_normed(channels, _STEM, 3, 2))
    before = _STEM
    for number, (kernel, stride, width, blocks, widening) in enumerate(_STAGES, start=1):
        sizes = [before, *[width] * blocks]
        stages[f'stage{number}'] = nn.Sequential(
            *(
                _Block(a, b, kernel, stride if i == 0 else 1, widening)
                for i, (a, b) in enumerate(pairwise(sizes))
            )
        )
        before = width
    stages['expansion'] = _normed(before, before * _EXPANSION, 1)
    return stages


class _Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow (Sandler et al. 2018)."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, widening: int) -> None:
        super().__init__()
        inside = before * widening
        layers = [_normed(before, inside, 1)] if widening > 1 else []
        self.layers = nn.Sequential(
            *layers,
            _normed(inside, inside, kernel, stride, groups=inside),
            _normed(inside, after, 1, active=False),
        )
        self.shortcut = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        narrowed: Tensor = self.layers(x)
        return narrowed + x if self.shortcut else narrowed


def _normed(
    before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    """Return a convolution with its batch norm and, where it is active, a ReLU6."""
    norm = nn.BatchNorm2d(after, eps=_EPSILON)
    convolution = _SameConv2d(before, after, kernel, stride, groups=groups, bias=False)
    return nn.Sequential(convolution, norm, *([nn.ReLU6()] if active else []))


class _SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's 'same': an odd pixel goes below and to the right."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        amounts: list[int] = []
        for axis in (1, 0):  # the last dimension first, as `pad` takes them
            # Whole numbers, which they are not yet where the network is being converted.
            side, stride = int(x.shape[2 + axis]), self.stride[axis]
            needed = max((-(-side // stride) - 1) * stride + self.kernel_size[axis] - side, 0)
            amounts += [needed // 2, needed - needed // 2]
        if any(amounts):
            x = functional.pad(x, amounts)
        return torch.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


#: Standard deviations of the Gaussians between which the bands lie, as fractions of the side:
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
        raise ValueError('lung_texture needs images of at least 40 pixels a side.')
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
        # Means over the lungs, not over the image, whatever the lungs' fraction of it.
        amplitudes = (bands - lungs) / 2
        kurtosis = fourth - 2 * bands[:, :1] + lungs
        logits: Tensor = self.linear(self.scale(torch.cat([amplitudes, kurtosis], dim=1)))
        return logits


def _single_precision(device: str) -> AbstractContextManager[object]:
    # Tensors without data, by which shapes and places are found, know no autocast.
    return nullcontext() if device == 'meta' else torch.autocast(device, enabled=False)


def _smoothed(maps: Tensor, scale: float) -> Tensor:
    """Smooth two channels by a Gaussian, its standard deviation a fraction of each side."""
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
