"""What a compressed frame says about itself, before any decoder sees it.

A decoder that believes a codestream of 12000 x 12000 inside a header of 64 x 64
either fails late or returns the wrong pixels silently. These few bytes are
parsed in Python, which can't be made to crash.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ['Codestream', 'jpeg_xl_size', 'parse']


@dataclass(frozen=True)
class Codestream:
    """Size of a compressed frame.

    Parameters
    ----------
    rows, columns, components : int
        Size by the codestream's own header.
    precision : int
        Bits of each sample.
    signed : bool or None
        Whether samples may be below zero; None for a kind of stream that does not say.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool | None = None


def parse(data: bytes) -> Codestream | None:
    """Read the frame header of a JPEG, JPEG-LS or JPEG 2000 codestream.

    Parameters
    ----------
    data : bytes
        One frame.

    Returns
    -------
    Codestream or None
        None if no frame header was found, such as for RLE.
    """
    if data[:3] == b'\xff\xd8\xff':
        return _jpeg(data)
    start = data.find(b'\xff\x4f\xff\x51', 0, 1 << 16)  # SOC, SIZ; behind boxes in a JP2 file
    return _jpeg2000(data, start) if start >= 0 else None


def _jpeg(data: bytes) -> Codestream | None:
    """ITU-T T.81 table B.2 (SOF0 to SOF15) and T.87 C.2.2 (SOF55)."""
    position = 2
    while position + 9 < len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # stand-alone markers
            position += 2
            continue
        if marker in (0xD9, 0xDA):  # end of image, start of scan
            return None
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            precision, rows, columns, components = struct.unpack_from('>BHHB', data, position + 4)
            return Codestream(rows, columns, components, precision)
        position += 2 + int(struct.unpack_from('>H', data, position + 2)[0])
    return None


def _jpeg2000(data: bytes, start: int) -> Codestream | None:
    """ITU-T T.800 table A.9: the SIZ segment."""
    try:
        x, y, x0, y0 = struct.unpack_from('>4I', data, start + 8)
        components, precision = struct.unpack_from('>HB', data, start + 40)
    except struct.error:
        return None
    return Codestream(y - y0, x - x0, components, (precision & 0x7F) + 1, bool(precision >> 7))


def jpeg_xl_size(data: bytes) -> tuple[int, int] | None:
    """Read rows and columns of a JPEG XL codestream, bare or in a container.

    ISO/IEC 18181-1, SizeHeader, and 18181-2 for the boxes.

    Returns
    -------
    tuple of int, or None
        None if it is no JPEG XL.
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
