"""The network that says how much a picture looks like an upright frontal chest radiograph.

A picture can be held in eight ways: as it is, mirrored, upside down, turned by half a
circle, and each of these with black and white exchanged. The network gives one number
to each. It was trained (`scripts/fit_frontal_check.py`) so that for a radiograph the
right way gets the greatest of the eight, and that each of the eight of any other picture
is below 0. Asking all eight is what makes its answer even-handed: what it says of a
mirrored radiograph is by construction what it says of the radiograph, with two entries
exchanged.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import numpy as np

from napari_cxr.lungs.weights_file import read_card, read_weights

__all__ = ['SIZE', 'WAYS', 'WIDE', 'answers', 'card', 'fingerprint', 'trimmed', 'weights']

#: Rows and columns of what it looks at.
SIZE = 64
#: Rows and columns of the glance that blank margins are cut from first.
WIDE = 96
#: Rows and columns that range over less than this, of what the glance ranges over, are blank.
_BLANK = 0.1
#: What is wrong with a radiograph that looks right when it is held in each of the eight ways.
WAYS = (
    'frontal', 'mirrored', 'upside-down', 'upside-down',
    'inverted', 'inverted', 'inverted', 'inverted',
)  # fmt: skip
_FILE = 'frontal.safetensors'
#: To be changed where the code comes to other answers than before.
_FORM = b'1'


def answers(image: np.ndarray, tensors: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """Return how much a picture looks like a frontal radiograph, in each way to hold it.

    Parameters
    ----------
    image : ndarray of float32, shape (64, 64)
        From `trimmed`.
    tensors : dict of ndarray, optional
        Weights as `weights` returns them, which are the default.

    Returns
    -------
    ndarray of float32, shape (8,)
        In the order of `WAYS`. Above 0, more like a radiograph than like anything else;
        differences are logarithms of odds.
    """
    tensors = weights() if tensors is None else tensors
    flips = [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]
    x = np.stack([*flips, *(1 - flip for flip in flips)])[..., None].astype(np.float32)
    layers = sum(name.startswith('conv.') for name in tensors) // 2
    for i in range(layers):
        x = _convolved(x, tensors[f'conv.{i}.weight'], tensors[f'conv.{i}.bias'])
    total = tensors['sum.weight'].transpose(1, 2, 0).ravel()
    return np.asarray(x.reshape(len(x), -1) @ total + tensors['sum.bias'])


def trimmed(wide: np.ndarray) -> np.ndarray:
    """Cut blank margins off a glance, as of a screenshot or a page, and make it small.

    Parameters
    ----------
    wide : ndarray of float32, shape (96, 96)
        From `glance`.

    Returns
    -------
    ndarray of float32, shape (64, 64)
        Percentiles 0.5 and 99.5 are 0 and 1 again.
    """
    from PIL import Image

    rows, columns = (np.flatnonzero(np.ptp(wide, axis=axis) > _BLANK) for axis in (1, 0))
    top, bottom, left, right = 0, len(wide), 0, wide.shape[1]
    if len(rows) and len(columns):
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    picture = Image.fromarray(np.ascontiguousarray(wide[top:bottom, left:right]))
    small = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    low, high = np.percentile(small, (0.5, 99.5))
    if high - low < 1e-6:
        return small
    return np.clip((small - np.float32(low)) / np.float32(high - low), 0, 1)


def card() -> dict[str, Any]:
    """Return what the weights file says of itself: bounds, figures, data, licence."""
    return read_card(_FILE, 'napari_cxr.frontal')


@cache
def fingerprint() -> str:
    """Return 12 digits that change with the check: of its weights, its bounds and its code."""
    content = files('napari_cxr.lungs').joinpath(_FILE).read_bytes()
    return sha256(b'\0'.join([_FORM, content])).hexdigest()[:12]


def weights() -> dict[str, np.ndarray]:
    """Return the weights, in single precision."""
    return read_weights(_FILE)


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve with 3x3 kernels and a stride of 2, zeros around, add the bias, and rectify.

    Parameters
    ----------
    x : ndarray, shape (n, rows, columns, in)
    weight : ndarray, shape (out, in, 3, 3)
    bias : ndarray, shape (out,)

    Returns
    -------
    ndarray, shape (n, rows / 2, columns / 2, out)
    """
    n, rows, columns, channels = x.shape
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # Side by side, the nine pixels under the kernel make the convolution one matrix product.
    shifts = [(down, across) for down in range(3) for across in range(3)]
    seen = np.concatenate(
        [x[:, down : down + rows : 2, across : across + columns : 2] for down, across in shifts],
        axis=3,
    ).reshape(-1, 9 * channels)
    out = seen @ weight.transpose(2, 3, 1, 0).reshape(9 * channels, -1)
    out += bias
    np.maximum(out, 0, out=out)
    return out.reshape(n, rows // 2, columns // 2, -1)
