"""Sealed sets: images that answer once for each model, and that nothing is trained on.

A set is known by the contents of its files, and by small thumbnails, so that a copy of an image
that was saved again is recognised too. Both lie in the user's data folder; no name and no path is
in it. `napari-cxr evaluate --sealed` seals a set.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.settings_file import LARGEST_RESULT, parse_json, read_settings
from napari_cxr.training.duplicates import THUMBNAIL_SIDE, near_duplicates_between

__all__ = ['SealedSet', 'keep_sealed', 'sealed_among', 'sealed_sets']


@dataclass(frozen=True, eq=False)
class SealedSet:
    """A set of images that answers once for each model.

    Parameters
    ----------
    name : str
        For people.
    fingerprint : str
        What tells it from others; the name of its file.
    time : str
        When it was sealed, ISO 8601, UTC.
    digests : frozenset of str
        16 digits of the SHA-256 of the file of each image.
    thumbnails : ndarray of uint8, shape (n, 32, 32)
        See `napari_cxr.training.duplicates.thumbnail`.
    answers : dict of str to dict
        By the hash of a model that it has answered for: ``time`` and ``auc``.
    """

    name: str
    fingerprint: str
    time: str
    digests: frozenset[str]
    thumbnails: np.ndarray
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def with_answers(self, answers: Mapping[str, dict[str, Any]]) -> SealedSet:
        """Return the set after more answers."""
        return replace(self, answers={**self.answers, **answers})


def _folder() -> Path:
    from platformdirs import user_data_path

    return user_data_path('napari-cxr', appauthor=False) / 'sealed'


def keep_sealed(sealed: SealedSet) -> Path:
    """Write a sealed set to the user's data folder, and return its file; raises OSError."""
    content = {
        'form': 1,
        'name': sealed.name,
        'fingerprint': sealed.fingerprint,
        'time': sealed.time,
        'images': sorted(sealed.digests),
        'thumbnails': base64.b64encode(sealed.thumbnails.tobytes()).decode('ascii'),
        'answers': sealed.answers,
    }
    path = _folder() / f'{sealed.fingerprint}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(content).encode('ascii'))
    return path


def sealed_sets() -> list[SealedSet]:
    """Return all sealed sets of this person.

    Raises
    ------
    ValueError
        If the folder cannot be read or a file is damaged: a seal must not go unnoticed.
    """
    folder = _folder()
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith('.json'))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ValueError(
            f'{folder} cannot be read ({error.strerror}), so nobody knows which images are '
            'sealed. Make it readable, or name a home of your own in the variable HOME.'
        ) from None
    return [_read(folder / name) for name in names]


def _read(path: Path) -> SealedSet:
    try:
        content = parse_json(read_settings(path, LARGEST_RESULT))
        pixels = np.frombuffer(base64.b64decode(content['thumbnails'], validate=True), np.uint8)
        return SealedSet(
            name=str(content['name']),
            fingerprint=str(content['fingerprint']),
            time=str(content['time']),
            digests=frozenset(map(str, content['images'])),
            thumbnails=pixels.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
            answers=dict(content['answers']),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'The sealed set in {path} cannot be read ({error}). Restore the file, or remove it '
            'to lift the seal.'
        ) from None


def sealed_among(
    digests: Sequence[str], thumbnails: np.ndarray, sets: Sequence[SealedSet] | None = None
) -> dict[int, SealedSet]:
    """Return which of some images belong to a sealed set.

    Parameters
    ----------
    digests : sequence of str, length n
        16 digits of the SHA-256 of each file.
    thumbnails : ndarray of uint8, shape (n, 32, 32)
        Of each.
    sets : sequence of SealedSet, optional
        By default all of this person.

    Returns
    -------
    dict of int to SealedSet
        By the place of the image: the set that holds the same file, or a near-duplicate of it.
    """
    found: dict[int, SealedSet] = {}
    for sealed in sealed_sets() if sets is None else sets:
        for place, digest in enumerate(digests):
            if digest in sealed.digests:
                found.setdefault(place, sealed)
        for place in near_duplicates_between(thumbnails, sealed.thumbnails)[:, 0].tolist():
            found.setdefault(place, sealed)
    return found
