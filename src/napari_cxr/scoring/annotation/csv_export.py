"""The labels of a reading list as a table that can be trained on, or looked through."""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cxr import image_tables
from napari_cxr.checkpoint.model_file import open_atomic
from napari_cxr.scoring.annotation import Annotation, model_annotation
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.score_row import NO_FINDING, ScoreRow, ScoringRun
from napari_cxr.scoring.table_reader import image_path_of
from napari_cxr.scoring.table_writer import csv_line

__all__ = [
    'AnnotatedImage',
    'ExportResult',
    'PatientNumbers',
    'annotated_images',
    'count_text',
    'export_csv',
    'no_finding_label',
]

#: Rows between two looks at whether a person has cancelled.
_PACE = 200


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Parameters
    ----------
    path : str
        The table or folder.
    images : int
        How many images are in it.
    remarks : tuple of str
        What a person should know of it, in sentences.
    patient : str
        The pattern that finds the patient in the name of each file, as `data.patient` of a
        recipe; empty where names do not tell.
    """

    path: str
    images: int
    remarks: tuple[str, ...] = ()
    patient: str = ''


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image with what is said of it.

    Parameters
    ----------
    row : Row
        What the model says of it.
    entry : Entry
        What the person says.
    file : str
        Its whole path.
    """

    row: ScoreRow
    entry: Annotation
    file: str


class PatientNumbers:
    """Numbers for patients from 1, so that what a header calls them is written nowhere."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, row: ScoreRow) -> int:
        """Return the number of a row's patient, from 1 in the order of asking; 0 if unknown."""
        if row.patient:  # a number of ours, which may be what a header calls somebody else
            known = ('table', row.patient)
        else:
            known = ('header', row.identity.get('patient_id', ''))
        return self._numbers.setdefault(known, len(self._numbers) + 1) if known[1] else 0


def export_csv(
    out: str | Path,
    rows: Sequence[ScoreRow],
    entries: Mapping[str, Annotation],
    run: ScoringRun,
    table: str | Path,
    *,
    everything: bool = False,
) -> Generator[float, None, ExportResult]:
    """Write a CSV of the labels; whole, or if it fails or is closed before, not at all.

    It can be trained on as it is: it has the columns `path`, `label` (several are joined by
    '|'; an image without any of several findings is called 'No finding', as in NIH
    ChestX-ray14, and one without the only finding as the model calls it, 'no opacity'), and
    `view`, `source` and `patient` where they are known, the last as a number.

    Parameters
    ----------
    out : str or Path
        The file. Paths of images below its folder are relative to it.
    rows : sequence of Row
        Of the table, in the order in which they shall stand.
    entries : mapping of str to Entry
        What is said of them by path: ``dict(reading)``.
    run : Run
        What the rows have in common.
    table : str or Path
        Their table, by which a path is found that is not whole, see `file_of`.
    everything : bool
        Whether to write also images that a person is unsure of, has only a note on, or whose
        file is gone. Such a table is to be looked through, not to be trained on.

    Yields
    ------
    float
        The share that is done.

    Raises
    ------
    ScoringError
        If there is nothing to write, labels cannot stand in such a table, a file that was
        read twice has two answers, it would overwrite the table of scores, or it cannot be
        written.
    """
    out = Path(os.path.abspath(out))
    if out.exists() and Path(table).exists() and out.samefile(table):
        raise ScoringError(f'{out} is the table of the scores itself: choose another name.')
    found: list[AnnotatedImage] = []
    remarks: list[str] = []
    yield from annotated_images(rows, entries, table, found, remarks, everything=everything)
    for label in {label for one in found for label in one.entry.labels}:
        if image_tables.split_labels(label) != [label]:
            raise ScoringError(
                f"A label in a CSV must hold no '|' or ';' and no space at its ends, and "
                f'{label!r} does: export folders instead.'
            )
    if run.multilabel and any(_is_none(one.entry) for one in found):
        remarks.append(
            f'Images with none of the findings have the label {no_finding_label(run)!r}.'
        )
    try:
        with open_atomic(out) as file:
            text = io.TextIOWrapper(file, encoding='utf-8', newline='')
            try:
                for written, cells in enumerate(_lines(found, run, out.parent, remarks)):
                    text.write(csv_line(cells))
                    if written % _PACE == 0:
                        yield 0.5 + 0.5 * written / (len(found) + 1)
            finally:
                text.detach()  # which also writes what it holds
    except OSError as error:
        raise ScoringError(
            f'{out} cannot be written: {error.strerror}. Choose another place, or make room.'
        ) from None
    return ExportResult(str(out), written, tuple(remarks))


