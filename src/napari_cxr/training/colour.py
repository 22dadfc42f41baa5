"""Colours on batches of tensors, and how grey or coloured images become a network's input.

Hue, saturation and value as in Smith 1978, all in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cxr.inference.preprocessing import Preprocessing

__all__ = ['LUMA', 'hsv_to_rgb', 'rgb_to_hsv', 'to_input']

#: Shares of red, green and blue in grey (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


def rgb_to_hsv(rgb: Tensor) -> Tensor:
    """Return hue, saturation and value.

    Parameters
    ----------
    rgb : Tensor, shape (n, 3, h, w)
        In [0, 1].

    Returns
    -------
    Tensor, shape (n, 3, h, w)
        In [0, 1]; hue is below 1, and 0 where there is no saturation.
    """
    red, green, blue = rgb.unbind(1)
    value, least = rgb.amax(1), rgb.amin(1)
    spread = value - least
    safe = torch.where(spread > 0, spread, 1.0)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turns = sector / 6
    hue = turns - turns.floor()
    # A tiny negative number plus 1 rounds to 1, which is the same hue as 0.
    hue = torch.where((spread > 0) & (hue < 1), hue, 0.0)
    saturation = spread / torch.where(value > 0, value, 1.0)
    return torch.stack([hue, saturation, value], dim=1)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """Return red, green and blue.

    Parameters
    ----------
    hsv : Tensor, shape (n, 3, h, w)
        Saturation and value in [0, 1]; hue in whole turns, of which the fraction counts.

    Returns
    -------
    Tensor, shape (n, 3, h, w)
        In [0, 1].
    """
    hue, saturation, value = hsv.unbind(1)
    channels = []
    for first in (5, 3, 1):
        # Each channel is a trapezium over the circle of hues, a third of it apart.
        along = hue + first / 6
        along = 6 * (along - along.floor())
        dip = torch.minimum(along, 4 - along).clamp(0, 1)
        channels.append(value - value * saturation * dip)
    return torch.stack(channels, dim=1)


def to_input(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Turn images into the network's input, as `Preprocessing.normalise` does for grey ones.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 1, h, w) or (n, 3, h, w)
        In [0, 1]; three channels are red, green and blue.
    preprocessing : Preprocessing
        What the network expects: channels, colour, mean and std.

    Returns
    -------
    Tensor of float32, shape (n, preprocessing.channels, h, w)
        Contiguous with channels last.

    Raises
    ------
    ValueError
        If coloured images are given to a network of one channel.
    """
    if images.shape[1] > preprocessing.channels:
        raise ValueError('a network with one channel takes no coloured images')
    if preprocessing.colour == 'hsv':
        if images.shape[1] == 1:
            zero = torch.zeros_like(images)
            images = torch.cat([zero, zero, images], dim=1)
        else:
            images = rgb_to_hsv(images)
    mean = torch.tensor(preprocessing.mean, device=images.device).reshape(1, -1, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).reshape(1, -1, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)
