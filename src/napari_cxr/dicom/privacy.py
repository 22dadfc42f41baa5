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
import secrets
import tempfile
from pathlib import Path

import platformdirs
from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import text

__all__ = ['pseudonyms', 'secret_path', 'user_secret']

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
        found = path.read_bytes()
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
    key = user_secret() if secret is None else secret

    def hashed(kind: str, *parts: str) -> str:
        # Length first, so that no two lists of parts give the same message.
        message = b''.join(
            len(raw).to_bytes(4, 'big') + raw
            for raw in (part.encode('utf-8', 'surrogatepass') for part in (kind, *parts))
        )
        return hmac.new(key, message, hashlib.sha256).hexdigest()[:32]

    instance = text(dataset, 'SOPInstanceUID') or hashlib.sha256(fallback).hexdigest()
    patient = text(dataset, 'PatientID')
    result = {'instance': hashed('instance', instance)}
    if patient:
        result['patient'] = hashed('patient', text(dataset, 'IssuerOfPatientID'), patient)
    else:
        result['patient'] = hashed('patient of instance', instance)
    for name in ('Study', 'Series'):
        if uid := text(dataset, f'{name}InstanceUID'):
            result[name.lower()] = hashed(name.lower(), uid)
    return result
