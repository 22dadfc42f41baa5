"""The labels of a reading list as a folder a class, with links to the images."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.scoring.annotation import Annotation
from napari_cxr.scoring.annotation.csv_export import (
    AnnotatedImage,
    ExportResult,
    PatientNumbers,
    annotated_images,
    count_text,
    no_finding_label,
)
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = ['PATIENT_PATTERN', 'export_folders']

#: How the number of the patient is found in the name of a link, as `data.patient` of a recipe.
PATIENT_PATTERN = r'^p(\d+)-'
#: What cannot stand in a folder's name on all systems.
_NOT_IN_NAMES = frozenset('<>:"/\\|?*') | {chr(code) for code in range(32)}
#: Bytes that a name may have on most file systems; the number of the patient takes some.
_LONGEST_NAME = 255
#: Links between two looks at whether a person has cancelled.
_PACE = 50
_LINKS: tuple[tuple[str, Callable[[str, str], object]], ...] = (
    ('links', os.symlink),
    ('hard links', os.link),
    ('copies', shutil.copy2),
)


def export_folders(
    out: str | Path,
    rows: Sequence[ScoreRow],
    entries: Mapping[str, Annotation],
    run: ScoringRun,
    table: str | Path,
) -> Generator[float, None, ExportResult]:
    """Write a folder a class with a link to each image; whole, or not at all.

    Where links cannot be made, as on Windows without the right to, they are hard links, and
    where those cannot be made either, copies. Where patients are known, the name of each link
    begins with the number of its patient, see `PATIENT_PATTERN`.

    Parameters
    ----------
    out : str or Path
        The folder; a new or an empty one.
    rows, entries, run, table
        As of `napari_cxr.scoring.annotation.csv_export.export_csv`.

    Yields
    ------
    float
        The share that is done. Whoever closes the generator before leaves nothing behind.

    Returns
    -------
    Exported
        What was written.

    Raises
    ------
    ScoringError
        If an image can have several of more labels than one, a class cannot be the name of a
        folder, there is nothing to write, the folder is not empty, or it cannot be written.
    """
    out = Path(os.path.abspath(out))
    _check(out, run)
    found: list[AnnotatedImage] = []
    remarks: list[str] = []
    yield from annotated_images(rows, entries, table, found, remarks)
    if run.multilabel:  # one finding, see `_check`: who has it not is the other class
        none = (no_finding_label(run),)
        found = [
            one if one.entry.labels else replace(one, entry=replace(one.entry, labels=none))
            for one in found
        ]
    left_out = sum(len(one.entry.labels) != 1 for one in found)
    if left_out:
        remarks.append(
            f'Left out: {count_text(left_out, "image")} with no class, or with several.'
        )
        found = [one for one in found if len(one.entry.labels) == 1]
    if not found:
        raise ScoringError(
            'There is no image with one class yet: read some first. ' + ' '.join(remarks)
        )
    _check_names({one.entry.labels[0] for one in found})
    try:
        half = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', suffix='.part', dir=out.parent))
        try:
            half.chmod(0o755)  # mkdtemp makes a private folder
            known = yield from _fill(half, found, remarks)
            _readme(half, found, run, remarks)
            with suppress(FileNotFoundError):
                out.rmdir()  # Windows renames nothing to what is there
            half.rename(out)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
    except OSError as error:
        raise ScoringError(
            f'{out} cannot be written: {error.strerror}. Choose another place, or make room.'
        ) from None
    return ExportResult(str(out), len(found), tuple(remarks), PATIENT_PATTERN if known else '')


def _fill(
    half: Path, found: Sequence[AnnotatedImage], remarks: list[str]
) -> Generator[float, None, bool]:
    """Make the links, each under a name of its own; return whether names tell patients."""
    patients = PatientNumbers()
    taken: set[tuple[str, str]] = set()
    ways = list(_LINKS)
    for place, one in enumerate(found):
        if place % _PACE == 0:
            yield 0.5 + 0.5 * place / len(found)
        (label,) = one.entry.labels
        folder = half / label
        if (label, '') not in taken:
            taken.add((label, ''))
            folder.mkdir()
        number = patients.number(one.row)
        name = _free_name(f'p{number:05}-' if number else '', one.file, label, taken)
        while True:
            try:
                ways[0][1](one.file, str(folder / name))
            except OSError:
                if len(ways) == 1:
                    raise
                del ways[0]
            else:
                break
    if ways[0][0] != 'links':
        remarks.append(f'No links can be made here: some or all of these are {ways[0][0]}.')
    if patients:
        remarks.append(
            'Each name begins with the number of its patient, so "Open in Train" keeps patients '
            f'apart (data.patient is {PATIENT_PATTERN}).'
        )
    else:
        remarks.append('Folders cannot say which images are of one patient.')
    return bool(patients)


def _free_name(start: str, file: str, label: str, taken: set[tuple[str, str]]) -> str:
    """Return a name that no other has, whatever the case, and keep it."""
    stem, ending = os.path.splitext(os.path.basename(file).lstrip('.') or 'image')
    number = 1
    while True:
        name = f'{start}{stem}{"" if number == 1 else f"-{number}"}{ending}'
        if len(os.fsencode(name)) > _LONGEST_NAME and stem:
            stem = stem[:-1]
            continue
        if (label, name.casefold()) not in taken:
            taken.add((label, name.casefold()))
            return name
        number += 1


def _check(out: Path, run: ScoringRun) -> None:
    if run.multilabel and len(run.labels) > 1:
        raise ScoringError(
            'An image can have several of these classes, but it can lie in one folder only: '
            'export a CSV instead.'
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScoringError(f'{out} is there already and not empty: choose a new folder.')
    if not out.parent.is_dir():
        raise ScoringError(f'There is no folder {out.parent}; make it, or choose another.')


def _check_names(labels: set[str]) -> None:
    """Refuse classes whose folders would be called otherwise, or be passed over in training."""
    for label in sorted(labels):
        if label[0] in '._' or label[-1] in '. ' or _NOT_IN_NAMES & set(label):
            raise ScoringError(
                f'No folder can be called {label!r} on every system: export a CSV instead.'
            )


def _readme(
    half: Path, found: Sequence[AnnotatedImage], run: ScoringRun, remarks: Sequence[str]
) -> None:
    counts: dict[str, int] = {}
    for one in found:
        counts[one.entry.labels[0]] = counts.get(one.entry.labels[0], 0) + 1
    lines = [
        f'{count_text(len(found), "radiograph")}, labelled by a person with napari-cxr.',
        f'The person saw the answers of the model {run.model} ({run.model_hash}) beside them.',
        f'Written on {datetime.now(UTC):%Y-%m-%d}.',
        '',
        *(f'  {label}: {count}' for label, count in sorted(counts.items())),
        '',
        'Links lead nowhere once the images are moved.',
        *remarks,
        NOT_FOR_CLINICAL_USE,
    ]
    (half / 'README.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')
