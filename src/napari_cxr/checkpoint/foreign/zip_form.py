"""torch's form since 1.6: a zip archive whose entries are stored as they are."""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint.foreign.arrays import Arrays, storage_of
from napari_cxr.checkpoint.foreign.machine import LARGEST_PICKLE, Machine
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError, shortened

__all__ = ['read_zip']

#: Bytes of the archive's list of entries: some thirty thousand of them.
_LONGEST_LIST = 4 << 20
_TAIL = 65_557  # the last record with the longest comment
_DAMAGED = 'The archive is cut off or damaged.'


def read_zip(path: Path, data: memoryview) -> tuple[Any, Arrays]:
    """Return what the pickle of an archive describes, and what makes arrays of its storages.

    Nothing is unpacked: an archive with a compressed entry is not one of torch's.
    """
    _check_list(data)
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError):
        raise ForeignFileError(_DAMAGED) from None
    entries = {info.filename: info for info in listed}
    if len(entries) < len(listed):
        raise ForeignFileError('The archive is not one of torch: it has a name twice.')
    tables = [name for name in entries if name == 'data.pkl' or name.endswith('/data.pkl')]
    if len(tables) != 1:
        raise ForeignFileError('The archive is not one of weights: it has no single data.pkl.')
    root = tables[0].removesuffix('data.pkl')
    order = entries.get(f'{root}byteorder')
    if order is not None and bytes(_content(data, order)) != b'little':
        raise ForeignFileError('It was written on a machine with another order of bytes.')
    if sys.byteorder != 'little':
        raise ForeignFileError('This machine has another order of bytes than the file.')
    if entries[tables[0]].file_size > LARGEST_PICKLE:
        raise ForeignFileError('Its table of contents is unreasonably large.')
    found = Machine(_content(data, entries[tables[0]]), 0, storage_of).read()

    contents: dict[str, memoryview] = {}
    left = len(data)

    def bytes_of(key: str) -> memoryview:
        nonlocal left
        if key not in contents:
            info = entries.get(f'{root}data/{key}')
            if info is None:
                raise ForeignFileError(f'The archive lacks the storage {shortened(key)!r}.')
            left -= info.file_size
            if left < 0:  # each would be checked anew
                raise ForeignFileError('The archive is not one of torch: its entries overlap.')
            contents[key] = _content(data, info)
        return contents[key]

    return found, Arrays(bytes_of, len(data))


def _check_list(data: memoryview) -> None:
    """Refuse an archive whose list of entries would take much memory to read."""
    tail = bytes(data[-_TAIL:])
    at = tail.rfind(b'PK\x05\x06')
    if at < 0 or len(tail) - at < 22:
        raise ForeignFileError(_DAMAGED)
    (size,) = struct.unpack_from('<I', tail, at + 12)
    larger = tail.rfind(b'PK\x06\x06')  # the record for archives above 4 GB, which torch writes
    if larger >= 0 and len(tail) - larger >= 56:
        size = max(
            size if size != 0xFFFFFFFF else 0, struct.unpack_from('<Q', tail, larger + 40)[0]
        )
    if size > _LONGEST_LIST:
        raise ForeignFileError('The archive has unreasonably many entries.')


def _content(data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of an entry, checked against its checksum."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1:
        raise ForeignFileError('The archive is not one of torch: an entry is compressed.')
    head = bytes(data[info.header_offset : info.header_offset + 30])
    if len(head) < 30 or head[:4] != b'PK\x03\x04':
        raise ForeignFileError(_DAMAGED)
    name, extra = struct.unpack_from('<HH', head, 26)
    start = info.header_offset + 30 + name + extra
    content = data[start : start + info.file_size]
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise ForeignFileError(_DAMAGED)
    return content
