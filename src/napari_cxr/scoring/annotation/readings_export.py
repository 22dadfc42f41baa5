"""All readings of a table as CSV, one row for each image and reader, and the agreement as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_cxr.checkpoint.model_file import open_atomic
from napari_cxr.scoring.annotation import Annotation, model_annotation
from napari_cxr.scoring.annotation.agreement import (
    AgreementReport,
    Reading,
    agreement_of,
    consensus_of,
    disagreements,
)
from napari_cxr.scoring.annotation.csv_export import PatientNumbers, no_finding_label
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.table_writer import csv_line

__all__ = ['agreement_path_of', 'export_readings']

_COLUMNS = (
    'path', 'reader', 'reading', 'answer', 'label', 'reason', 'note', 'blinded', 'seconds',
    'read_at', 'disagreement', 'consensus', 'model_label', 'image_hash',
)  # fmt: skip


def export_readings(
    out: str | Path, readings: Sequence[Reading], rows: Sequence[ScoreRow], run: ScoringRun
) -> AgreementReport:
    """Write what every reader said of every image, and how far they agree.

    The CSV has one row for each image and reader, in the order of the table; beside it stands
    NAME.agreement.json, as `AgreementReport.to_dict` returns it. Patients are numbers.

    Parameters
    ----------
    out : str or Path
        The CSV.
    readings : sequence of Reading
        Of `napari_cxr.scoring.annotation.agreement.readings_of`.
    rows : sequence of ScoreRow
        The table.
    run : ScoringRun
        What the rows have in common.

    Raises
    ------
    ScoringError
        If nobody has read anything yet, or a file cannot be written.
    """
    out = Path(out)
    if not any(reading.counts.read or reading.counts.noted for reading in readings):
        raise ScoringError('Nobody has labelled an image of this table yet. Read some first.')
    report = agreement_of(readings, rows, run)
    try:
        with open_atomic(out) as file:
            for cells in _lines(readings, rows, run):
                file.write(csv_line(cells).encode('utf-8', 'surrogateescape'))
        with open_atomic(agreement_path_of(out)) as file:
            file.write(json.dumps(report.to_dict(), indent=1).encode() + b'\n')
    except OSError as error:
        raise ScoringError(
            f'{out} cannot be written: {error.strerror}. Choose another place, or make room.'
        ) from None
    return report


def agreement_path_of(out: str | Path) -> Path:
    """Return where the agreement is written beside a CSV of readings."""
    return Path(out).with_suffix('.agreement.json')


def _lines(
    readings: Sequence[Reading], rows: Sequence[ScoreRow], run: ScoringRun
) -> Iterator[list[str]]:
    numbers = PatientNumbers()
    has_patients = any(numbers.number(row) for row in rows)
    yield [*_COLUMNS, *['patient'] * has_patients]
    paths = [row.path for row in rows]
    differ, consensus = set(disagreements(readings, paths)), consensus_of(readings, paths)
    for row in rows:
        settled = consensus.get(row.path)
        model = model_annotation(row, run.labels, multilabel=run.multilabel, decision=run.decision)
        number = numbers.number(row)
        for reading in readings:
            entry = reading.entries.get(row.path)
            if entry is None:
                continue
            cells = [
                row.path,
                reading.reader.name,
                str(reading.reader.reading),
                _ANSWERS[entry.answer],
                _label(entry, run),
                entry.reason,
                entry.note,
                'yes' if entry.blinded else 'no',
                f'{entry.seconds:.1f}' if entry.seconds and math.isfinite(entry.seconds) else '',
                entry.when,
                'yes' if row.path in differ else 'no',
                _label(settled, run) if settled is not None else '',
                '|'.join(model) or row.label,
                entry.image,
            ]
            yield cells + [f'patient {number}' if number else ''] * has_patients


_ANSWERS = {'': '', 'labels': 'labels', 'unsure': 'unsure', 'unusable': 'not usable'}


def _label(entry: Annotation, run: ScoringRun) -> str:
    if entry.answer != 'labels':
        return ''
    return '|'.join(entry.labels) if entry.labels else no_finding_label(run)
