"""The networks that the papers wrote themselves.

Written from what the papers and their published code say; the numbers of parameters are
theirs. A Keras 'same' pooling of two is a pooling with ceil_mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_cxr.networks.eval_mode import stage_shapes
from napari_cxr.networks.heads import average_then
from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork

__all__ = [
    'detl_cnn',
    'detl_cnn_average',
    'nova_cnn',
    'nova_cnn_k5',
    'nova_cnn_k8',
    'nova_cnn_k8_deep',
    'nova_cnn_k12',
    'zhong_cnn',
]


@register
def nova_cnn(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return the custom network of Lopes, Costa and Pereira (NOVA IMS), kernel 3.

    Built for one size, 256 x 256 in the paper's best run. The map is the last convolution's,
    before its pool.
    """
    return _nova(3, 4, classes, channels, size)


@register
def nova_cnn_k5(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return NOVA's network with kernel 5."""
    return _nova(5, 4, classes, channels, size)


@register
def nova_cnn_k8(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return NOVA's network with kernel 8, padded as TensorFlow does."""
    return _nova(8, 4, classes, channels, size)


@register
def nova_cnn_k8_deep(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return NOVA's network with kernel 8 and two more stages of 128 channels."""
    return _nova(8, 6, classes, channels, size)


@register
def nova_cnn_k12(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return NOVA's network with kernel 12, padded as TensorFlow does."""
    return _nova(12, 4, classes, channels, size)


@register
def zhong_cnn(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return Zhong's multi-level network, for 80 x 80 in the paper.

    The head reads the maximum of each channel of all four pooled maps, and the last map
    before its pool cell by cell. (The paper writes of averages; its code takes maxima.)
    """

    def block(*widths: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ELU()]
        return layers

    stages: dict[str, nn.Module] = {
        'block1': nn.Sequential(*block(channels, 32, 32), nn.MaxPool2d(2)),
        'block2': nn.Sequential(*block(32, 64, 64), nn.MaxPool2d(2)),
        'block3': nn.Sequential(*block(64, 128, 128, 128), nn.MaxPool2d(2)),
        'block4': nn.Sequential(*block(128, 128, 128, 128)),
    }
    head = _MultiLevel(32 + 64 + 128 + 128 + _cells(stages, channels, size), classes)
    reads = ('block1', 'block2', 'block3')
    network = StagedNetwork(stages, head, classes=classes, channels=channels, reads=reads)
    return _glorot(network)


@register
def detl_cnn(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return the twelve layers of Basu, Mitra and Saha (DETL), for one size.

    The paper names neither the size nor how the map becomes a vector; here it is
    flattened. The map is the last convolution's, before its pool.
    """
    stages = _detl_stages(channels)
    pooled = stages | {'pool': nn.MaxPool2d(2)}
    layers = _detl_layers(_cells(pooled, channels, size), classes)
    head = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), *layers)
    return _he(StagedNetwork(stages, head, classes=classes, channels=channels))


@register
def detl_cnn_average(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return DETL's twelve layers with the mean of each channel, for any size."""
    stages = _detl_stages(channels)
    head = nn.Sequential(nn.MaxPool2d(2), *average_then(*_detl_layers(128, classes)))
    return _he(StagedNetwork(stages, head, classes=classes, channels=channels))


class _MultiLevel(nn.Module):
    """Zhong's head: what four levels saw at most, and the last level in full."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.layers = nn.Sequential(
            nn.Linear(features, 4096),
            nn.ELU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 2048),
            nn.ELU(),
            nn.Dropout(0.4),
            nn.Linear(2048, classes),
        )

    def forward(self, feature_map: Tensor, *earlier: Tensor) -> Tensor:
        levels = [level.amax(dim=(2, 3)) for level in (*earlier, self.pool(feature_map))]
        logits: Tensor = self.layers(torch.cat([*levels, feature_map.flatten(1)], dim=1))
        return logits


def _nova(
    kernel: int, depth: int, classes: int, channels: int, size: tuple[int, int]
) -> StagedNetwork:
    widths = (channels, 32, 64, *([128] * (depth - 2)))
    stages: dict[str, nn.Module] = {}
    for number in range(1, depth + 1):
        layers = [*_same_convolution(widths[number - 1], widths[number], kernel), nn.ReLU()]
        if number > 1:  # the pool after the stage before; the first is not padded
            layers.insert(0, nn.MaxPool2d(2, ceil_mode=number > 2))
        stages[f'conv{number}'] = nn.Sequential(*layers)
    pool = nn.MaxPool2d(2, ceil_mode=True)
    head = nn.Sequential(
        pool,
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(_cells(stages | {'pool': pool}, channels, size), 512),
        nn.ReLU(),
        nn.Linear(512, classes),
    )
    return _glorot(StagedNetwork(stages, head, classes=classes, channels=channels))


def _same_convolution(before: int, after: int, kernel: int) -> list[nn.Module]:
    """Return a convolution that keeps the size; an even kernel pads one more at the end."""
    if kernel % 2:
        return [nn.Conv2d(before, after, kernel, padding=kernel // 2)]
    low, high = (kernel - 1) // 2, kernel // 2
    return [nn.ZeroPad2d((low, high, low, high)), nn.Conv2d(before, after, kernel)]


def _detl_stages(channels: int) -> dict[str, nn.Module]:
    def block(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3), nn.ReLU(), nn.Conv2d(after, after, 3), nn.ReLU()]

    return {
        'block1': nn.Sequential(*block(channels, 32), nn.MaxPool2d(2)),
        'block2': nn.Sequential(*block(32, 64), nn.MaxPool2d(2)),
        'block3': nn.Sequential(*block(64, 128)),
    }


def _detl_layers(features: int, classes: int) -> list[nn.Module]:
    return [
        nn.Linear(features, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    ]


def _cells(stages: Mapping[str, nn.Module], channels: int, size: tuple[int, int]) -> int:
    """Return how many numbers the last map has."""
    c, h, w = list(stage_shapes(stages.items(), (channels, *size)).values())[-1]
    return c * h * w


def _glorot(network: StagedNetwork) -> StagedNetwork:
    """Draw the weights as Keras does where nothing is said (Glorot and Bengio 2010, eq. 16)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def _he(network: StagedNetwork) -> StagedNetwork:
    """Draw the weights for layers of ReLUs without norms (He et al. 2015, eq. 10)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
