"""Operations on batches of image tensors: noise, fine detail, and colours.

Noise depends on an image's seed alone, not on its batch. Blur, sharpening, downsampling and
JPEG have a strength for each image, and a batch needs a few calls; on one core an image of
160 x 160 pixels takes 0.3 to 0.6 ms for each. Hue,
saturation and value are as in Smith 1978, all in [0, 1].
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_cxr.inference.preprocessing import Preprocessing

__all__ = [
    'LUMA',
    'blurred',
    'coarser',
    'compressed',
    'hsv_to_rgb',
    'rgb_to_hsv',
    'sharpened',
    'standard_normal',
    'to_input',
]


def standard_normal(seeds: np.ndarray, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw a field of noise for each seed.

    On the CPU numpy draws image by image. Elsewhere the device would have to wait for that,
    so all images are drawn there at once; the noise is different, but equally good.

    Parameters
    ----------
    seeds : ndarray of uint64, shape (n,)
        Below 2 ** 63.
    shape : tuple of int
        Height and width.
    device : torch.device
        Device of the noise.

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
    # Single precision has 24 bits; adding a half keeps the logarithm finite.
    first = (_shifted(bits, 40).float() + 0.5) / 2**24
    second = (bits & (2**24 - 1)).float() / 2**24
    radius, angle = (-2 * first.log()).sqrt(), 2 * math.pi * second
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return both[:, : math.prod(shape)].reshape(len(seeds), 1, *shape)


def _signed(number: int) -> int:
    """Return the same 64 bits as a signed integer; torch has no unsigned arithmetic."""
    return number - 2**64 if number >= 2**63 else number


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros, which torch does not do for signed integers."""
    return (bits >> by) & (2 ** (64 - by) - 1)


#: Where Gaussians are truncated, in standard deviations.
_REACH = 4

#: Standard deviation, in pixels, of the blur that sharpening subtracts.
_FINE = 1.5

#: Quantisation of luminance at quality 50 (ITU-T T.81, table K.1).
_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def blurred(images: Tensor, sigmas: np.ndarray) -> Tensor:
    """Blur each image with its own Gaussian; pixels outside have no weight.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 1, h, w)
        Any values.
    sigmas : ndarray, shape (n,)
        Standard deviations in pixels; 0 for no blur.
    """
    # Two matrix products are faster than convolutions with different kernels.
    down, across = (_gaussian(sigmas, side, images.device) for side in images.shape[2:])
    return (down @ images[:, 0] @ across.transpose(1, 2))[:, None]


def sharpened(images: Tensor, amounts: np.ndarray) -> Tensor:
    """Sharpen each image by its own amount (unsharp masking)."""
    fine = images - blurred(images, np.full(len(images), _FINE))
    amount = torch.from_numpy(amounts.astype(np.float32)).to(images.device)
    return images + fine * amount[:, None, None, None]


def coarser(images: Tensor, factors: np.ndarray) -> Tensor:
    """Resample each image to fewer pixels, by area, and back, between their centres.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 1, h, w)
        Any values.
    factors : ndarray, shape (n,)
        By how many times there are fewer in a row and in a column, 1 or more.
    """
    out = []
    shape = images.shape[2:]
    for image, factor in zip(images[:, None], factors.tolist(), strict=True):
        size = [max(1, round(side / factor)) for side in shape]
        small = functional.interpolate(image, size, mode='area')
        out.append(functional.interpolate(small, shape, mode='bilinear', align_corners=False))
    return torch.cat(out)


def compressed(images: Tensor, qualities: np.ndarray) -> Tensor:
    """Return what a JPEG file of each image would show.

    Baseline JPEG of a grey image (ITU-T T.81): the cosine transform of blocks of 8 x 8
    pixels, rounded to multiples of the luminance table, which the quality scales as the
    library of the Independent JPEG Group does. What is not a multiple of 8 is continued
    with its last pixel. Values are rounded to 8 bits before and after.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 1, h, w)
        In [0, 1].
    qualities : ndarray of int, shape (n,)
        1 to 100.
    """
    n, _, height, width = images.shape
    rows, columns = -(-height // 8), -(-width // 8)
    past = (0, 8 * columns - width, 0, 8 * rows - height)
    whole = functional.pad(images, past, mode='replicate').mul(255).round().sub(128)
    blocks = whole.reshape(n, rows, 8, columns, 8).transpose(2, 3).reshape(n, -1, 64)
    waves = _cosines().to(images.device)
    steps = _steps(qualities).to(images.device)[:, None]
    kept = ((blocks @ waves) / steps).round() * steps
    shown = (kept @ waves.T).reshape(n, rows, columns, 8, 8).transpose(2, 3)
    shown = shown.reshape(n, 1, 8 * rows, 8 * columns)[..., :height, :width]
    return shown.add(128).round().clamp(0, 255).div(255)


def _gaussian(sigmas: np.ndarray, side: int, device: torch.device) -> Tensor:
    """Return matrices that blur an axis, shape (n, side, side); each row sums to 1."""
    far = np.arange(side)
    widths = np.maximum(sigmas, 1e-3)[:, None]
    kernels = np.where(far <= _REACH * widths, np.exp(-0.5 * (far / widths) ** 2), 0)
    apart = torch.from_numpy(np.abs(far[:, None] - far)).to(device)
    weights = torch.from_numpy(kernels.astype(np.float32)).to(device)[:, apart]
    return weights / weights.sum(dim=2, keepdim=True)


@cache
def _cosines() -> Tensor:
    """Return the orthonormal cosine transform of a block, shape (64 pixels, 64 waves)."""
    k, x = np.mgrid[:8, :8]
    wave = np.cos((2 * x + 1) * k * np.pi / 16) * np.where(k, np.sqrt(1 / 4), np.sqrt(1 / 8))
    return torch.from_numpy(np.kron(wave, wave).T.astype(np.float32).copy())


def _steps(qualities: np.ndarray) -> Tensor:
    """Return what coefficients are rounded to multiples of, shape (n, 64)."""
    quality = np.asarray(qualities)
    scale = np.where(quality < 50, 5000 // np.maximum(quality, 1), 200 - 2 * quality)
    table = (np.array(_TABLE).reshape(1, 64) * scale[:, None] + 50) // 100
    return torch.from_numpy(table.clip(1, 255).astype(np.float32))


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
