"""Whether a file is DICOM, by its first bytes. Without pydicom, so that it costs nothing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = [
    'PREAMBLE',
    'SNIFF',
    'file_meta',
    'is_dicom',
    'is_directory',
    'looks_like_dicom',
    'meta_uid',
]

#: Length of the preamble, and how much of a file is looked at, in bytes.
PREAMBLE = 128
SNIFF = 1024

#: Elements of group 0002 that are looked at; the standard knows 14. What goes on for longer
#: is not a header, and walking it to its end could take minutes in the viewer.
_MOST_META_ELEMENTS = 200
#: Bytes of each that are read.
_MOST_META_BYTES = 256
_MEDIA_STORAGE_DIRECTORY = '1.2.840.10008.1.3.10'
#: Value representations, PS3.5 section 6.2; those of the second group have a long header.
_SHORT_VRS = set(b'AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US'.split())
_LONG_VRS = set(b'OB OD OF OL OV OW SQ SV UC UN UR UT UV'.split())
_VRS = _SHORT_VRS | _LONG_VRS


def is_dicom(path: str | Path) -> bool:
    """Tell by its content whether a file is DICOM, with or without the preamble.

    Parameters
    ----------
    path : str or Path
        The file. Its name plays no part.

    Returns
    -------
    bool
        False also for what is not a file or can't be opened.
    """
    path = Path(path)
    try:
        if not path.is_file():
            return False
        with path.open('rb') as file:
            return looks_like_dicom(file.read(SNIFF))
    except OSError:
        return False


def is_directory(path: str | Path) -> bool:
    """Tell by its content whether a file is a DICOMDIR: an index of other files."""
    path = Path(path)
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return False
        with path.open('rb', buffering=0) as file:  # a buffer would read 8 KB an element
            return meta_uid(file_meta(file)[0], 0x0002) == _MEDIA_STORAGE_DIRECTORY
    except (OSError, ValueError):
        return False


def looks_like_dicom(head: bytes) -> bool:
    """Tell by the first bytes of a file whether it is DICOM; see `is_dicom`."""
    if head[PREAMBLE : PREAMBLE + 4] == b'DICM':
        return True
    if len(head) < 16:
        return False
    group_little, element_little = struct.unpack_from('<HH', head)
    group_big = struct.unpack_from('>H', head)[0]
    if group_big == 0x0008:  # only explicit VR exists in big endian
        return head[4:6] in _VRS
    if group_little not in (0x0002, 0x0008):
        return False
    if head[4:6] in _VRS:
        return True
    # Implicit VR: the length must lead to another element of a low group, in order.
    length = struct.unpack_from('<I', head, 4)[0]
    after = 8 + length
    if element_little > 0x2000 or length % 2 or after + 8 > len(head):
        return False
    group_next, element_next = struct.unpack_from('<HH', head, after)
    return group_next <= 0x0028 and (group_next, element_next) > (group_little, element_little)


def file_meta(file: BinaryIO) -> tuple[dict[int, bytes], int]:
    """Return the elements of group 0002 by element number, and where the data set begins.

    PS3.10 section 7.1: always explicit VR little endian. Read by hand because the
    deflated syntax must be known before pydicom inflates without bound. At most 54 KB are
    read, however long the file is.

    Raises
    ------
    ValueError
        If group 0002 goes on beyond any file meta information.
    """
    file.seek(0)
    head = file.read(PREAMBLE + 4)
    position = PREAMBLE + 4 if head[PREAMBLE:] == b'DICM' else 0
    meta: dict[int, bytes] = {}
    for _ in range(_MOST_META_ELEMENTS):
        file.seek(position)
        start = file.read(12)
        if len(start) < 8 or struct.unpack_from('<H', start)[0] != 0x0002:
            return meta, position
        element = struct.unpack_from('<H', start, 2)[0]
        if start[4:6] in _LONG_VRS and len(start) == 12:
            header, length = 12, struct.unpack_from('<I', start, 8)[0]
        elif start[4:6] in _VRS:
            header, length = 8, struct.unpack_from('<H', start, 6)[0]
        else:  # implicit VR, against the standard
            header, length = 8, struct.unpack_from('<I', start, 4)[0]
        file.seek(position + header)
        meta[element] = file.read(min(length, _MOST_META_BYTES))
        position += header + length
    raise ValueError('the file meta information does not end')


def meta_uid(meta: dict[int, bytes], element: int) -> str:
    """Return a UID of the file meta information, or an empty string."""
    return meta.get(element, b'').rstrip(b'\0 ').decode('ascii', 'replace')
