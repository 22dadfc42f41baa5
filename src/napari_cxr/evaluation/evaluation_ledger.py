"""The ledger of evaluations: how often one has looked at a set, and with what.

Choosing a model by its results on a set amounts to training on that set. The ledger cannot
prevent that, but it is printed beside the result. It is a file with one JSON object a line, beside
the set, or in the user's data folder where the set cannot be written to.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from napari_cxr.settings_file import LARGEST_TABLE, parse_json, read_settings

__all__ = [
    'EvaluationLedger',
    'EvaluationRecord',
    'data_fingerprint',
    'ledger_beside',
    'ledger_of_user',
]

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of one configuration on one set.

    Parameters
    ----------
    images : str
        The set on which it was evaluated: a name, or its `data_fingerprint`.
    configuration : str
        What was evaluated, described so that it differs from all others.
    purpose : str
        'choose' if the result decided something, or 'report'.
    auc : float
        The result.
    time : str
        ISO 8601, UTC.
    model_hash : str
        SHA-256 of the model's file, or its first digits.
    varied : str
        What the configuration is, for people: the model's name, and settings that differ from
        the defaults.
    """

    images: str
    configuration: str
    purpose: str
    auc: float
    time: str = ''
    model_hash: str = ''
    varied: str = ''


class EvaluationLedger:
    """An append-only list of evaluations, kept in a file with one JSON object a line.

    Parameters
    ----------
    path : Path
        Need not exist yet; its folder is created. If a line of it is not a valid record, a
        `ValueError` names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: list[EvaluationRecord] = []
        lines = read_settings(path, LARGEST_TABLE).splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                self._records.append(EvaluationRecord(**parse_json(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f'Line {number} of {path.name} is not a valid record: {error}'
                ) from None

    def __iter__(self) -> Iterator[EvaluationRecord]:
        return iter(self._records)

    def add(self, images: str, configuration: str, purpose: str, auc: float) -> None:
        """Append a record, unless the same configuration was evaluated so on the same set."""
        if purpose not in ('choose', 'report'):
            raise ValueError(f"The purpose is 'choose' or 'report', not {purpose!r}.")
        key = (images, configuration, purpose)
        if any((r.images, r.configuration, r.purpose) == key for r in self._records):
            return
        self.append([EvaluationRecord(images, configuration, purpose, auc)])

    def append(self, records: Iterable[EvaluationRecord]) -> None:
        """Append records with the time of now, also of what was evaluated before.

        Raises
        ------
        OSError
            If the file cannot be written to.
        """
        now = datetime.now(UTC).isoformat(timespec='seconds')
        made = [
            EvaluationRecord(**{**asdict(r), 'auc': round(float(r.auc), 4), 'time': now})
            for r in records
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.parent.stat().st_mode & _WRITABLE:
            # Whoever took everybody's right to write meant the administrator too.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        with self.path.open('a', encoding='utf-8') as file:
            file.writelines(_line(record) for record in made)
        self._records += made

    def count(self, images: str = '', purpose: str = '') -> int:
        """Return how many records there are of a set; by default of all sets."""
        return sum(
            images in ('', record.images) and purpose in ('', record.purpose)
            for record in self._records
        )


def _line(record: EvaluationRecord) -> str:
    return json.dumps({k: v for k, v in asdict(record).items() if v != ''}) + '\n'


def data_fingerprint(images: Iterable[str], truths: Iterable[str]) -> str:
    """Return what tells a set of labelled images from others, in whatever order they come.

    Parameters
    ----------
    images, truths : iterable of str
        The content of each, by a hash; and its label.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    lines = sorted(f'{image} {truth}' for image, truth in zip(images, truths, strict=True))
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:32]


def ledger_beside(place: Path) -> Path:
    """Return the ledger beside a set: NAME.evaluations.jsonl, or in a folder its own."""
    if place.is_dir():
        return place / 'evaluations.jsonl'
    return place.with_name(f'{place.stem}.evaluations.jsonl')


def ledger_of_user(fingerprint: str) -> Path:
    """Return the ledger of a set in the user's data folder."""
    from platformdirs import user_data_path

    folder = user_data_path('napari-cxr', appauthor=False) / 'evaluations'
    return folder / f'{fingerprint}.jsonl'
