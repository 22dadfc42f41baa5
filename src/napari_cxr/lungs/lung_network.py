"""The U-Net that finds lungs, computed in numpy, with its weights and its input.

The input is the whole radiograph as a small square, made alike for every file, header and size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.resampling import resample_array

__all__ = [
    'LUNG_INPUT_SIZE',
    'downscale',
    'lung_network_card',
    'lung_network_fingerprint',
    'lung_probabilities',
    'read_weights',
    'read_weights_card',
    'softmax',
    'unet_forward',
]

#: Percentiles of the small view that become 0 and 1.
_BLACK, _WHITE = 0.5, 99.5

#: Below this there is no contrast to stretch.
_FLAT = 1e-6


def downscale(radiograph: Radiograph, size: int, preset: int = 0) -> np.ndarray:
    """Return the whole radiograph as a small square of display values.

    The window of the header and the polarity are applied once. Both sides are
    stretched to `size`, with a triangle filter as wide as a new pixel, and the
    percentiles 0.5 and 99.5 become 0 and 1; padding is black and does not count.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    size : int
        Rows and columns wanted.
    preset : int
        Which of its presets to use.

    Returns
    -------
    ndarray of float32, shape (size, size)
        In [0, 1]; pixel (i, j) covers the part of the radiograph from i / size to
        (i + 1) / size of its rows, and likewise of its columns.

    Raises
    ------
    UnreadableImage
        If it has several frames.
    """
    if radiograph.frames is not None:
        raise UnreadableImage(
            'Lungs can be found only in a single image, and this file has several frames.'
        )
    # A full radiograph has hundreds of pixels for each new one, and a window takes its time
    # on all of them: whole blocks are averaged first, as far as 4 x 4 remain for each.
    rows, columns = radiograph.values.shape[:2]
    blocks = (1, 1)
    if not radiograph.is_colour:
        blocks = max(1, rows // (4 * size)), max(1, columns // (4 * size))
    reduced = _reduced(radiograph, *blocks)
    # Where the radiograph begins and ends, in blocks: the last ones may be cut off by its edge.
    edges = [
        ((edge - 0.5) / radiograph.step + 0.5) / block
        for edge, block in zip((0, 0, *radiograph.shape), 2 * blocks, strict=True)
    ]
    box = (edges[0], edges[1], edges[2], edges[3])
    small = resample_array(reduced.to_display(preset), box, size, size)
    inside = small
    if reduced.padding is not None:
        covered = resample_array(reduced.padding.astype(np.float32), box, size, size)
        inside = small[covered < 0.01]  # mixed pixels are darker than the radiograph is
    if inside.size == 0:
        return small
    low, high = np.percentile(inside, (_BLACK, _WHITE))
    if high - low < _FLAT:
        return np.clip(small, 0, 1)
    return np.clip((small - np.float32(low)) / np.float32(high - low), 0, 1)


def _reduced(radiograph: Radiograph, down: int, across: int) -> Radiograph:
    """Average blocks of so many rows and columns; those at the far edges may be smaller."""
    if down == across == 1:
        return radiograph
    values = _block_means(radiograph.values, down, across)
    padding = radiograph.padding
    if padding is not None:
        # A block with padding in it is padding: its mean says nothing.
        padding = _block_means(padding, down, across) > 0
    return replace(radiograph, values=values, padding=padding, overlays=())


def _block_means(values: np.ndarray, down: int, across: int) -> np.ndarray:
    from PIL import Image

    # Rows first, in numpy, one of each block after the other: a sum over an axis of few rows
    # takes four times as long, and a copy of them all in single precision longer still.
    end = len(values) // down * down
    means = values[0:end:down].astype(np.float32)
    for row in range(1, down):
        means += values[row:end:down]
    means /= np.float32(down)
    if len(values) > end:
        rest = values[end:].mean(axis=0, dtype=np.float32)
        means = np.concatenate([means, rest[None]])
    return np.asarray(Image.fromarray(means).reduce((across, 1)))


@cache
def read_weights_card(name: str, entry: str) -> dict[str, Any]:
    """Return an entry of what a weights file says of itself."""
    from safetensors import safe_open

    with as_file(files('napari_cxr.lungs') / name) as path, safe_open(path, 'numpy') as file:
        said: dict[str, Any] = json.loads(file.metadata()[entry])
        return said


@cache
def read_weights(name: str) -> dict[str, np.ndarray]:
    """Read the weights once, in single precision; they are kept in half precision."""
    from safetensors.numpy import load_file

    with as_file(files('napari_cxr.lungs') / name) as path:
        return {name: np.asarray(w, dtype=np.float32) for name, w in load_file(path).items()}


def unet_forward(tensors: Mapping[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """Run the network on one image.

    Parameters
    ----------
    tensors : mapping of str to ndarray of float32
        For each block ``down.0`` ... ``down.n`` and ``up.0`` ... ``up.(n - 1)`` two
        convolutions: ``BLOCK.0.weight`` (out, in, 3, 3) and ``BLOCK.0.bias`` (out,),
        and the same with 1. Then ``out.weight`` (classes, in) and ``out.bias``.
    image : ndarray of float32, shape (rows, columns)
        Display values in [0, 1]; both sides a multiple of 2 ** n.

    Returns
    -------
    ndarray of float32, shape (classes, rows, columns)
        Logits.

    Raises
    ------
    ValueError
        If a side of the image cannot be halved so often.
    """
    depth = sum(name.startswith('down.') for name in tensors) // 4
    if any(side % 2 ** (depth - 1) for side in image.shape):
        raise ValueError(f'both sides of the image must be multiples of {2 ** (depth - 1)}')
    # As in training: grey 0.5 is 0, and so is what lies outside the image.
    x = np.pad((image[None].astype(np.float32) - 0.5) / np.float32(0.25), ((0, 0), (1, 1), (1, 1)))
    kept = []
    for level in range(depth):
        if level:
            x = _halved(x)
        x = _block(tensors, f'down.{level}', x)
        kept.append(x)
    kept.pop()
    for level in range(depth - 1):
        x = _block(tensors, f'up.{level}', np.concatenate([_doubled(x), kept.pop()]))
    rows, columns = image.shape
    inner = np.ascontiguousarray(x[:, 1:-1, 1:-1]).reshape(len(x), -1)
    logits = tensors['out.weight'] @ inner + tensors['out.bias'][:, None]
    return np.asarray(logits.reshape(-1, rows, columns))


def _block(tensors: Mapping[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """Apply two convolutions with a rectifier each."""
    for number in (0, 1):
        x = _convolved(x, tensors[f'{name}.{number}.weight'], tensors[f'{name}.{number}.bias'])
    return x


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve a bordered map with 3x3 kernels, add the bias, and rectify."""
    channels, height, width = x.shape
    flat = x.reshape(channels, -1)
    count = (height - 2) * width - 2  # from the first inner pixel to the last one
    shifts = [row * width + column for row in range(3) for column in range(3)]
    out = np.zeros((len(weight), height, width), dtype=np.float32)
    inner = out.reshape(len(out), -1)[:, width + 1 : width + 1 + count]
    if channels == 1:  # nine rows make one matrix, which is quicker than nine thin products
        stacked = np.concatenate([flat[:, shift : shift + count] for shift in shifts])
        np.matmul(weight.reshape(-1, 9), stacked, out=inner)
    else:
        # Contiguous matrices, one for each place of the kernel, are what BLAS takes as they are.
        kernels = np.ascontiguousarray(weight.transpose(2, 3, 0, 1)).reshape(9, -1, channels)
        part = np.empty((len(weight), count), dtype=np.float32)
        for kernel, shift in zip(kernels, shifts, strict=True):
            np.matmul(kernel, flat[:, shift : shift + count], out=part)
            inner += part
    inner += bias[:, None]
    np.maximum(inner, 0, out=inner)
    # Slices ran on over the ends of the rows, into the border.
    out[:, :, 0] = 0
    out[:, :, -1] = 0
    return out


