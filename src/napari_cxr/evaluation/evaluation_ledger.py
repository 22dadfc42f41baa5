"""The ledger of evaluations: how often one has looked at a set.

Choosing a model by its results on a set amounts to training on that set. The ledger cannot
prevent that, but it can be printed beside the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from napari_cxr.settings_file import LARGEST_TABLE, parse_json, read_settings

__all__ = ['EvaluationLedger', 'EvaluationRecord']


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of one configuration on one set.

    Parameters
    ----------
    images : str
        The set on which it was evaluated.
    configuration : str
        What was evaluated, described so that it differs from all others.
    purpose : str
        'choose' if the result decided something, or 'report'.
    auc : float
        The result.
    time : str
        ISO 8601, UTC.
    """

    images: str
    configuration: str
    purpose: str
    auc: float
    time: str = ''


class EvaluationLedger:
    """An append-only list of evaluations, kept in a file with one JSON object a line.

    Evaluating the same configuration on the same set for the same purpose again adds no record,
    because nothing new is seen.

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
        """Append a record, unless there is one already."""
        if purpose not in ('choose', 'report'):
            raise ValueError(f"The purpose is 'choose' or 'report', not {purpose!r}.")
        key = (images, configuration, purpose)
        if any((r.images, r.configuration, r.purpose) == key for r in self._records):
            return
        now = datetime.now(UTC).isoformat(timespec='seconds')
        record = EvaluationRecord(images, configuration, purpose, round(float(auc), 4), now)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(asdict(record)) + '\n')
        self._records.append(record)

    def count(self, images: str = '', purpose: str = '') -> int:
        """Return how many configurations were evaluated on a set; by default on all sets."""
        return sum(
            images in ('', record.images) and purpose in ('', record.purpose)
            for record in self._records
        )
