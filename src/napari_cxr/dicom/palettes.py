"""Palette colour: indices to RGB, DICOM PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6."""

from __future__ import annotations

import numpy as np
from pydicom.pixels.processing import apply_color_lut

from napari_cxr.dicom.elements import integer, value
from napari_cxr.dicom.headers import Header
from napari_cxr.dicom.lut_descriptors import read_descriptor
from napari_cxr.radiograph import UnreadableImage

__all__ = ['apply_palette']

_CHANNELS = ('Red', 'Green', 'Blue')


def apply_palette(indices: np.ndarray, header: Header) -> tuple[np.ndarray, bool]:
    """Replace palette indices by the colours that they stand for.

    Parameters
    ----------
    indices : ndarray
        Stored values, any shape.
    header : Header
        The object with its palette.

    Returns
    -------
    ndarray of uint8
        Shape of `indices` with a last axis of 3; without it for a palette of
        greys. Entries of more than 8 bits are cut to their upper 8.
    bool
        Whether the last axis is colour.

    Raises
    ------
    UnreadableImage
        If the palette is missing or broken.
    """
    try:
        if 'RedPaletteColorLookupTableData' in header.dataset:
            tables = [_table(header, channel) for channel in _CHANNELS]
            # Entries of 8 bits in words of 16 are against PS3.3, and common.
            deep = max(int(table.max()) for _, table in tables) > 255
            channels = []
            for first, table in tables:
                position = np.clip(indices.astype(np.int64) - first, 0, len(table) - 1)
                channels.append((table >> 8 if deep else table).astype(np.uint8)[position])
        else:
            colours = apply_color_lut(indices, header.dataset)
            shift = 8 * (colours.dtype.itemsize - 1)
            channels = [(colours[..., i] >> shift).astype(np.uint8) for i in range(3)]
    except RecursionError:
        raise
    except Exception as error:
        raise UnreadableImage('The colour palette of this image is missing or broken.') from error
    if all(np.array_equal(channels[0], other) for other in channels[1:]):
        return channels[0], False
    return np.stack(channels, axis=-1), True


def _table(header: Header, channel: str) -> tuple[int, np.ndarray]:
    """Return the index of a table's first entry, and its entries."""
    name = f'{channel}PaletteColorLookupTable'
    signed = integer(header.dataset, 'PixelRepresentation') == 1
    low, high = (-(1 << 15), (1 << 15) - 1) if signed else (0, (1 << 16) - 1)
    descriptor = read_descriptor(header.dataset, f'{name}Descriptor', low, high, signed=signed)
    if descriptor is None:
        raise ValueError('no descriptor')
    entries = descriptor.entries
    data = value(header.dataset, f'{name}Data')
    # One byte an entry, and perhaps one more to make the length even; else a word each.
    dtype = 'u1' if len(data) < 2 * entries else f'{header.byte_order}u2'
    return descriptor.first, np.frombuffer(data, dtype=dtype, count=entries)