def _halved(x: np.ndarray) -> np.ndarray:
    """Take the largest of each 2x2 pixels; the border stays."""
    inner = x[:, 1:-1, 1:-1]
    rows = np.maximum(inner[:, ::2], inner[:, 1::2])
    return np.pad(np.maximum(rows[..., ::2], rows[..., 1::2]), ((0, 0), (1, 1), (1, 1)))


def _doubled(x: np.ndarray) -> np.ndarray:
    """Enlarge a bordered map twice, linear between pixel centres, constant beyond the last."""
    _, height, width = x.shape
    down, across = _doubling(height - 2), _doubling(width - 2)
    return np.asarray(down @ x[:, 1:-1, 1:-1] @ across.T)


@cache
def _doubling(size: int) -> np.ndarray:
    """Return the matrix from `size` pixels to twice as many, with a zero at both ends.

    New pixel i has its centre at (i + 0.5) / 2 - 0.5 of the old ones.
    """
    matrix = np.zeros((2 * size + 2, size), dtype=np.float32)
    for new in range(2 * size):
        place = min(max((new + 0.5) / 2 - 0.5, 0.0), size - 1.0)
        below = min(int(place), size - 1)
        matrix[new + 1, below] += 1 - (place - below)
        matrix[new + 1, min(below + 1, size - 1)] += place - below
    matrix.flags.writeable = False
    return matrix


#: Rows and columns of what it looks at.
LUNG_INPUT_SIZE = 128

_FILE = 'lung-field.safetensors'

_TABLES = ('average_lungs.csv', 'plausible_lungs.csv')

#: To be changed where the code finds other lungs than before, or shows them otherwise.
_CODE_VERSION = b'1'


def lung_probabilities(image: np.ndarray) -> np.ndarray:
    """Return what each pixel of a small view shows.

    Parameters
    ----------
    image : ndarray of float32, shape (128, 128)
        From `downscale`.

    Returns
    -------
    ndarray of float32, shape (3, 128, 128)
        Probabilities of: no lung, the lung on the left of the image, which is the
        patient's right one if the image stands upright, and the other lung.
    """
    return softmax(unet_forward(read_weights(_FILE), image))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (classes, ...) into probabilities."""
    exponentials = np.exp(logits - logits.max(axis=0))
    return np.asarray(exponentials / exponentials.sum(axis=0))


def lung_network_card() -> dict[str, Any]:
    """Return what the weights file says of itself: data, figures, licence, training."""
    return read_weights_card(_FILE, 'napari_cxr.lung_field')


@cache
def lung_network_fingerprint() -> str:
    """Return 12 digits that change with the lung field: models that look at lungs depend on it.

    Of the SHA-256 of the weights, of the tables of the atlas and of what is plausible, and
    of the form of the code.
    """
    folder = files('napari_cxr.lungs')
    content = [folder.joinpath(name).read_bytes() for name in (_FILE, *_TABLES)]
    return sha256(b'\0'.join([_CODE_VERSION, *content])).hexdigest()[:12]
