"""Several readers of one table: what each said, how far they agree, and where they do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from napari_cxr.metrics.confidence_intervals import Interval, wilson_interval
from napari_cxr.metrics.kappa import kappa_interval
from napari_cxr.scoring.annotation import Annotation, AnnotationCounts
from napari_cxr.scoring.annotation.csv_export import PatientNumbers
from napari_cxr.scoring.annotation.readers import (
    Reader,
    labels_files_of,
    labels_path_of,
    reader_from_dict,
)
from napari_cxr.scoring.annotation.reading_list import read_entries
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = [
    'Agreement',
    'AgreementReport',
    'Reading',
    'agreement_of',
    'consensus_of',
    'disagreements',
    'readings_of',
]


@dataclass(frozen=True, eq=False)
class Reading:
    """What one reader said of a table.

    Parameters
    ----------
    reader : Reader
        Who.
    entries : mapping of str to Annotation
        What is said, by path.
    """

    reader: Reader
    entries: Mapping[str, Annotation] = field(default_factory=dict)

    @property
    def counts(self) -> AnnotationCounts:
        """How many images were read."""
        return AnnotationCounts.of(self.entries.values())

    @property
    def seconds(self) -> float:
        """Median time from an image on screen to its answer; NaN if unknown."""
        times = [entry.seconds for entry in self.entries.values() if entry.seconds]
        return median(times) if times else math.nan

    @property
    def blinded(self) -> int:
        """Images that were read blinded."""
        return sum(entry.read and entry.blinded for entry in self.entries.values())

    @property
    def days(self) -> tuple[datetime, datetime] | None:
        """First and last time of its answers; None without any."""
        times = [datetime.fromisoformat(e.when) for e in self.entries.values() if e.read]
        return (min(times), max(times)) if times else None

    def to_dict(self) -> dict[str, Any]:
        """Return it fit for JSON, without what is said of single images."""
        counts, days = self.counts, self.days
        return {
            'reader': self.reader.name,
            'reading': self.reader.reading,
            'consensus': self.reader.is_consensus,
            'images': counts.read,
            'unsure': counts.unsure,
            'not_usable': counts.unusable,
            'blinded': self.blinded,
            'median_seconds': _number(self.seconds, 1),
            'first': days[0].isoformat() if days else None,
            'last': days[1].isoformat() if days else None,
        }


@dataclass(frozen=True)
class Agreement:
    """How far some readings agree on the images that all of them labelled.

    Parameters
    ----------
    readers : tuple of Reader
        Two of them, or more.
    label : str
        With several labels an image, the one that is present or absent; else empty.
    images, patients : int
        Images that all labelled, and their patients.
    agreed : int
        Those of them on which all agree.
    fraction : Interval
        Of those; Wilson's interval by patients.
    kappa : Interval
        Cohen's of two, Fleiss' of more.
    left_out : int
        Images that all answered, but not all with labels: unsure, or not usable.
    """

    readers: tuple[Reader, ...]
    label: str
    images: int
    patients: int
    agreed: int
    fraction: Interval
    kappa: Interval
    left_out: int

    @property
    def is_of_one_person(self) -> bool:
        """Whether it is the first and second reading of one person."""
        return len({reader.name.casefold() for reader in self.readers}) == 1

    def to_dict(self) -> dict[str, Any]:
        """Return it fit for JSON."""
        return {
            'readers': [[reader.name, reader.reading] for reader in self.readers],
            **({'label': self.label} if self.label else {}),
            'images': self.images,
            'patients': self.patients,
            'agreed': self.agreed,
            'left_out': self.left_out,
            'agreement': self.fraction.to_list(),
            'kappa': self.kappa.to_list(),
            'kind': 'Cohen' if len(self.readers) == 2 else 'Fleiss',
        }


@dataclass(frozen=True, eq=False)
class AgreementReport:
    """All that is known of the readers of a table.

    Parameters
    ----------
    readings : tuple of Reading
        All of them, the consensus included.
    pairs : tuple of Agreement
        Each two readings; with several labels an image, one for each label.
    together : tuple of Agreement
        All first readings, where there are three persons or more.
    disagreements : tuple of str
        Paths on which persons disagree.
    settled : int
        Those of them that have a consensus.
    images : int
        Images of the table that could be read.
    patients_known : bool
        Whether the table tells patients apart; intervals are by image otherwise.
    """

    readings: tuple[Reading, ...]
    pairs: tuple[Agreement, ...]
    together: tuple[Agreement, ...]
    disagreements: tuple[str, ...]
    settled: int
    images: int
    patients_known: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it fit for JSON; no path and no patient is in it."""
        return {
            'form': 1,
            'images': self.images,
            'unit': 'patients' if self.patients_known else 'images',
            'readings': [reading.to_dict() for reading in self.readings],
            'pairs': [pair.to_dict() for pair in self.pairs],
            'all': [each.to_dict() for each in self.together],
            'disagreements': len(self.disagreements),
            'settled': self.settled,
        }


