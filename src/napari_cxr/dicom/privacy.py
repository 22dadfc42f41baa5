"""Pseudonyms: keyed hashes that tell patients apart without naming them.

A plain hash of a hospital number is guessed in seconds, so the key is a secret
of this user, made once and kept beside the user's own data, outside anything
that is exported. Pseudonyms of two users, or of two computers, don't match.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from pathlib import Path

import platformdirs
from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import text
from napari_cxr.settings_file import read_bounded

__all__ = [
    'code_string',
    'pseudonyms',
    'pseudonyms_of',
    'secret_path',
    'user_secret',
    'window_name',
]

_SECRET_BYTES = 32
_PROCESS_SECRET = secrets.token_bytes(_SECRET_BYTES)


def secret_path() -> Path:
    """Return where the user's secret is kept."""
    return Path(platformdirs.user_data_dir('napari-cxr', appauthor=False)) / 'pseudonyms.key'


def user_secret(path: Path | None = None) -> bytes:
    """Return the user's secret, and make it on first use.

    Parameters
    ----------
    path : Path, optional
        The file to keep it in; by default `secret_path`.

    Returns
    -------
    bytes
        32 random bytes. Where the folder can't be written, a secret of this
        process alone: pseudonyms then change from one run to the next.
    """
    path = secret_path() if path is None else path
    try:
        return _existing(path) or _create(path)
    except OSError:
        return _PROCESS_SECRET


def _existing(path: Path) -> bytes | None:
    try:
        found = read_bounded(path, 2 * _SECRET_BYTES)
    except FileNotFoundError:
        return None
    if len(found) != _SECRET_BYTES:
        raise OSError('the secret is damaged')
    return found


def _create(path: Path) -> bytes:
    """Write a new secret whole or not at all; the first of several processes wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp creates with mode 0600.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix='.pseudonyms-')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        except (OSError, AttributeError):  # a file system without hard links
            if not path.exists():
                os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    return _existing(path) or _PROCESS_SECRET


def pseudonyms(dataset: Dataset, fallback: bytes, secret: bytes | None = None) -> dict[str, str]:
    """Return keyed hashes of patient, study, series and instance.

    Parameters
    ----------
    dataset : Dataset
        The object.
    fallback : bytes
        Stands for the instance where it has no UID, such as its pixel data.
    secret : bytes, optional
        The key; by default the user's own.

    Returns
    -------
    dict of str to str
        32 hexadecimal digits each. 'patient' hashes issuer and Patient ID; where
        there is no Patient ID, the instance is its own patient, since pooling
        all nameless images would put one patient on both sides of a split.
    """
    instance = text(dataset, 'SOPInstanceUID') or hashlib.sha256(fallback).hexdigest()
    return pseudonyms_of(
        instance,
        text(dataset, 'PatientID'),
        text(dataset, 'IssuerOfPatientID'),
        text(dataset, 'StudyInstanceUID'),
        text(dataset, 'SeriesInstanceUID'),
        user_secret() if secret is None else secret,
    )


def pseudonyms_of(
    instance: str, patient: str, issuer: str, study: str, series: str, secret: bytes
) -> dict[str, str]:
    """Return what `pseudonyms` does, of identifiers; an empty one stands for none."""

    def hashed(kind: str, *parts: str) -> str:
        # Length first, so that no two lists of parts give the same message.
        message = b''.join(
            len(raw).to_bytes(4, 'big') + raw
            for raw in (part.encode('utf-8', 'surrogatepass') for part in (kind, *parts))
        )
        return hmac.digest(secret, message, 'sha256').hex()[:32]

    result = {'instance': hashed('instance', instance)}
    if patient:
        result['patient'] = hashed('patient', issuer, patient)
    else:
        result['patient'] = hashed('patient of instance', instance)
    result |= {
        kind: hashed(kind, uid) for kind, uid in (('study', study), ('series', series)) if uid
    }
    return result


#: Words that vendors use to name windows and tables.
_NAMES_OF_WINDOWS = """
    algo algorithm auto average bone bones bright brighter chest contrast dark darker default
    detail edge full hard harder high large level low lower lung lungs lut max mediastinum
    medium min narrow normal optimal option original preset range rib ribs sharp sharper
    sigmoid small soft softer spine standard table thorax tissue user voi wide wider width
    window windowed ww wl wc linear view
"""
#: Defined terms of Modality, PS3.3 C.7.3.1.1.1, retired ones included.
_MODALITIES = """
    CR DX MG IO PX RG RF XA CT MR US NM PT OT SC SEG SR PR KO DOC SM XC ES GM OP OPT OCT IVUS
    IVOCT BI CFM DMS ECG EPS EEG EMG EOG HD ANN ASMT AR AU BDUS BMD DG FID FS HC LEN LS M3D OAM
    OPM OPTBSV OPTENF OPV OSS PLAN POS REG RESP RTDOSE RTIMAGE RTPLAN RTRECORD RTSTRUCT RWV SMR
    SRF STAIN TG VA PA MS LP ST DD DR CD CP CS CF DF FA EC
"""
#: Defined terms of Photometric Interpretation, PS3.3 C.7.6.3.1.2, retired ones included.
_PHOTOMETRIC = """
    MONOCHROME1 MONOCHROME2 PALETTE_COLOR RGB YBR_FULL YBR_FULL_422 YBR_PARTIAL_422
    YBR_PARTIAL_420 YBR_ICT YBR_RCT XYB HSV ARGB CMYK
"""


def window_name(explanation: str) -> str:
    """Return what a header calls a window if it is made of known words, else nothing.

    The element is free text, in which anything about a patient may stand.
    """
    words = re.findall(r'[^\W\d_]+|\d+', explanation.lower())
    known = _NAMES_OF_WINDOWS.split()
    fits = all(w in known or (w.isdecimal() and len(w) <= 2) for w in words)
    return explanation[:64] if words and fits else ''


def code_string(text: str) -> str:
    """Return a Modality or a Photometric Interpretation if it can be one, else nothing."""
    terms = (_MODALITIES + _PHOTOMETRIC).split()
    return text if text.replace(' ', '_') in terms else ''
