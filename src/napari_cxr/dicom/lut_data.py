"""LUT Descriptor and LUT Data as files hold them, and palette colour, which is three of them.

PS3.3 C.11.1.1.1, C.11.2.1.1 and C.7.6.3.1.5: whatever value representation a descriptor was
written with, its first value (how many entries) and the third (their bits) are always unsigned;
only the second, the input value of the first entry, follows Pixel Representation. Its value
representation is US or SS for all three, so that 40000 entries of a signed image read as
-25536, and implicit VR leaves it to be guessed. Palette colour turns indices to RGB
(C.7.6.3.1.5 and C.7.6.3.1.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from napari_cxr.dicom.elements import integer, numbers, value
from napari_cxr.dicom.headers import Header
from napari_cxr.radiograph import UnreadableImage

__all__ = ['Descriptor', 'apply_palette', 'read_descriptor', 'read_table']


@dataclass(frozen=True)
class Descriptor:
    """The three values of a LUT Descriptor, each with its right sign.

    Parameters
    ----------
    entries : int
        How many there are, 1 to 65536.
    first : int
        The input value of the first.
    depth : int
        Bits of an entry.
    repaired : bool
        Whether a value had the wrong sign in the file.
    """

    entries: int
    first: int
    depth: int
    repaired: bool = False


def read_descriptor(
    item: Dataset, keyword: str, low: float, high: float, *, signed: bool
) -> Descriptor | None:
    """Read a LUT Descriptor.

    Parameters
    ----------
    item : Dataset
        What holds it.
    keyword : str
        Its keyword, such as ``LUTDescriptor``.
    low, high : float
        The range of the input values. A first entry whose table lies wholly outside is taken
        with the other sign, if the table then lies inside.
    signed : bool
        Whether Pixel Representation says that input values are signed.

    Returns
    -------
    Descriptor or None
        None if there are not three whole numbers.
    """
    found = numbers(item, keyword)
    if len(found) != 3 or any(n is None or n != int(n) for n in found):
        return None
    stated = [int(n or 0) for n in found]
    if not all(-(1 << 15) <= n < 1 << 16 for n in stated):
        return None
    entries = (stated[0] & 0xFFFF) or 1 << 16  # 0 stands for 65536
    unsigned = stated[1] & 0xFFFF
    other = unsigned - (1 << 16) if unsigned >> 15 else unsigned
    candidates = (other, unsigned) if signed else (unsigned, other)
    first = next((c for c in candidates if c <= high and c + entries - 1 >= low), candidates[0])
    depth = stated[2] & 0xFFFF
    repaired = stated[0] < 0 or stated[2] < 0 or first != stated[1]
    return Descriptor(entries, first, depth, repaired)


def read_table(
    item: Dataset, byte_order: str, low: float, high: float, *, signed: bool
) -> tuple[Descriptor, np.ndarray] | None:
    """Read the descriptor and the entries of an item of a LUT sequence.

    Parameters
    ----------
    item : Dataset
        An item of Modality LUT Sequence or VOI LUT Sequence.
    byte_order : {'<', '>'}
        Of the words in its data.
    low, high, signed
        As of `read_descriptor`.

    Returns
    -------
    tuple of Descriptor and ndarray of uint16, or None
        None if it is broken.
    """
    descriptor = read_descriptor(item, 'LUTDescriptor', low, high, signed=signed)
    if descriptor is None:
        return None
    entries = descriptor.entries
    data = value(item, 'LUTData')
    if isinstance(data, int):
        data = [data]
    try:
        # OW holds bytes, US numbers; both hold words, or pairs of 8-bit entries, low byte first.
        words = (
            np.frombuffer(data[: len(data) // 2 * 2], dtype=f'{byte_order}u2')
            if isinstance(data, bytes)
            else np.asarray([int(number) & 0xFFFF for number in data or []], dtype=np.uint16)
        )
    except (TypeError, ValueError):
        return None
    words = words.astype('<u2')
    if descriptor.depth <= 8 and len(words) == (entries + 1) // 2 and entries > 1:
        words = words.view(np.uint8)[:entries].astype('<u2')
    if len(words) < entries:
        return None
    return descriptor, words[:entries].astype(np.uint16)


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
    # Any first entry lies in the range of the indices, so only Pixel Representation decides.
    descriptor = read_descriptor(
        header.dataset, f'{name}Descriptor', -math.inf, math.inf, signed=signed
    )
    if descriptor is None:
        raise ValueError('no descriptor')
    entries = descriptor.entries
    data = value(header.dataset, f'{name}Data')
    # One byte an entry, and perhaps one more to make the length even; else a word each.
    dtype = 'u1' if len(data) < 2 * entries else f'{header.byte_order}u2'
    return descriptor.first, np.frombuffer(data, dtype=dtype, count=entries)
