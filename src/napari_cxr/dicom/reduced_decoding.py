"""JPEG 2000 and HTJ2K at a half, a quarter or less of the size.

A wavelet stream holds the small image: the low band of each level is the image at half of its
size, and decoding it takes a fraction of the time. How far a stream can be reduced is read from
its own header (ITU-T T.800 annex A), never tried. Pillow decodes, by OpenJPEG, since it keeps
reduced values within the range of the samples; OpenJPH lets those below 0 wrap around to white.

What is not worth the trouble is not reduced: colour, offset or subsampled images, more than 16
bits, tiles that cannot be halved evenly, streams that are cut short.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np

__all__ = ['ReducibleStream', 'decode_reduced', 'halvings_for', 'read_reducible']

_SOC, _SIZ, _COD, _COC, _SOT, _SOD, _EOC = 0x4F, 0x51, 0x52, 0x53, 0x90, 0x93, 0xD9
#: More parts of tiles than any radiograph has; each costs a look at its header.
_MAX_PARTS = 4096


@dataclass(frozen=True)
class ReducibleStream:
    """A grey codestream that can be decoded at less than its size.

    Parameters
    ----------
    rows, columns : int
        Its full size.
    precision : int
        Bits of each sample, 16 at most.
    signed : bool
        Whether samples may be below zero.
    levels : int
        How often the image was halved by the encoder, in the tile where that is the least.
    tile : tuple of int
        Rows and columns of a tile; those of the image, or more, where there is only one.
    """

    rows: int
    columns: int
    precision: int
    signed: bool
    levels: int
    tile: tuple[int, int]

    def size_at(self, halvings: int) -> tuple[int, int]:
        """Return rows and columns after so many halvings; halves are rounded up, B-15."""
        step = 1 << halvings
        return -(-self.rows // step), -(-self.columns // step)


def read_reducible(data: bytes) -> ReducibleStream | None:
    """Read the headers of a JPEG 2000 codestream.

    Parameters
    ----------
    data : bytes
        One frame: the codestream without boxes around it.

    Returns
    -------
    ReducibleStream or None
        None for a stream that is not reduced, or that is not complete.
    """
    if data[:4] != bytes((0xFF, _SOC, 0xFF, _SIZ)):
        return None
    try:
        return _read(data)
    except (struct.error, IndexError):
        return None


def _read(data: bytes) -> ReducibleStream | None:
    sizes = struct.unpack_from('>8I', data, 8)
    columns, rows, x0, y0, tile_columns, tile_rows, tile_x0, tile_y0 = sizes
    components, depth, across, down = struct.unpack_from('>H3B', data, 40)
    precision = (depth & 0x7F) + 1
    if any((x0, y0, tile_x0, tile_y0)) or (components, across, down) != (1, 1, 1):
        return None
    if precision > 16 or not min(rows, columns, tile_rows, tile_columns):
        return None
    levels, position = _levels(data, 2, _SOT)
    if not levels:  # no COD, or nothing was halved
        return None
    for _ in range(_MAX_PARTS):
        if data[position : position + 2] != bytes((0xFF, _SOT)):
            break
        (length,) = struct.unpack_from('>I', data, position + 6)
        own, _ = _levels(data, position + 12, _SOD)
        levels = min(levels, levels if own is None else own)
        if length == 0:  # up to the end of the codestream
            position = data.rfind(bytes((0xFF, _EOC)), position)
            break
        position += max(length, 14)
    if position < 0 or data[position : position + 2] != bytes((0xFF, _EOC)):
        return None
    tile = tile_rows, tile_columns
    return ReducibleStream(rows, columns, precision, bool(depth >> 7), levels, tile)


def _levels(data: bytes, position: int, until: int) -> tuple[int | None, int]:
    """Return the fewest levels that a header gives, None if it gives none, and where it ends."""
    found: list[int] = []
    while True:
        marker, length = struct.unpack_from('>HH', data, position)
        if marker == 0xFF00 | until:
            return min(found, default=None), position
        if marker == 0xFF00 | _COD:
            found.append(data[position + 9])
        elif marker == 0xFF00 | _COC:
            found.append(data[position + 6])
        if marker >> 8 != 0xFF or length < 2:
            raise IndexError('not a marker segment')
        position += 2 + length


def halvings_for(stream: ReducibleStream, least: tuple[int, int]) -> int:
    """Return how often an image can be halved so that rows and columns stay at least as many."""
    halvings = 0
    while halvings < stream.levels:
        step = 2 << halvings
        rows, columns = stream.size_at(halvings + 1)
        tiles = zip(stream.tile, (stream.rows, stream.columns), strict=True)
        even = all(size >= whole or size % step == 0 for size, whole in tiles)
        if not even or rows < least[0] or columns < least[1]:
            break
        halvings += 1
    return halvings


def decode_reduced(data: bytes, least: tuple[int, int]) -> tuple[np.ndarray, int] | None:
    """Decode a codestream at a half, a quarter … of its size.

    Parameters
    ----------
    data : bytes
        The codestream.
    least : tuple of int
        Rows and columns that are enough; see `halvings_for`.

    Returns
    -------
    ndarray of int32, int, or None
        The samples, and the step between them in pixels of the whole image: sample (i, j) stands
        where pixel (step i, step j) does. None if it is not reduced, or is damaged.
    """
    from PIL import Image

    stream = read_reducible(data)
    halvings = 0 if stream is None else halvings_for(stream, least)
    if stream is None or not halvings:
        return None
    step = 1 << halvings
    rows, columns = stream.size_at(halvings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of sizes that were checked before
            image = Image.open(io.BytesIO(data), formats=('JPEG2000',))
            image.reduce = halvings  # type: ignore[method-assign, assignment]
            # Pillow rounds half sizes where OpenJPEG rounds up, and then finds the stream
            # broken. From sizes that need no rounding both come to the same.
            image._size = columns * step, rows * step
            values = np.asarray(image)
    except Exception:  # whatever Pillow raises for a damaged stream
        return None
    if values.shape != (rows, columns) or values.dtype.kind != 'u':
        return None
    # Pillow shifts samples up to 8 or 16 bits, and adds half of their range to signed ones.
    values = values.astype(np.int32) >> (values.dtype.itemsize * 8 - stream.precision)
    return (values - (1 << (stream.precision - 1)) if stream.signed else values), step