def annotated_images(
    rows: Sequence[ScoreRow],
    entries: Mapping[str, Annotation],
    table: str | Path,
    found: list[AnnotatedImage],
    remarks: list[str],
    *,
    everything: bool = False,
) -> Iterator[float]:
    """Put the images with a label into `found`, and what was left out into `remarks`.

    Parameters are those of `export_csv`; yields the share of half the work that is done.

    Raises
    ------
    ScoringError
        If no image is left, or links bring one file in with two answers.
    """
    seen: dict[tuple[int, int] | str, AnnotatedImage] = {}
    unsure = unusable = missing = doubled = 0
    for place, row in enumerate(rows):
        if place % _PACE == 0:
            yield 0.5 * place / len(rows)
        entry = entries.get(row.path)
        if entry is None or not (everything or entry.answer == 'labels'):
            unsure += entry is not None and entry.unsure
            unusable += entry is not None and entry.unusable
            continue
        file, identity = _file(row.path, table)
        one = AnnotatedImage(row, entry, file)
        if everything:
            found.append(one)
        elif identity is None:
            missing += 1
        elif (other := seen.setdefault(identity, one)) is one:
            found.append(one)
        elif other.entry.labels == entry.labels:
            doubled += 1
        else:
            raise ScoringError(
                f'{other.row.path} and {row.path} are one and the same file, by a link, and '
                'have different labels: read one of them again.'
            )
    if missing:
        remarks.append(f'Left out: {count_text(missing, "image")} whose file is not there.')
    if doubled:
        remarks.append(f'Left out: {count_text(doubled, "link")} to a file that is there.')
    if unsure:
        remarks.append(f'Left out: {count_text(unsure, "image")} that you are unsure of.')
    if unusable:
        remarks.append(f'Left out: {count_text(unusable, "image")} marked as not usable.')
    if not found:
        raise ScoringError(
            'There is no image with a label yet: read some first. ' + ' '.join(remarks)
        )
    labels = {one.entry.labels for one in found}
    if len(labels) == 1 and not everything:
        remarks.append('All images have the same label: to train, a second class is needed.')


def count_text(count: int, thing: str) -> str:
    """Return a number with its noun, as '1 image' or '2,000 images'."""
    return f'1 {thing}' if count == 1 else f'{count:,} {thing}s'


def _file(path: str, table: str | Path) -> tuple[str, tuple[int, int] | str | None]:
    """Return the whole path of a file and what tells it from others; None if it is missing."""
    file = image_path_of(path, table)
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return file, None
    return file, (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(file)


def _lines(
    found: Sequence[AnnotatedImage], run: ScoringRun, folder: Path, remarks: list[str]
) -> Iterator[list[str]]:
    """Yield the names of the columns, and the cells of each image."""
    patients = PatientNumbers()
    has_patients = any(patients.number(one.row) for one in found)
    has_source = any(one.row.source for one in found)
    names = ['path', 'label', 'note', 'answer', 'agreed', 'model_label', 'model', 'model_hash']
    names += ['read_at', 'view', *['truth'] * run.truth]
    yield names + ['source'] * has_source + ['patient'] * has_patients
    odd = 0
    for one in found:
        row, entry = one.row, one.entry
        file = Path(one.file)
        path = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else one.file
        if path != path.strip() or not _is_text(path):
            odd += 1
            continue
        models = model_annotation(
            row, run.labels, multilabel=run.multilabel, decision=run.decision
        )
        cells = [path, _label(entry, run), entry.note, entry.answer]
        cells += ['yes' if entry.agreed else 'no' if entry.answer == 'labels' else '']
        cells += [
            '|'.join(models) or (row.label if row.answer else ''),
            run.model,
            run.model_hash,
            entry.when,
            row.view,
        ]
        cells += [row.truth] * run.truth + [row.source] * has_source
        number = patients.number(row)
        yield cells + [f'patient {number}' if number else ''] * has_patients
    if odd:
        remarks.append(f'Left out: {count_text(odd, "image")} whose name cannot stand in a CSV.')


def _label(entry: Annotation, run: ScoringRun) -> str:
    if entry.answer != 'labels':
        return ''
    return '|'.join(entry.labels) if entry.labels else no_finding_label(run)


def _is_none(entry: Annotation) -> bool:
    return entry.answer == 'labels' and not entry.labels


def no_finding_label(run: ScoringRun) -> str:
    """Return the label of none, as the model spells it if it has one.

    Of one finding it is the model's own word, so that there are two classes to train on.
    """
    if len(run.labels) == 1 and (negative := run.label_rule.negative):
        return negative
    by_case = {label.casefold(): label for label in run.labels}
    return by_case.get(NO_FINDING.casefold(), NO_FINDING)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
