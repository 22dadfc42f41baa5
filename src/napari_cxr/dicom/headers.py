"""From a file to a data set, without trusting the file, and what kind of object it is.

A file that is not an image is refused with what it is instead; an image that is no projection
radiograph of a chest is read, with the reason why it must not be classified.
"""

from __future__ import annotations

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END, BytesIO
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

from napari_cxr.decoding_memory import check_memory
from napari_cxr.dicom.elements import items, text, value
from napari_cxr.dicom.privacy import code_string
from napari_cxr.dicom.recognise import PREAMBLE, SNIFF, file_meta, looks_like_dicom, meta_uid
from napari_cxr.radiograph import UnreadableImage

__all__ = [
    'MAX_DATASET_BYTES',
    'Header',
    'check_is_image',
    'inflated_parts',
    'plain_meta',
    'projection_refusal',
    'quiet',
    'read_header',
    'sop_class',
]

#: No radiograph comes near this; a deflated bomb, or a disk image, does.
MAX_DATASET_BYTES = 1 << 30
_DAMAGED = 'The file begins as DICOM but its header is damaged; export it again.'
_EMPTY = 'The file begins as DICOM but holds nothing after its preamble.'
_CUT_OFF = 'The file was cut off: it ends before its data do. Copy or export it again.'


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
        If the file is missing, no DICOM, damaged, larger than `MAX_DATASET_BYTES`, deflated
        or not, or larger than the memory that it may take.
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
            try:
                meta, start = file_meta(file)
            except ValueError:
                raise UnreadableImage(_DAMAGED) from None
            stated = meta_uid(meta, 0x0010)
            syntax = UID(stated) if stated else None
            source: BinaryIO = file
            if syntax == DeflatedExplicitVRLittleEndian:
                source = _inflate(file, start, MAX_DATASET_BYTES)
            else:
                check_memory(size)
            source.seek(0)
            with quiet():
                dataset = _parse(source)
    except OSError as error:
        raise UnreadableImage('The file could not be opened for reading.') from error
    return Header(dataset, syntax or _inferred_syntax(dataset))


