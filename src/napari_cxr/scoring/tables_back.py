"""The columns of a table of scores, read back from CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.row import Kind, Run, columns

__all__ = ['Entries', 'is_ours', 'opened']

#: What is in each column of a row.
Entries: TypeAlias = dict[str, Any]
_FIRST = ['path', 'status', 'error', 'label']
_SHARE = 'p_'
#: Rows of a Parquet file that are in memory at once.
_GROUP = 4096


def opened(path: Path) -> tuple[Run, Iterator[Entries]]:
    """Open a table of scores.

    Parameters
    ----------
    path : Path
        Its file; the ending says which form it has.

    Returns
    -------
    Run
        What its columns tell of the run: labels, and which columns there are.
    iterator of dict
        What is in each row by column, of the kinds of `columns`; but a table in JSON may be a
        text still. Raises ScoringError where the file is damaged.

    Raises
    ------
    ScoringError
        If it cannot be opened, or has not the columns of a table of ours.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ScoringError(
            f'{path.name} is no table of scores: those end in .csv, .jsonl or .parquet.'
        )
    try:
        names, rows = reader(path)
    except FileNotFoundError:
        raise ScoringError(f'There is no table {path}.') from None
    except OSError as error:
        raise ScoringError(f'{path} cannot be opened: {error.strerror or error}.') from None
    return _shape(path, names), rows


def is_ours(names: Sequence[str]) -> bool:
    """Tell by the names of its columns whether a table is one of scores."""
    return list(names[: len(_FIRST)]) == _FIRST and 'model_hash' in names


def _shape(path: Path, names: Sequence[str]) -> Run:
    """Return what the names of columns tell of a run."""
    if not is_ours(names):
        raise ScoringError(
            f'{path.name} is no table of scores: its columns do not begin with '
            f'{", ".join(_FIRST)}. To score the images that a table names, choose it as a list.'
        )
    labels = []
    for name in names[len(_FIRST) :]:
        if not name.startswith(_SHARE):
            break
        labels.append(name.removeprefix(_SHARE))
    run = Run(
        model='',
        model_hash='',
        labels=tuple(labels),
        preprocessing={},
        version='',
        rule={'thresholds': {}} if 'rule' in names else {},  # filled in from the first row
        decision='called' in names,
        heatmaps='heatmap' in names,
        shares='lung_field' in names,
        identify='patient_id' in names,
        truth='truth' in names,
        patients='patient' in names,
    )
    if list(columns(run)) != list(names):
        odd = [name for name in names if name not in columns(run)]
        lacks = [name for name in columns(run) if name not in names]
        said = ' and '.join(
            f'{word} {", ".join(found[:4])}'
            for word, found in (('has', odd), ('lacks', lacks))
            if found
        )
        raise ScoringError(
            f'{path.name} is a table of another version of napari-cxr, or was changed: it '
            f'{said or "has its columns in another order"}. Score the files again, or open it '
            'with that version.'
        )
    return run


def _csv(path: Path) -> tuple[list[str], Iterator[Entries]]:
    _refuse_torn(path)
    # Names of files need not be text; they come back as they are.
    rows = _csv_lines(path)
    names = next(rows, [])
    return names, _csv_entries(path, names, rows)


def _csv_lines(path: Path) -> Iterator[list[str]]:
    # Spreadsheets put a mark before the first name when they save it.
    with path.open(encoding='utf-8-sig', errors='surrogateescape', newline='') as file:
        row = 0  # the names
        try:
            for cells in csv.reader(file, strict=True):
                yield cells
                row += 1
        except csv.Error:
            raise _damaged(path, row) from None


def _csv_entries(path: Path, names: list[str], lines: Iterator[list[str]]) -> Iterator[Entries]:
    kinds = list(columns(_shape(path, names)).values())
    read = [_OF_CELLS[kind] for kind in kinds]
    for number, cells in enumerate(lines, start=1):
        try:
            yield {name: of(cell) for name, of, cell in zip(names, read, cells, strict=True)}
        except ValueError:
            raise _damaged(path, number) from None


def _texts(cell: str) -> list[str]:
    return cell.split(' | ') if cell else []


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


_OF_CELLS: Mapping[Kind, Callable[[str], Any]] = {
    'text': str,
    'texts': _texts,
    'number': _number,
    'table': str,
}


def _json_lines(path: Path) -> tuple[list[str], Iterator[Entries]]:
    _refuse_torn(path)
    with path.open('rb') as file:
        first = file.readline()
    try:
        names = list(json.loads(first))
    except (TypeError, ValueError):
        raise ScoringError(f'{path.name} is no table of scores, or it is damaged.') from None
    return names, _json_entries(path, names)


def _json_entries(path: Path, names: list[str]) -> Iterator[Entries]:
    with path.open('rb') as file:
        for number, line in enumerate(file, start=1):
            entries = _json_object(path, line, number)
            if list(entries) != names:
                raise _damaged(path, number)
            yield entries


def _json_object(path: Path, line: bytes, number: int) -> Entries:
    try:
        found = json.loads(line)
    except ValueError:
        raise _damaged(path, number) from None
    if not isinstance(found, dict):
        raise _damaged(path, number)
    return found


def _parquet(path: Path) -> tuple[list[str], Iterator[Entries]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ScoringError(
            f'To open {path.name}, pyarrow is needed: pip install "napari-cxr[parquet]".'
        ) from None
    try:
        names = list(parquet.read_schema(path).names)
    except pyarrow.ArrowException:
        raise ScoringError(f'{path.name} is no Parquet file, or it is damaged.') from None

    def rows() -> Iterator[Entries]:
        done = 0
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_GROUP):
                    yield from batch.to_pylist()
                    done += batch.num_rows
        except (pyarrow.ArrowException, OSError):
            raise _damaged(path, done + 1) from None

    return names, rows()


def _refuse_torn(path: Path) -> None:
    """Refuse a text whose last line has no end: the rest of it is lost."""
    with path.open('rb') as file:
        if not file.seek(0, os.SEEK_END):
            raise ScoringError(f'{path.name} is empty.')
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b'\n':
            raise ScoringError(
                f'{path.name} is no table of scores, or its end is lost: take a copy of it, or '
                'score the files again.'
            )


def _damaged(path: Path, row: int) -> ScoringError:
    where = f'at row {row}' if row else 'in the names of its columns'
    return ScoringError(
        f'{path.name} is damaged {where}: take a copy of it, or score the files again.'
    )


_READERS: Mapping[str, Callable[[Path], tuple[list[str], Iterator[Entries]]]] = {
    '.csv': _csv,
    '.jsonl': _json_lines,
    '.parquet': _parquet,
}
