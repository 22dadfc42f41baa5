"""What a JPEG, JPEG-LS or JPEG 2000 codestream says of itself, in DICOM, TIFF and JPEG files.

A decoder that believes a codestream of 12000 x 12000 inside a header of 64 x 64 either fails
late, makes room for what is not there, or returns the wrong pixels silently. So the first bytes
of a codestream are parsed here, in Python, which can't be made to crash, before any decoder
sees it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ['Codestream', 'parse_codestream']


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
    lossless : bool
        Whether it is a JPEG of the old lossless kind (SOF3).
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool | None = None
    lossless: bool = False


def parse_codestream(data: bytes) -> Codestream | None:
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
            return Codestream(rows, columns, components, precision, lossless=marker == 0xC3)
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
