"""Tables read back: the rows as they were, as far as the columns tell.

A table is CSV, JSON lines or Parquet.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from napari_cxr.output_text import from_csv_cell
from napari_cxr.scoring.journal import ScoringError, read_journal
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.table_layout import (
    FIRST_COLUMNS,
    ColumnKind,
    TableEntries,
    TableLayout,
    constant_columns,
    run_of_columns,
    run_of_values,
    table_columns,
)
from napari_cxr.settings_file import open_regular, parse_json

__all__ = [
    'TableEntries',
    'image_path_of',
    'is_score_table',
    'open_table',
    'read_rows',
    'read_table_rows',
]

#: Rows of a Parquet file that are in memory at once.
_GROUP = 4096


def open_table(path: Path) -> tuple[ScoringRun, Iterator[TableEntries]]:
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


def is_score_table(names: Sequence[str]) -> bool:
    """Tell by the names of its columns whether a table is one of scores."""
    return tuple(names[: len(FIRST_COLUMNS)]) == FIRST_COLUMNS and 'model_hash' in names


def _shape(path: Path, names: Sequence[str]) -> ScoringRun:
    """Return what the names of columns tell of a run."""
    if not is_score_table(names):
        raise ScoringError(
            f'{path.name} is no table of scores: its columns do not begin with '
            f'{", ".join(FIRST_COLUMNS)}. To score the images that a table names, choose it as a '
            'list.'
        )
    run = run_of_columns(names)
    if list(table_columns(run)) != list(names):
        odd = [name for name in names if name not in table_columns(run)]
        lacks = [name for name in table_columns(run) if name not in names]
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


def _csv(path: Path) -> tuple[list[str], Iterator[TableEntries]]:
    _refuse_truncated(path)
    # Names of files need not be text; they come back as they are.
    rows = _csv_lines(path)
    names = next(rows, [])
    return names, _csv_entries(path, names, rows)


def _csv_lines(path: Path) -> Iterator[list[str]]:
    # Spreadsheets put a mark before the first name when they save it.
    with io.TextIOWrapper(
        open_regular(path), encoding='utf-8-sig', errors='surrogateescape', newline=''
    ) as file:
        row = 0  # the names
        try:
            for cells in csv.reader(file, strict=True):
                yield cells
                row += 1
        except csv.Error:
            raise _damaged_file(path, row) from None


def _csv_entries(
    path: Path, names: list[str], lines: Iterator[list[str]]
) -> Iterator[TableEntries]:
    kinds = list(table_columns(_shape(path, names)).values())
    read = [_OF_CELLS[kind] for kind in kinds]
    for number, cells in enumerate(lines, start=1):
        try:
            yield {name: of(cell) for name, of, cell in zip(names, read, cells, strict=True)}
        except ValueError:
            raise _damaged_file(path, number) from None


def _texts(cell: str) -> list[str]:
    cell = from_csv_cell(cell)
    return cell.split(' | ') if cell else []


def _number(cell: str) -> float | None:
    if not cell:
        return None
    number = float(cell)
    if not math.isfinite(number):  # `float` takes 'nan' and 'inf', which scoring never writes
        raise ValueError(cell)
    return number


def _flag(cell: str) -> int | None:
    return int(cell) if cell else None


_OF_CELLS: Mapping[ColumnKind, Callable[[str], Any]] = {
    'text': from_csv_cell,
    'texts': _texts,
    'number': _number,
    'flag': _flag,
    'table': str,
}


def _json_lines(path: Path) -> tuple[list[str], Iterator[TableEntries]]:
    _refuse_truncated(path)
    with open_regular(path) as file:
        first = file.readline()
    try:
        names = list(parse_json(first))
    except (TypeError, ValueError):
        raise ScoringError(f'{path.name} is no table of scores, or it is damaged.') from None
    return names, _json_entries(path, names)


def _json_entries(path: Path, names: list[str]) -> Iterator[TableEntries]:
    with open_regular(path) as file:
        for number, line in enumerate(file, start=1):
            entries = _json_object(path, line, number)
            if list(entries) != names:
                raise _damaged_file(path, number)
            yield entries


def _json_object(path: Path, line: bytes, number: int) -> TableEntries:
    try:
        found = parse_json(line)
    except ValueError:
        raise _damaged_file(path, number) from None
    if not isinstance(found, dict):
        raise _damaged_file(path, number)
    return found


def _parquet(path: Path) -> tuple[list[str], Iterator[TableEntries]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ScoringError(
            f'To open {path.name}, pyarrow is needed: pip install "napari-cxr[parquet]".'
        ) from None
    try:
        open_regular(path).close()
        names = list(parquet.read_schema(path).names)
    except pyarrow.ArrowException:
        raise ScoringError(f'{path.name} is no Parquet file, or it is damaged.') from None

    def rows() -> Iterator[TableEntries]:
        done = 0
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_GROUP):
                    yield from batch.to_pylist()
                    done += batch.num_rows
        except (pyarrow.ArrowException, OSError):
            raise _damaged_file(path, done + 1) from None

    return names, rows()


def _refuse_truncated(path: Path) -> None:
    """Refuse a text whose last line has no end: the rest of it is lost."""
    with open_regular(path) as file:
        if not file.seek(0, os.SEEK_END):
            raise ScoringError(f'{path.name} is empty.')
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b'\n':
            raise ScoringError(
                f'{path.name} is no table of scores, or its end is lost: take a copy of it, or '
                'score the files again.'
            )


def _damaged_file(path: Path, row: int) -> ScoringError:
    where = f'at row {row}' if row else 'in the names of its columns'
    return ScoringError(
        f'{path.name} is damaged {where}: take a copy of it, or score the files again.'
    )


_READERS: Mapping[str, Callable[[Path], tuple[list[str], Iterator[TableEntries]]]] = {
    '.csv': _csv,
    '.jsonl': _json_lines,
    '.parquet': _parquet,
}


#: By how many scored rows is told whether an image can have several labels, and among how
#: many rows they are looked for.
_TOLD_BY, _AMONG = 50, 5000

#: Probabilities in a table have 7 digits.
_ROUNDED = 1e-6


def read_rows(path: str | Path) -> tuple[ScoringRun, Iterator[ScoreRow]]:
    """Read a table back; or where its journal is still beside it, all rows that are done.

    Parameters
    ----------
    path : str or Path
        A table that was written by scoring: .csv, .jsonl or .parquet. It need not be there
        yet, if its journal is. A process that goes on with the journal is not disturbed.

    Returns
    -------
    Run
        What the rows have in common; no `preprocessing`, which is on the model's card. Of a table
        from before there was a rule is not told whether an image can have several labels: it
        can, if probabilities do not add up to 1.
    iterator of Row
        In the order of the listing, each made as it is asked for. In those of a table a
        caution that does not doubt the image has the code 'note', if the table is from before
        each code had a column. Raises ScoringError where the table is damaged.

    Raises
    ------
    ScoringError
        If there is no such table, or it is of something else, of another version, empty or
        damaged.
    """
    path = Path(path)
    return read_journal(path) or read_table_rows(path)


def read_table_rows(path: Path) -> tuple[ScoringRun, Iterator[ScoreRow]]:
    """Read a table back, whether or not there is a journal; as `reopen`."""
    shape, lines = open_table(path)
    first = next(lines, None)
    if first is None:
        raise ScoringError(f'{path.name} has no row; score the files again.')
    try:
        run = run_of_values(first, shape)
        layout = TableLayout(run)
    except (TypeError, ValueError):
        raise _damaged(path, 0) from None
    rows = _rows_of_table(path, run, layout, chain([first], lines))
    if run.rule or run.tidy:
        return run, rows
    begun, multilabel = _multilabel(rows)
    return replace(run, multilabel=multilabel), chain(begun, rows)


def _rows_of_table(
    path: Path, run: ScoringRun, layout: TableLayout, lines: Iterator[TableEntries]
) -> Iterator[ScoreRow]:
    same = constant_columns(run)
    first: TableEntries = {}
    for number, entries in enumerate(lines):
        try:
            row = layout.row(number, entries)
        except (KeyError, TypeError, ValueError):
            raise _damaged(path, number) from None
        for label, p in zip(run.labels, row.probabilities, strict=False):
            if not 0 <= p <= 1:
                raise ScoringError(
                    f'Row {number + 1} of {path.name} gives {label} the probability {p:g}, which '
                    'must be from 0 to 1. Take a copy of the table, or score the files again.'
                )
        first = first or entries
        if any(entries[name] != first[name] for name in same):
            raise ScoringError(
                f'{path.name} holds rows of several models or versions (row {number + 1} is '
                'the first of another): open the tables that it was made of one by one.'
            )
        yield row


def _multilabel(rows: Iterator[ScoreRow]) -> tuple[list[ScoreRow], bool]:
    """Return the rows that were looked at, and whether their probabilities do not add up to 1."""
    begun: list[ScoreRow] = []
    scored = 0
    for row in rows:
        begun.append(row)
        shares = row.probabilities
        if shares and abs(sum(shares) - 1) > _ROUNDED * len(shares):
            return begun, True
        scored += bool(shares)
        if scored == _TOLD_BY or len(begun) == _AMONG:
            break
    return begun, False


def _damaged(path: Path, number: int) -> ScoringError:
    return ScoringError(
        f'{path.name} is damaged at row {number + 1}: take a copy of it, or score the files again.'
    )


def image_path_of(path: str, table: str | Path) -> str:
    """Return the whole path of a row's file, whether it is there or not.

    A path that is not whole began in the folder in which scoring was called, and no table
    tells which that was. Where there is such a file in the table's folder or in one above
    it, that is meant, the nearest first; else the one in the current folder.

    Parameters
    ----------
    path : str
        As it stands in the table.
    table : str or Path
        The table.
    """
    if not os.path.isabs(path):
        for folder in Path(os.path.abspath(table)).parents:
            if os.path.lexists(folder / path):
                return str(folder / path)
    return os.path.abspath(path)
