"""From a file to a data set, without trusting the file."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)
from pydicom.valuerep import VR

from napari_cxr.dicom.elements import value
from napari_cxr.radiograph import UnreadableImage

__all__ = ['MAX_DATASET_BYTES', 'Header', 'is_dicom', 'is_directory', 'quiet', 'read_header']

#: No radiograph comes near this; a deflated bomb, or a disk image, does.
MAX_DATASET_BYTES = 1 << 30

_PREAMBLE = 128
_SNIFF = 1024
_VRS = {str(vr).encode() for vr in VR if len(str(vr)) == 2}
_LONG_VRS = {b'OB', b'OD', b'OF', b'OL', b'OV', b'OW', b'SQ', b'SV', b'UC', b'UN', b'UR', b'UT'}
_LONG_VRS.add(b'UV')


@dataclass(frozen=True, eq=False)
class Header:
    """A data set together with how it was encoded.

    Parameters
    ----------
    dataset : Dataset
        The whole object, pixel data included.
    transfer_syntax : UID
        The transfer syntax of the file; inferred where the file does not say.
    """

    dataset: Dataset
    transfer_syntax: UID

    @property
    def byte_order(self) -> str:
        """'<' or '>', the order of multi-byte values in the data set."""
        return '>' if self.transfer_syntax == ExplicitVRBigEndian else '<'


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log records, which quote values, from being shown."""
    logger = logging.getLogger('pydicom')
    propagate = logger.propagate
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        logger.propagate = False
        try:
            yield
        finally:
            logger.propagate = propagate


def is_dicom(path: str | Path) -> bool:
    """Tell by its content whether a file is DICOM, with or without the preamble.

    Parameters
    ----------
    path : str or Path
        The file. Its name plays no part.

    Returns
    -------
    bool
        False also for what is no file or can't be opened.
    """
    path = Path(path)
    try:
        if not path.is_file():
            return False
        with path.open('rb') as file:
            return _looks_like_dicom(file.read(_SNIFF))
    except OSError:
        return False


def is_directory(path: str | Path) -> bool:
    """Tell by its content whether a file is a DICOMDIR: an index of other files."""
    try:
        with Path(path).open('rb') as file:
            return _meta_uid(_file_meta(file)[0], 0x0002) == MediaStorageDirectoryStorage
    except OSError:
        return False


def read_header(path: str | Path) -> Header:
    """Read a DICOM file.

    Parameters
    ----------
    path : str or Path
        The file. One without preamble or file meta information is read too.

    Returns
    -------
    Header

    Raises
    ------
    UnreadableImage
        If the file is missing, no DICOM, damaged, or larger than
        `MAX_DATASET_BYTES`, deflated or not.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise UnreadableImage('There is no such file.')
        size = path.stat().st_size
        with path.open('rb') as file:
            head = file.read(_SNIFF)
            if not _looks_like_dicom(head):
                raise UnreadableImage(_what_it_is(head))
            if size > MAX_DATASET_BYTES:
                raise UnreadableImage('The file is too large for a radiograph (over 1 GiB).')
            meta, start = _file_meta(file)
            syntax = _meta_uid(meta, 0x0010)
            source: BinaryIO = file
            if syntax == DeflatedExplicitVRLittleEndian:
                file.seek(start)
                source = BytesIO(_with_plain_meta(_inflate(file, MAX_DATASET_BYTES)))
            source.seek(0)
            with quiet():
                dataset = _parse(source)
    except OSError as error:
        raise UnreadableImage('The file could not be opened for reading.') from error
    return Header(dataset, syntax or _inferred_syntax(dataset))


def _parse(source: BinaryIO) -> Dataset:
    try:
        dataset = dcmread(source, force=True)
    except RecursionError:
        raise
    except Exception as error:
        raise UnreadableImage(
            'The file begins as DICOM but its header is damaged; export it again.'
        ) from error
    if len(dataset) == 0:
        raise UnreadableImage('The file begins as DICOM but holds nothing after its preamble.')
    return dataset


def _inferred_syntax(dataset: Dataset) -> UID:
    stated = value(getattr(dataset, 'file_meta', Dataset()), 'TransferSyntaxUID')
    if stated:
        return UID(str(stated))
    implicit, little = dataset.original_encoding
    if implicit:
        return UID(ImplicitVRLittleEndian)
    return UID(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


def _looks_like_dicom(head: bytes) -> bool:
    if head[_PREAMBLE : _PREAMBLE + 4] == b'DICM':
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


def _what_it_is(head: bytes) -> str:
    start = head.lstrip()[:64].lower()
    if not head:
        return 'The file is empty.'
    if start.startswith((b'<!doctype html', b'<html', b'<head', b'<?xml')):
        return (
            'This is a web page saved under the name of an image, not a DICOM file; '
            'download the image itself.'
        )
    if start.startswith(b'%pdf'):
        return 'This is a PDF document, not a DICOM file.'
    if head.startswith(b'PK\x03\x04'):
        return 'This is a ZIP archive; unpack it and open the files in it.'
    return 'This is not a DICOM file.'


def _file_meta(file: BinaryIO) -> tuple[dict[int, bytes], int]:
    """Return the elements of group 0002 by element number, and where the data set begins.

    PS3.10 section 7.1: always explicit VR little endian. Read by hand because the
    deflated syntax must be known before pydicom inflates without bound.
    """
    file.seek(0)
    head = file.read(_PREAMBLE + 4)
    position = _PREAMBLE + 4 if head[_PREAMBLE:] == b'DICM' else 0
    meta: dict[int, bytes] = {}
    while True:
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
        meta[element] = file.read(min(length, 256))
        position += header + length


def _meta_uid(meta: dict[int, bytes], element: int) -> UID | None:
    raw = meta.get(element, b'').rstrip(b'\0 ').decode('ascii', 'replace')
    return UID(raw) if raw else None


def _inflate(file: BinaryIO, limit: int) -> bytes:
    """Inflate what is left of a file, RFC 1951, up to `limit` bytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    total = 0
    try:
        while chunk := inflater.unconsumed_tail or file.read(1 << 16):
            part = inflater.decompress(chunk, 1 << 20)
            total += len(part)
            if total > limit:
                raise UnreadableImage(
                    'The file unpacks to far more than a radiograph holds; it was not opened.'
                )
            parts.append(part)
            if inflater.eof:
                break
        parts.append(inflater.decompress(b'', 1 << 20))
    except zlib.error as error:
        raise UnreadableImage('The deflated data set of this file is damaged.') from error
    return b''.join(parts)


def _with_plain_meta(dataset: bytes) -> bytes:
    """Put a file meta group of explicit VR little endian in front of an inflated data set."""
    uid = str(ExplicitVRLittleEndian).encode()
    uid += b'\0' * (len(uid) % 2)
    syntax = struct.pack('<HH2sH', 0x0002, 0x0010, b'UI', len(uid)) + uid
    length = struct.pack('<HH2sHI', 0x0002, 0x0000, b'UL', 4, len(syntax))
    return bytes(_PREAMBLE) + b'DICM' + length + syntax + dataset
