"""Compressed frames: what they say about themselves, and decoders that pydicom 3.0 lacks.

12-bit lossy JPEG (process 4) is decoded by gdcm: pydicom declines it for gdcm, and its only
other decoder is under the GPL. gdcm 3.2 decodes it: on the WG-04 images it agrees with libjpeg
to within one grey level of rounding. Of the transfer syntaxes that are in the standard and not
yet in pydicom 3.0, Deflated Image Frame (PS3.5 A.4.14) is decoded here, and JPEG XL (A.4.15)
where imagecodecs with libjxl is installed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from napari_cxr.radiograph import UnreadableImage

__all__ = [
    'DEFLATED_FRAMES',
    'JPEG_XL',
    'decode_12_bit_jpeg',
    'decode_recent_frames',
    'has_jpeg_xl',
    'is_encapsulated_syntax',
    'is_known_syntax',
    'is_recent_syntax',
    'jpeg_xl_size',
    'rle_exceeds',
    'silence_gdcm',
    'syntax_name',
]


def rle_exceeds(frame: bytes, pixels: int) -> bool:
    """Tell whether a part of an RLE frame unpacks to far more than one byte a pixel.

    PS3.5 annex G. Two bytes may stand for 128, and decoders unpack all that is there before
    they look how much it was. Padding behind the pixels is let through, as decoders do.

    Parameters
    ----------
    frame : bytes
        The encoded frame.
    pixels : int
        Rows times columns.
    """
    if len(frame) < _RLE_HEADER:
        return False
    count, *offsets = struct.unpack_from('<16I', frame)
    starts = [*offsets[: min(count, 15)], len(frame)]
    most = 2 * pixels + _RLE_PADDING
    return any(
        end - start > most or _unpacked_length(frame[start:end]) > most
        for start, end in pairwise(starts)
        if _RLE_HEADER <= start < end <= len(frame)
    )


#: The header of an RLE frame, and what may stand behind its pixels, in bytes.
_RLE_HEADER, _RLE_PADDING = 64, 1024


#: By control byte: how many bytes follow from it, and how far the next one is. Bytes as they are,
#: nothing, or one byte many times.
_UNPACKED = (*range(1, 129), 0, *(257 - control for control in range(129, 256)))
_STEPS = (*range(2, 130), 1, *(2 for _ in range(129, 256)))


def _unpacked_length(packed: bytes) -> int:
    """Return how many bytes a segment unpacks to."""
    place = length = 0
    # No loop of Python's can do less for a step, of which an image has a million.
    try:
        while True:
            control = packed[place]
            length += _UNPACKED[control]
            place += _STEPS[control]
    except IndexError:
        return length


def jpeg_xl_size(data: bytes) -> tuple[int, int] | None:
    """Read rows and columns of a JPEG XL codestream, bare or in a container.

    ISO/IEC 18181-1, SizeHeader, and 18181-2 for the boxes.

    Returns
    -------
    tuple of int, or None
        None if it is not JPEG XL.
    """
    if data[:4] == b'\0\0\0\x0c' and data[4:8] == b'JXL ':
        data = _first_codestream(data)
    if data[:2] != b'\xff\x0a':
        return None
    bits = int.from_bytes(data[2:16].ljust(14, b'\0'), 'little')

    def take(count: int) -> int:
        nonlocal bits
        taken = bits & ((1 << count) - 1)
        bits >>= count
        return taken

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    rows = side()
    ratio = take(3)
    if ratio == 0:
        return rows, side()
    over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return rows, rows * over // under


def _first_codestream(data: bytes) -> bytes:
    """Return where the codestream begins in the boxes of a container; empty if it does not."""
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, position)
        start = position + 8
        if length == 1 and start + 8 <= len(data):
            length = struct.unpack_from('>Q', data, start)[0]
            start += 8
        if kind == b'jxlc':
            return data[start : start + 16]
        if kind == b'jxlp':  # in parts, each with its number first
            return data[start + 4 : start + 20]
        if length < 8:  # to the end of the file, or nonsense
            break
        position += length
    return b''


def silence_gdcm() -> None:
    """Stop gdcm from writing what it thinks of a stream to the terminal."""
    import gdcm

    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()


def decode_12_bit_jpeg(pixels: Dataset) -> np.ndarray:
    """Decode single-sample JPEG Extended of more than 8 bits.

    Parameters
    ----------
    pixels : Dataset
        The image pixel module, checked, with 16 bits allocated.

    Returns
    -------
    ndarray of uint16
        Shape (rows, columns), or (frames, rows, columns) for more than one.

    Raises
    ------
    ValueError
        If a frame can't be decoded.
    """
    import gdcm

    if pixels.SamplesPerPixel != 1 or pixels.BitsAllocated != 16:
        raise ValueError('only 16-bit grey images')
    count = int(pixels.NumberOfFrames)
    syntax = gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4)
    # The precision of the stream, not Bits Stored: gdcm would cut off what overshoots it.
    form = gdcm.PixelFormat(1, 16, 12, 11, 0)
    grey = gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    frames = []
    for encoded in generate_frames(pixels.PixelData, number_of_frames=count):
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(encoded)
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetValue(fragments.__ref__())
        image = gdcm.Image()
        image.SetNumberOfDimensions(2)
        image.SetDimensions((pixels.Columns, pixels.Rows, 1))
        image.SetPhotometricInterpretation(grey)
        image.SetTransferSyntax(syntax)
        image.SetPixelFormat(form)
        image.SetDataElement(element)
        # The binding hands over bytes as text.
        raw = image.GetBuffer().encode('utf-8', 'surrogateescape')
        frame = np.frombuffer(raw, dtype='<u2', count=pixels.Rows * pixels.Columns)
        frames.append(frame.reshape(pixels.Rows, pixels.Columns))
        if len(frames) == count:
            break
    values = np.stack(frames)
    return values[0] if count == 1 else values


JPEG_XL = {
    '1.2.840.10008.1.2.4.110': 'JPEG XL Lossless',
    '1.2.840.10008.1.2.4.111': 'JPEG XL JPEG Recompression',
    '1.2.840.10008.1.2.4.112': 'JPEG XL',
}

DEFLATED_FRAMES = '1.2.840.10008.1.2.8.1'

_NAMES = {**JPEG_XL, DEFLATED_FRAMES: 'Deflated Image Frame Compression'}


def is_recent_syntax(syntax: UID) -> bool:
    """Tell whether a transfer syntax is one of those that are handled here."""
    return str(syntax) in _NAMES


def is_known_syntax(syntax: UID) -> bool:
    """Tell whether a UID is a transfer syntax of the standard."""
    return is_recent_syntax(syntax) or (not syntax.is_private and syntax.is_transfer_syntax)


def is_encapsulated_syntax(syntax: UID) -> bool:
    """Tell whether pixel data of a known transfer syntax stand in fragments."""
    return is_recent_syntax(syntax) or syntax.is_encapsulated


def syntax_name(syntax: UID) -> str:
    """Return the name of a transfer syntax; never a UID, which may tell whose file it is."""
    name = _NAMES.get(str(syntax), syntax.name)
    return 'a private or unknown one' if name == str(syntax) else name


def decode_recent_frames(
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
        except MemoryError:
            raise
        except Exception as error:
            raise UnreadableImage('The compressed pixel data are damaged.') from error
        if values.shape != shape or values.dtype.kind not in 'iu':
            raise UnreadableImage(
                'The compressed image does not have the pixel format that the header states.'
            )
        found.append(values.astype(dtype, copy=False))
    return np.stack(found)


def has_jpeg_xl() -> bool:
    """Tell whether imagecodecs is installed with libjxl."""
    try:
        import imagecodecs

        return bool(imagecodecs.JPEGXL.available)
    except (ImportError, AttributeError):
        return False


def _jpeg_xl() -> Any:
    if has_jpeg_xl():
        import imagecodecs

        return imagecodecs
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
