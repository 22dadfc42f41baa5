"""Overlay planes, groups 60xx: drawings and regions that lie on an image, PS3.3 C.9.2."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from napari_cxr.dicom.elements import integer
from napari_cxr.dicom.headers import Header
from napari_cxr.dicom.pixels import MAX_SAMPLES
from napari_cxr.radiograph import Overlay

__all__ = ['read_overlays']

_ONE = (
    'The file has an overlay (drawings or regions on top of the image): a layer that can be '
    'switched on, and no part of what is classified.'
)
_SEVERAL = (
    'The file has {} overlays (drawings or regions on top of the image): layers that can be '
    'switched on, and no part of what is classified.'
)
#: Groups 6000 to 601E, the even ones.
_GROUPS = range(0x6000, 0x6020, 2)
_ROWS, _COLUMNS, _FRAMES, _TYPE = 0x0010, 0x0011, 0x0015, 0x0040
_ORIGIN, _FIRST_FRAME, _BIT, _DATA = 0x0050, 0x0051, 0x0102, 0x3000


def read_overlays(
    header: Header, shape: tuple[int, ...]
) -> tuple[tuple[Overlay, ...], tuple[str, ...]]:
    """Read the overlays of an image, laid on its pixels.

    Parameters
    ----------
    header : Header
        The object.
    shape : tuple of int
        Of the image: rows and columns, with frames first where there are several.

    Returns
    -------
    tuple of Overlay
        Those that mark at least a pixel.
    tuple of str
        Notes on what there is and what was broken.
    """
    found: list[Overlay] = []
    broken = False
    for number, group in enumerate(_GROUPS, 1):
        has_data, bit = (Tag(group, e) in header.dataset for e in (_DATA, _BIT))
        # Bit 0 is a pixel's own: a group of that and no data is an overlay that nobody drew.
        if not has_data and not (bit and _value(header.dataset, group, _BIT)):
            continue
        try:
            mask = _mask(header, group, shape)
        except RecursionError:
            raise
        except Exception:
            broken = True
            continue
        if mask.any():
            kind = str(_value(header.dataset, group, _TYPE) or '').strip()
            found.append(Overlay(mask, 'region' if kind == 'R' else 'drawing', number))
    notes: tuple[str, ...] = ()
    if len(found) == 1:
        notes += (_ONE,)
    elif found:
        notes += (_SEVERAL.format(len(found)),)
    if broken:
        notes += ('An overlay of this file is broken and was left out.',)
    return tuple(found), notes


def _value(dataset: Dataset, group: int, element: int) -> Any:
    found = dataset.get(Tag(group, element))
    return None if found is None else found.value


def _mask(header: Header, group: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return where an overlay marks the image; raises whatever a broken one leads to."""
    dataset = header.dataset
    rows, columns = (int(_value(dataset, group, e) or 0) for e in (_ROWS, _COLUMNS))
    frames = int(_value(dataset, group, _FRAMES) or 1)
    if rows < 1 or columns < 1 or frames < 1 or rows * columns * frames > MAX_SAMPLES:
        raise ValueError('no size')
    data = _value(dataset, group, _DATA)
    if data:
        bits = _unpacked(header, group, data, rows * columns * frames)
    else:
        bits = _from_pixels(header, int(_value(dataset, group, _BIT) or 0))
    plane = bits[: rows * columns * frames].reshape(frames, rows, columns)
    if plane.size != rows * columns * frames:
        raise ValueError('cut short')
    origin = _value(dataset, group, _ORIGIN) or (1, 1)
    top, left = (int(n) - 1 for n in origin)
    mask = np.zeros(shape if len(shape) == 3 else (1, *shape), dtype=bool)
    first = max(int(_value(dataset, group, _FIRST_FRAME) or 1) - 1, 0)
    if frames == 1 and _value(dataset, group, _FIRST_FRAME) is None:
        plane, first = np.broadcast_to(plane, (len(mask), rows, columns)), 0
    for index, frame in enumerate(plane[: max(len(mask) - first, 0)], first):
        _lay(mask[index], frame, top, left)
    return mask if len(shape) == 3 else mask[0]


def _lay(mask: np.ndarray, frame: np.ndarray, top: int, left: int) -> None:
    """Copy the part of an overlay that lies on the image."""
    rows = slice(max(top, 0), max(min(top + frame.shape[0], mask.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + frame.shape[1], mask.shape[1]), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        mask[rows, columns] = frame[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]


def _unpacked(header: Header, group: int, data: Any, count: int) -> np.ndarray:
    """Return bits, the lowest of each byte first, PS3.5 8.1.2."""
    if not isinstance(data, bytes) or len(data) * 8 < count:
        raise ValueError('cut short')
    raw = np.frombuffer(data, np.uint8)
    if header.byte_order == '>' and header.dataset[Tag(group, _DATA)].VR == 'OW':
        raw = raw[: len(raw) // 2 * 2].view('>u2').astype('<u2').view(np.uint8)
    return np.unpackbits(raw, count=count, bitorder='little').astype(bool)


def _from_pixels(header: Header, bit: int) -> np.ndarray:
    """Return a bit above those of the pixels, where overlays were kept until 2004."""
    allocated = integer(header.dataset, 'BitsAllocated')
    stored = integer(header.dataset, 'BitsStored') or 0
    high = integer(header.dataset, 'HighBit')
    high = stored - 1 if high is None else high
    inside = high - stored < bit <= high
    if allocated not in (8, 16) or not 0 <= bit < allocated or inside:
        raise ValueError('no such bit')
    if header.transfer_syntax.is_encapsulated:
        raise ValueError('its bits did not outlive the compression')
    data = header.dataset.PixelData
    words = np.frombuffer(data, f'{header.byte_order}u{allocated // 8}')
    shifted: np.ndarray = (words >> bit) & 1
    return shifted.astype(bool)
