"""EfficientNet-Lite0 down to a stride of 16, which sees an image and its mirror image.

The first five stages of EfficientNet-Lite0 and the expansion of the sixth (Tan and Le 2019,
arXiv:1905.11946, without squeeze-and-excitation and with ReLU6), as TensorFlow pads them. Its
map has a cell every 16 pixels, four times as many as the whole network's, so a heatmap is
finer; what was measured with maps of either stride is in docs/opacity-model.md.

It is written out here, and not cut out of timm's, because it is what the first click runs:
importing timm takes longer than everything else together.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_cxr.networks.heads import AverageLinear
from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork

__all__ = ['FlipAveraged', 'lite0_stages', 'lite0_stride16_flip']

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
        raise ValueError('lite0_stride16_flip takes images of 32 pixels or more.')
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