def readings_of(
    table: str | Path, labels: Sequence[str], problems: list[str] | None = None
) -> list[Reading]:
    """Read what all readers said of a table; files that are open elsewhere, too.

    Parameters
    ----------
    table : str or Path
        The table.
    labels : sequence of str
        Its classes.
    problems : list of str, optional
        Gets a sentence for each file that cannot be read.

    Returns
    -------
    list of Reading
        By name and number, the consensus last.
    """
    found = []
    for path in labels_files_of(table):
        try:
            header, entries = read_entries(path)
            reader = reader_from_dict(header)
        except (ScoringError, ValueError) as error:
            if problems is not None:
                problems.append(str(error))
            continue
        if labels_path_of(table, reader) != path:
            continue  # of another table, or renamed by hand
        if set(header['labels']) != set(labels):
            if problems is not None:
                problems.append(f'{path.name} is for other classes and does not count.')
            continue
        found.append(Reading(reader, entries))
    return sorted(found, key=lambda reading: (reading.reader.is_consensus, reading.reader.key))


def agreement_of(
    readings: Sequence[Reading], rows: Sequence[ScoreRow], run: ScoringRun
) -> AgreementReport:
    """Compare what readers said of the rows of a table.

    Parameters
    ----------
    readings : sequence of Reading
        Of `readings_of`.
    rows : sequence of ScoreRow
        The table.
    run : ScoringRun
        What the rows have in common.
    """
    scored = {row.path: row for row in rows if row.status == 'scored'}
    patients, numbers = _patients(scored)
    persons = [reading for reading in readings if not reading.reader.is_consensus]
    persons = [reading for reading in persons if reading.counts.read]
    pairs = [
        each for two in combinations(persons, 2) for each in _agreements(two, scored, numbers, run)
    ]
    firsts = [reading for reading in persons if reading.reader.reading == 1]
    together = list(_agreements(firsts, scored, numbers, run)) if len(firsts) > 2 else []
    differ = disagreements(readings, list(scored))
    settled = next((each.entries for each in readings if each.reader.is_consensus), {})
    return AgreementReport(
        tuple(readings),
        tuple(pairs),
        tuple(together),
        tuple(differ),
        sum(path in settled and settled[path].read for path in differ),
        len(scored),
        patients,
    )


def disagreements(readings: Sequence[Reading], paths: Sequence[str]) -> list[str]:
    """Return the paths to which at least two persons gave different answers.

    Whether an image is usable, or can be told at all, is an answer, too. Of a person who read
    twice, the last answer counts.
    """
    last = _last_answers(readings)
    return [
        path for path in paths if len({_said(each[path]) for each in last if path in each}) > 1
    ]


def consensus_of(readings: Sequence[Reading], paths: Sequence[str]) -> dict[str, Annotation]:
    """Return what counts for each image: the consensus, or what all persons said alike.

    Images on which they disagree and that nobody has settled are not in it.
    """
    last = _last_answers(readings)
    settled = {
        path: entry
        for reading in readings
        if reading.reader.is_consensus
        for path, entry in reading.entries.items()
        if entry.read
    }
    out = {}
    for path in paths:
        entries = [each[path] for each in last if path in each]
        if path in settled:
            out[path] = settled[path]
        elif entries and len({_said(entry) for entry in entries}) == 1:
            out[path] = entries[0]
    return out


def _last_answers(readings: Sequence[Reading]) -> list[dict[str, Annotation]]:
    """Return the answers of each person by path; of several readings the last counts."""
    last: dict[str, dict[str, Annotation]] = {}
    for reading in sorted(readings, key=lambda each: each.reader.reading):
        if not reading.reader.is_consensus:
            own = last.setdefault(reading.reader.name.casefold(), {})
            own |= {path: entry for path, entry in reading.entries.items() if entry.read}
    return list(last.values())


def _said(entry: Annotation) -> tuple[str, frozenset[str]]:
    return entry.answer, frozenset(entry.labels)


def _agreements(
    readings: Sequence[Reading],
    rows: Mapping[str, ScoreRow],
    patients: Mapping[str, int],
    run: ScoringRun,
) -> Iterator[Agreement]:
    both = [
        path
        for path in rows
        if all(path in each.entries and each.entries[path].read for each in readings)
    ]
    used = [p for p in both if all(r.entries[p].answer == 'labels' for r in readings)]
    if not used:
        return
    readers = tuple(reading.reader for reading in readings)
    given = [[frozenset(each.entries[path].labels) for path in used] for each in readings]
    groups = [patients[path] for path in used]
    for label in run.labels if run.multilabel else ('',):
        if label:
            chosen = np.array([[label in labels for labels in each] for each in given], int)
            classes = 2
        else:
            places = {name: k for k, name in enumerate(run.labels)}
            chosen = np.array([[places[min(each)] for each in one] for one in given], int)
            classes = len(run.labels)
        agreed = int((chosen == chosen[0]).all(axis=0).sum())
        count = len(set(groups))
        yield Agreement(
            readers,
            label,
            len(used),
            count,
            agreed,
            wilson_interval(agreed / len(used), count),
            kappa_interval(chosen, classes, groups, fleiss=len(readings) > 2),
            len(both) - len(used),
        )


def _patients(rows: Mapping[str, ScoreRow]) -> tuple[bool, dict[str, int]]:
    """Return whether patients are known, and a number for the patient of each path.

    An image whose patient is unknown is a patient of its own.
    """
    numbers = PatientNumbers()
    known = {path: numbers.number(row) for path, row in rows.items()}
    return bool(len(numbers)), {
        path: number or -place for place, (path, number) in enumerate(known.items(), 1)
    }


def _number(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
