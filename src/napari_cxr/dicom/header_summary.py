"""What a list of studies needs of a DICOM file, read from its start, without a patient's identity.

Call these where a file of unknown origin may do no harm. Most headers lie in the first 64 KB; of
one that does not, more is read.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_partial
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from napari_cxr.decoding_memory import check_memory
from napari_cxr.dicom.elements import text
from napari_cxr.dicom.geometry import VIEW_POSITIONS, view_of
from napari_cxr.dicom.headers import inflated_parts, plain_meta
from napari_cxr.dicom.privacy import code_string, pseudonyms_of, user_secret, window_name
from napari_cxr.dicom.recognise import SNIFF, file_meta, looks_like_dicom, meta_uid
from napari_cxr.radiograph import UnreadableImage, View

__all__ = ['HeaderSummary', 'Identity', 'first_elements', 'read_identity', 'summarize']

#: Bytes of a file that are read first, and that a deflated one is inflated to at most.
_START = 1 << 16
_INFLATED = 1 << 22
_DIGITS = 16  # of a pseudonym: 64 bits
_SECONDS_A_DAY = 86_400
_DAYS = 3650
_DATES = ('StudyDate', 'SeriesDate', 'AcquisitionDate', 'ContentDate')
_WANTED = {
    int(tag_for_keyword(keyword) or 0): keyword
    for keyword in (
        *_DATES,
        'StudyTime',
        'SOPInstanceUID',
        'Modality',
        'SeriesDescription',
        'PatientID',
        'IssuerOfPatientID',
        'ViewPosition',
        'StudyInstanceUID',
        'SeriesInstanceUID',
        'SeriesNumber',
        'InstanceNumber',
        'NumberOfFrames',
        'Rows',
        'Columns',
    )
}
_SHORTS = ('Rows', 'Columns')
#: View Code Sequence, the last element that is ever wanted; pixels come long after.
_VIEW_CODES = 0x00540220
_OTHERS = (
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    '1.2.840.10008.1.2.4.95',  # JPIP, whose second form is deflated
)
_DAMAGED = 'The file begins as DICOM but its header is damaged; export it again.'
_SHUT = 'The file could not be opened for reading.'


class HeaderSummary(NamedTuple):
    """What a list says of one image; all of it may be kept on disk.

    Parameters
    ----------
    patient, study, series, instance : str
        Pseudonyms, see `privacy.pseudonyms`, of which the first 16 digits; empty where the header
        has no such identifier.
    modality, view : str
        As `Provenance` and `View` have them.
    description : str
        Of the series, if it is made of known words only.
    rows, columns, frames : int
        Size of the image; frames is 1 for most.
    series_number, image_number : int
        As in the header, 0 where there is none.
    taken : int or None
        Seconds, with the time of day. All dates of one patient are shifted by the same unknown
        number of days, so intervals are right and no date is told.
    """

    patient: str
    study: str
    series: str
    instance: str
    modality: str
    view: str
    description: str
    rows: int
    columns: int
    frames: int
    series_number: int
    image_number: int
    taken: int | None


class Identity(NamedTuple):
    """What a person may ask to see: never kept on disk.

    Parameters
    ----------
    name, number, birth_date, sex : str
        Of the patient; `number` is the Patient ID.
    date, study, series : str
        Date of the study, and the descriptions of study and series.
    """

    name: str
    number: str
    birth_date: str
    sex: str
    date: str
    study: str
    series: str


def summarize(path: str | Path, secret: bytes | None = None) -> HeaderSummary | None:
    """Return what a list says of a DICOM image; None for what is no DICOM image.

    Parameters
    ----------
    path : str or Path
        Any file.
    secret : bytes, optional
        The key of pseudonyms; by default the user's own.

    Raises
    ------
    UnreadableImage
        If it begins as DICOM and its header is damaged.
    """
    start = _start_of(path)
    if not looks_like_dicom(start):
        return None
    said = _texts_of_start(start)
    if said is None:
        found = first_elements(path)
        if found is None:
            return None
        said = {keyword: text(found, keyword) for keyword in _WANTED.values()}
        said['view'] = str(view_of(found))
    rows, columns = _number(said.get('Rows')), _number(said.get('Columns'))
    if rows <= 0 or columns <= 0:
        return None  # a report, a presentation state, a DICOMDIR
    key = user_secret() if secret is None else secret
    instance, patient = said.get('SOPInstanceUID', ''), said.get('PatientID', '')
    known = pseudonyms_of(
        instance,
        patient,
        said.get('IssuerOfPatientID', ''),
        said.get('StudyInstanceUID', ''),
        said.get('SeriesInstanceUID', ''),
        key,
    )
    study = known.get('study', '')[:_DIGITS]
    whose = known['patient'][:_DIGITS] if patient else ''
    return HeaderSummary(
        whose,
        study,
        known.get('series', '')[:_DIGITS],
        known['instance'][:_DIGITS] if instance else '',
        _modality(said.get('Modality', '')),
        said['view'],
        _description(said.get('SeriesDescription', '')),
        rows,
        columns,
        max(_number(said.get('NumberOfFrames')), 1),
        _number(said.get('SeriesNumber')),
        _number(said.get('InstanceNumber')),
        _taken(said, whose or study, key),
    )


def read_identity(path: str | Path) -> Identity | None:
    """Return whose image a file is, for the screen; None for what is no DICOM.

    Raises
    ------
    UnreadableImage
        As `summarize`.
    """
    dataset = first_elements(path)
    if dataset is None:
        return None
    day = next((found for name in _DATES if (found := text(dataset, name))), '')
    return Identity(
        text(dataset, 'PatientName').replace('^', ' ').strip(),
        text(dataset, 'PatientID'),
        _day(text(dataset, 'PatientBirthDate')),
        text(dataset, 'PatientSex'),
        _day(day),
        text(dataset, 'StudyDescription'),
        text(dataset, 'SeriesDescription'),
    )


def first_elements(path: str | Path) -> Dataset | None:
    """Read the elements of a DICOM file up to group 0054.

    Returns
    -------
    Dataset or None
        None for what is not DICOM.

    Raises
    ------
    UnreadableImage
        If the header is damaged, or too large for the memory that it may take.
    """
    try:
        with open(path, 'rb') as file:
            if not looks_like_dicom(file.read(SNIFF)):
                return None
            try:
                meta, begin = file_meta(file)
            except ValueError as error:
                raise UnreadableImage(_DAMAGED) from error
            if meta_uid(meta, 0x0010) == DeflatedExplicitVRLittleEndian:
                return _parsed(_inflated_start(file, begin))
            check_memory(min(file.seek(0, 2), _INFLATED))
            file.seek(0)
            return _parsed(file)
    except OSError as error:
        raise UnreadableImage(_SHUT) from error


def _start_of(path: str | Path) -> bytes:
    try:
        with open(path, 'rb', buffering=0) as file:
            return file.read(_START)
    except OSError as error:
        raise UnreadableImage(_SHUT) from error


def _texts_of_start(start: bytes) -> dict[str, str] | None:
    """Return the first value of each wanted element; None where that needs a closer look.

    pydicom walks the elements; its data set, whose values are converted one by one, takes as long
    again. So plain text is taken as it is, and a file with anything else is read by
    `first_elements`.
    """
    file = BytesIO(start)
    try:
        meta, begin = file_meta(file)
    except ValueError:
        return None
    syntax = meta_uid(meta, 0x0010)
    # Compressed images have explicit VR, little endian, PS3.5 annex A.4.
    plain = syntax.startswith('1.2.840.10008.1.2') and syntax not in _OTHERS
    if not (plain or syntax == ImplicitVRLittleEndian):
        return None
    reached: list[int] = []

    def stop(tag: int, vr: str | None, length: int) -> bool:
        if int.__ge__(tag, _VIEW_CODES):  # pydicom's own comparison takes ten times as long
            reached.append(tag)
            return True
        return False

    file.seek(begin)
    said: dict[str, str] = {}
    implicit = syntax == ImplicitVRLittleEndian
    try:
        for element in data_element_generator(
            file, implicit, True, stop, specific_tags=list(_WANTED)
        ):
            keyword, value = _WANTED.get(int(element.tag)), element.value
            if keyword in _SHORTS and isinstance(value, bytes) and element.VR in (None, 'US'):
                said[keyword] = str(int.from_bytes(value, 'little'))
            elif keyword is not None and isinstance(value, bytes):
                said[keyword] = value.decode('ascii').partition('\\')[0].strip(' \0')
    except Exception:
        return None
    view = VIEW_POSITIONS.get(said.get('ViewPosition', '').upper(), View.UNKNOWN)
    said['view'] = str(view)
    coded = view is View.UNKNOWN and _VIEW_CODES in reached
    return None if coded or not (reached or len(start) < _START) else said


def _parsed(source: BinaryIO) -> Dataset:
    try:
        return read_partial(
            source, lambda tag, vr, length: int(tag) > _VIEW_CODES, _INFLATED, force=True
        )
    except (RecursionError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableImage(_DAMAGED) from error


def _inflated_start(file: BinaryIO, begin: int) -> BytesIO:
    """Return the first elements of a deflated file as if it were not; never more than wanted."""
    kept = BytesIO()
    kept.write(plain_meta())
    for part in inflated_parts(file, begin):
        kept.write(part)
        if kept.tell() >= _INFLATED:
            break
    kept.seek(0)
    return kept


def _number(said: str | None) -> int:
    try:
        found = int(said or 0)
    except ValueError:
        return 0
    return found if abs(found) < 1 << 31 else 0


@lru_cache(maxsize=4096)
def _modality(said: str) -> str:
    return code_string(said.upper())


@lru_cache(maxsize=4096)
def _description(said: str) -> str:
    return ' '.join(window_name(said).split())


def _day(text: str) -> str:
    """Return a date as people write it; as it is where it is not one."""
    digits = text.replace('.', '')
    whole = len(digits) == 8 and digits.isdecimal()
    return f'{digits[:4]}-{digits[4:6]}-{digits[6:]}' if whole else text


def _taken(said: Mapping[str, str], whose: str, secret: bytes) -> int | None:
    """Return when an image was taken, shifted by a number of days that only this user knows."""
    day = next((found for name in _DATES if (found := said.get(name))), '').replace('.', '')
    try:
        ordinal = date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal()
    except ValueError:
        return None
    mixed = hmac.digest(secret, b'days ' + whose.encode(), 'sha256')
    shift = int.from_bytes(mixed[:8], 'big') % _DAYS
    return (ordinal - shift) * _SECONDS_A_DAY + _seconds(said.get('StudyTime', ''))


def _seconds(clock: str) -> int:
    """Return the time of day in seconds, 0 where it is not told."""
    digits = clock.replace(':', '')[:6].ljust(6, '0')
    if not digits.isdecimal():
        return 0
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])
