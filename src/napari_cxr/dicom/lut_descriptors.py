"""LUT Descriptor and LUT Data, whatever value representation they were written with.

PS3.3 C.11.1.1.1, C.11.2.1.1 and C.7.6.3.1.5: the first value (how many entries) and the third
(their bits) are always unsigned; only the second, the input value of the first entry, follows
Pixel Representation. Its value representation is US or SS for all three, so that 40000 entries
of a signed image read as -25536, and implicit VR leaves it to be guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import numbers, value

__all__ = ['Descriptor', 'read_descriptor', 'read_table']


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