def _parse(source: BinaryIO) -> Dataset:
    try:
        dataset = dcmread(source, force=True)
    except (RecursionError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableImage(_DAMAGED) from error
    if len(dataset) == 0:
        # pydicom drops a data set that ends within an element of undefined length.
        _, start = file_meta(source)
        raise UnreadableImage(_CUT_OFF if source.seek(0, SEEK_END) > start else _EMPTY)
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
    return 'This is not a readable image: it is not DICOM, PNG, JPEG or TIFF.'


def _inflate(file: BinaryIO, start: int, limit: int) -> BytesIO:
    """Inflate a file from `start` on, RFC 1951.

    It is inflated twice: to count what comes, of which nothing is kept, and then, if that is no
    more than `limit` and fits into memory, to keep it.
    """
    total = 0
    for part in inflated_parts(file, start):
        total += len(part)
        if total > limit:
            raise UnreadableImage(
                'The file unpacks to far more than a radiograph holds; it was not opened.'
            )
    check_memory(total * 5 // 2)  # as it grows, and the pixels once more when they are parsed
    kept = BytesIO()
    kept.write(plain_meta())
    for part in inflated_parts(file, start):
        kept.write(part)
    return kept


def inflated_parts(file: BinaryIO, start: int) -> Iterator[bytes]:
    """Inflate a file from `start` on, at most 1 MB at a time; raises `UnreadableImage`."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    file.seek(start)
    try:
        while chunk := inflater.unconsumed_tail or file.read(1 << 16):
            yield inflater.decompress(chunk, 1 << 20)
            if inflater.eof:
                break
        yield inflater.decompress(b'', 1 << 20)
    except zlib.error as error:
        raise UnreadableImage('The deflated data set of this file is damaged.') from error


def plain_meta() -> bytes:
    """Return what stands before an inflated data set: that it is explicit VR little endian."""
    uid = str(ExplicitVRLittleEndian).encode()
    uid += b'\0' * (len(uid) % 2)
    syntax = struct.pack('<HH2sH', 0x0002, 0x0010, b'UI', len(uid)) + uid
    length = struct.pack('<HH2sHI', 0x0002, 0x0000, b'UL', 4, len(syntax))
    return bytes(PREAMBLE) + b'DICM' + length + syntax


#: DR is retired from the standard, and still written into secondary captures.
_PROJECTION = 'DX', 'CR', 'RG', 'DR'

#: Secondary captures may hold anything.
_SECONDARY = '1.2.840.10008.5.1.4.1.1.7'

_FOR_PROCESSING = {'1.2.840.10008.5.1.4.1.1.1.1.1', '1.2.840.10008.5.1.4.1.1.1.2.1'}

#: What the Modality of a CR or DX object may say against its class: there is no class of its
#: own for panoramic images and bone density, and devices put the others there, too.
_NO_CHEST = 'MG', 'IO', 'PX', 'BMD'

#: SOP class to Modality, for classes that say more than the Modality element may.
_CLASS_MODALITY = {
    '1.2.840.10008.5.1.4.1.1.1': 'CR',
    '1.2.840.10008.5.1.4.1.1.1.1': 'DX',
    '1.2.840.10008.5.1.4.1.1.1.1.1': 'DX',
    '1.2.840.10008.5.1.4.1.1.1.2': 'MG',
    '1.2.840.10008.5.1.4.1.1.1.2.1': 'MG',
    '1.2.840.10008.5.1.4.1.1.1.3': 'IO',
    '1.2.840.10008.5.1.4.1.1.1.3.1': 'IO',
    '1.2.840.10008.5.1.4.1.1.2': 'CT',
    '1.2.840.10008.5.1.4.1.1.2.1': 'CT',
    '1.2.840.10008.5.1.4.1.1.2.2': 'CT',
    '1.2.840.10008.5.1.4.1.1.3.1': 'US',
    '1.2.840.10008.5.1.4.1.1.4': 'MR',
    '1.2.840.10008.5.1.4.1.1.4.1': 'MR',
    '1.2.840.10008.5.1.4.1.1.4.3': 'MR',
    '1.2.840.10008.5.1.4.1.1.4.4': 'MR',
    '1.2.840.10008.5.1.4.1.1.6.1': 'US',
    '1.2.840.10008.5.1.4.1.1.6.2': 'US',
    '1.2.840.10008.5.1.4.1.1.12.1': 'XA',
    '1.2.840.10008.5.1.4.1.1.12.1.1': 'XA',
    '1.2.840.10008.5.1.4.1.1.12.2': 'RF',
    '1.2.840.10008.5.1.4.1.1.12.2.1': 'RF',
    '1.2.840.10008.5.1.4.1.1.13.1.1': 'XA',
    '1.2.840.10008.5.1.4.1.1.13.1.3': 'BTO',
    '1.2.840.10008.5.1.4.1.1.13.1.4': 'MG',
    '1.2.840.10008.5.1.4.1.1.13.1.5': 'MG',
    '1.2.840.10008.5.1.4.1.1.20': 'NM',
    '1.2.840.10008.5.1.4.1.1.30': 'PMAP',
    '1.2.840.10008.5.1.4.1.1.66.4': 'SEG',
    '1.2.840.10008.5.1.4.1.1.66.7': 'SEG',
    '1.2.840.10008.5.1.4.1.1.128': 'PT',
    '1.2.840.10008.5.1.4.1.1.130': 'PT',
    '1.2.840.10008.5.1.4.1.1.128.1': 'PT',
    '1.2.840.10008.5.1.4.1.1.481.1': 'RTIMAGE',
    '1.2.840.10008.5.1.4.1.1.481.2': 'RTDOSE',
    '1.2.840.10008.5.1.4.1.1.77.1.4': 'XC',
    '1.2.840.10008.5.1.4.1.1.77.1.6': 'SM',
}

_WHAT = {
    'BTO': 'a breast tomosynthesis image',
    'CT': 'a CT image',
    'ES': 'an endoscopy image',
    'GM': 'a microscopy image',
    'MR': 'an MR image',
    'NM': 'a nuclear medicine image',
    'OP': 'an ophthalmic photograph',
    'OPT': 'an ophthalmic tomography image',
    'PMAP': 'a parametric map',
    'PT': 'a PET image',
    'RF': 'a fluoroscopy image',
    'RTDOSE': 'a radiotherapy dose distribution',
    'RTIMAGE': 'a radiotherapy image',
    'SEG': 'a segmentation',
    'SM': 'a slide microscopy image',
    'US': 'an ultrasound image',
    'XA': 'an angiography image',
    'XC': 'a photograph',
}

_CHEST = re.compile(r'CHEST|THORAX|LUNG|RIB|STERNUM|MEDIASTIN|HEART')

_CHEST_CODES = {'51185008', 'T-D3000', '43799004', 'T-D3050', '39607008', 'T-28000'}

_BREAST_CODES = {'76752008', 'T-04000', '80248007', '73056007', '63762007', '181131000'}

_TOOTH_CODES = {'38199008', 'T-54010', '661005', 'T-D1213', '28035005'}

_TOOTH_WORDS = 'TOOTH', 'TEETH', 'DENTAL', 'JAW'

#: Views of CID 4014 that only a breast has: mediolateral oblique and craniocaudal.
_BREAST_VIEWS = {'399368009', 'R-10226', '399162004', 'R-10242'}


def sop_class(dataset: Dataset) -> UID:
    """Return the SOP class, an empty UID where the file does not say."""
    return UID(text(dataset, 'SOPClassUID'))


def check_is_image(dataset: Dataset) -> None:
    """Refuse a DICOM object that is not an image, and say what it is.

    Raises
    ------
    UnreadableImage
        If there are no pixel data.
    """
    storage = text(getattr(dataset, 'file_meta', Dataset()), 'MediaStorageSOPClassUID')
    if 'DirectoryRecordSequence' in dataset or storage == '1.2.840.10008.1.3.10':
        raise UnreadableImage(
            'This is a DICOMDIR, an index of other files; open the images that it lists.'
        )
    if any(f'{kind}PixelData' in dataset for kind in ('', 'Float', 'DoubleFloat')):
        return
    if 'EncapsulatedDocument' in dataset:
        raise UnreadableImage('This DICOM file holds a document (such as a PDF), not an image.')
    modality = text(dataset, 'Modality')
    if 'ContentSequence' in dataset or modality == 'SR':
        raise UnreadableImage('This is a structured report, not an image.')
    if modality == 'PR':
        raise UnreadableImage(
            'This is a presentation state, which describes how to show an image; '
            'open the image itself.'
        )
    uid = sop_class(dataset)
    kind = '' if uid.is_private or uid.name == uid else uid.name.removesuffix(' Storage')
    if 'Rows' in dataset or 'Image' in kind:
        raise UnreadableImage(
            'The header describes an image but the file holds no pixel data; export it again.'
        )
    if kind:
        raise UnreadableImage(f'This DICOM file contains no image; it is of the kind “{kind}”.')
    raise UnreadableImage('This DICOM file contains no image.')


def projection_refusal(
    dataset: Dataset, *, frames: int, is_colour: bool
) -> tuple[str, tuple[str, ...]]:
    """Decide from SOP class and Modality whether an image may be classified.

    Parameters
    ----------
    dataset : Dataset
        The object.
    frames : int
        Number of frames.
    is_colour : bool
        Whether it is in colour.

    Returns
    -------
    str
        Why it is no projection radiograph of a chest; empty where it may be one.
    tuple of str
        Notes.
    """
    uid = str(sop_class(dataset))
    stated = text(dataset, 'Modality').upper()
    modality = _CLASS_MODALITY.get(uid) or stated
    if modality in _PROJECTION and stated in _NO_CHEST:
        modality = stated
    notes: list[str] = []
    if modality == 'MG' or (modality in _PROJECTION and _is_breast(dataset)):
        return 'This is a mammogram, not a chest radiograph.', ()
    if modality in ('IO', 'PX'):
        return 'This is a dental radiograph, not a chest radiograph.', ()
    if modality == 'BMD':
        return 'This is a bone density image, not a chest radiograph.', ()
    if modality in _PROJECTION and _is_jaw(dataset):
        return 'This is a radiograph of the teeth or the jaw, not of the chest.', ()
    if kind := _other_kind(uid, modality):
        return f'This is an object of the kind “{kind}”, not a projection radiograph.', ()
    if modality == 'RF' and frames == 1:
        notes.append('This is a single fluoroscopy image, not an ordinary radiograph.')
    elif modality in _WHAT:
        return f'This is {_WHAT[modality]}, not a projection radiograph.', ()
    elif modality in ('', 'OT', 'SC', 'HC', 'DOC'):
        notes.append('The header does not say whether this is a radiograph.')
    elif modality not in _PROJECTION:
        shown = code_string(modality)  # what the standard does not know may be a name
        of = f'of modality {shown}' if shown else 'of another or unknown modality'
        return f'This is an image {of}, not a projection radiograph.', ()
    intent = text(dataset, 'PresentationIntentType').upper()
    if uid in _FOR_PROCESSING or intent == 'FOR PROCESSING':
        notes.append(
            'Raw detector image ("for processing"): it looks different from a processed one.'
        )
    if is_colour:
        notes.append('A colour image: its luminance is what is classified.')
    if frames > 1:
        notes.append(f'This file holds {frames} frames.')
    return '', (*notes, *_body_part(dataset))


def _codes(dataset: Dataset, keyword: str) -> set[str]:
    return {text(item, 'CodeValue') for item in items(dataset, keyword)} - {''}


def _regions(dataset: Dataset) -> set[str]:
    """Return the codes of the region, and of the structure in it, such as a tooth."""
    return _codes(dataset, 'AnatomicRegionSequence') | _codes(
        dataset, 'PrimaryAnatomicStructureSequence'
    )


def _is_breast(dataset: Dataset) -> bool:
    """Tell whether body part, region or view are a breast's."""
    regions = _regions(dataset)
    part = text(dataset, 'BodyPartExamined').upper()
    if part == 'BREAST' or (_BREAST_CODES & regions and not _CHEST_CODES & regions):
        return True
    chest = _CHEST_CODES & regions or _CHEST.search(part)
    return not chest and bool(_BREAST_VIEWS & _codes(dataset, 'ViewCodeSequence'))


def _is_jaw(dataset: Dataset) -> bool:
    regions = _regions(dataset)
    part = text(dataset, 'BodyPartExamined').upper()
    said = _TOOTH_CODES & regions or any(word in part for word in _TOOTH_WORDS)
    return bool(said) and not _CHEST_CODES & regions


def _other_kind(uid: str, modality: str) -> str:
    """Return the name of a class of the standard that is no radiograph's, else nothing."""
    secondary = uid == _SECONDARY or uid.startswith(_SECONDARY + '.')
    if not uid or secondary or uid in _CLASS_MODALITY or modality in _WHAT:
        return ''
    name = UID(uid).name
    known = name != uid and UID(uid).type == 'SOP Class'
    return name.removesuffix(' Storage') if known else ''


def _body_part(dataset: Dataset) -> tuple[str, ...]:
    part = text(dataset, 'BodyPartExamined').upper()
    regions = _codes(dataset, 'AnatomicRegionSequence')
    if (not part and not regions) or _CHEST.search(part) or _CHEST_CODES & regions:
        return ()
    return ('The header names another body part than the chest.',)
