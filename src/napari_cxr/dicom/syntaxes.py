"""Transfer syntaxes that are in the standard and not yet in pydicom 3.0.

PS3.5 A.4.15 (JPEG XL) and A.4.14 (Deflated Image Frame). The second is decoded here; the first
where imagecodecs with libjxl is installed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from pydicom.uid import UID

from napari_cxr.radiograph import UnreadableImage

__all__ = [
    'DEFLATED_FRAMES',
    'JPEG_XL',
    'decode_frames',
    'is_encapsulated',
    'is_known',
    'is_recent',
    'syntax_name',
]

JPEG_XL = {
    '1.2.840.10008.1.2.4.110': 'JPEG XL Lossless',
    '1.2.840.10008.1.2.4.111': 'JPEG XL JPEG Recompression',
    '1.2.840.10008.1.2.4.112': 'JPEG XL',
}
DEFLATED_FRAMES = '1.2.840.10008.1.2.8.1'
_NAMES = {**JPEG_XL, DEFLATED_FRAMES: 'Deflated Image Frame Compression'}


def is_recent(syntax: UID) -> bool:
    """Tell whether a transfer syntax is one of those that are handled here."""
    return str(syntax) in _NAMES


def is_known(syntax: UID) -> bool:
    """Tell whether a UID is a transfer syntax of the standard."""
    return is_recent(syntax) or (not syntax.is_private and syntax.is_transfer_syntax)


def is_encapsulated(syntax: UID) -> bool:
    """Tell whether pixel data of a known transfer syntax stand in fragments."""
    return is_recent(syntax) or syntax.is_encapsulated


def syntax_name(syntax: UID) -> str:
    """Return the name of a transfer syntax."""
    return _NAMES.get(str(syntax), syntax.name)


def decode_frames(
    syntax: UID, frames: Iterable[bytes], shape: tuple[int, ...], dtype: np.dtype, *, planar: bool
) -> np.ndarray:
    """Decode the frames of one of these transfer syntaxes.

    Parameters
    ----------
    syntax : UID
        One for which `is_recent` holds.
    frames : iterable of bytes
        The encoded frames.
    shape : tuple of int
        Of one frame: rows and columns, and 3 for colour.
    dtype : dtype
        What the header says a sample is.
    planar : bool
        Whether deflated colour stands plane by plane.

    Returns
    -------
    ndarray
        Shape (frames, *shape).

    Raises
    ------
    UnreadableImage
        If no decoder is installed, or a frame is damaged or is not what the header says.
    """
    decode: Callable[[bytes], np.ndarray]
    if str(syntax) == DEFLATED_FRAMES:

        def decode(frame: bytes) -> np.ndarray:
            return _inflated(frame, shape, dtype, planar)

    else:
        codec = _jpeg_xl()

        def decode(frame: bytes) -> np.ndarray:
            return np.asarray(codec.jpegxl_decode(frame))

    found: list[np.ndarray] = []
    for frame in frames:
        try:
            values = decode(frame)
        except Exception as error:
            raise UnreadableImage('The compressed pixel data are damaged.') from error
        if values.shape != shape or values.dtype.kind not in 'iu':
            raise UnreadableImage(
                'The compressed image does not have the pixel format that the header states.'
            )
        found.append(values.astype(dtype, copy=False))
    return np.stack(found)


def _jpeg_xl() -> Any:
    try:
        import imagecodecs

        if imagecodecs.JPEGXL.available:
            return imagecodecs
    except (ImportError, AttributeError):
        pass
    raise UnreadableImage(
        'The compression of this image (JPEG XL) can be read only where the package imagecodecs '
        'is installed with libjxl.'
    )


def _inflated(frame: bytes, shape: tuple[int, ...], dtype: np.dtype, planar: bool) -> np.ndarray:
    count = int(np.prod(shape))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    # One byte more than it may hold, so that a bomb is told from a frame.
    raw = inflater.decompress(frame, count * dtype.itemsize + 2)
    if not 0 <= len(raw) - count * dtype.itemsize <= 1:
        raise ValueError('another size')
    values = np.frombuffer(raw, dtype.newbyteorder('<'), count)
    if planar and len(shape) == 3:
        return np.moveaxis(values.reshape(shape[2], *shape[:2]), 0, -1)
    return values.reshape(shape)
