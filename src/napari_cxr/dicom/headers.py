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
)

from napari_cxr.dicom.elements import value
from napari_cxr.dicom.recognise import PREAMBLE, SNIFF, file_meta, looks_like_dicom, meta_uid
from napari_cxr.radiograph import UnreadableImage

__all__ = ['MAX_DATASET_BYTES', 'Header', 'quiet', 'read_header']

#: No radiograph comes near this; a deflated bomb, or a disk image, does.
MAX_DATASET_BYTES = 1 << 30


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
            head = file.read(SNIFF)
            if not looks_like_dicom(head):
                raise UnreadableImage(_what_it_is(head))
            if size > MAX_DATASET_BYTES:
                raise UnreadableImage('The file is too large for a radiograph (over 1 GiB).')
            meta, start = file_meta(file)
            stated = meta_uid(meta, 0x0010)
            syntax = UID(stated) if stated else None
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
    if head.startswith((b'BM', b'GIF8')) or head[8:12] == b'WEBP':
        return 'Images of this kind are not read; save it as PNG, JPEG or TIFF.'
    return 'This is no image that can be read: not DICOM, PNG, JPEG or TIFF.'


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
    return bytes(PREAMBLE) + b'DICM' + length + syntax + dataset
