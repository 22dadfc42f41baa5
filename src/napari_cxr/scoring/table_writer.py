"""The table, written as CSV, JSON lines or Parquet: which, its name says.

Also a table of the rows that are done after scoring was stopped, and whether a copy may have a
name. A line of CSV is such that every reader takes it for one row.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from napari_cxr.checkpoint.model_file import open_atomic
from napari_cxr.scoring import table_reader
from napari_cxr.scoring.annotation.reading_list import labels_path_of
from napari_cxr.scoring.journal import ScoringError, journal_of, read_header
from napari_cxr.scoring.score_row import (
    ColumnKind,
    ScoreRow,
    ScoringRun,
    row_values,
    table_columns,
)

__all__ = ['check_save_as', 'check_table_name', 'csv_line', 'write_partial_table', 'write_table']


def csv_line(cells: Iterable[Any]) -> str:
    """Return a row as a line that ends with a line feed, with quotes where they are needed.

    Before Python 3.13, `csv.writer` puts quotes around a carriage return only if lines end
    with one; without them a name or a note that holds one breaks its row in two.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator='\r\n').writerow(cells)
    return text.getvalue()[:-2] + '\n'


#: Rows of a Parquet file that are in memory at once.
_GROUP = 8192


def check_table_name(path: Path) -> None:
    """See whether a table of this name can be written.

    Raises
    ------
    ScoringError
        If its ending is unknown, its folder is missing or cannot be written to, or it needs
        what is not installed.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ScoringError(
            f'{path.name}: a table is called .csv, .jsonl or .parquet, by which its form is '
            'chosen.'
        )
    if not os.path.isdir(path.parent):
        if os.path.lexists(path.parent):
            raise ScoringError(f'{path.parent} is no folder; choose another.')
        raise ScoringError(f'There is no folder {path.parent}; make it, or choose another.')
    if not os.access(path.parent, os.W_OK):
        raise ScoringError(f'Nothing can be written to {path.parent}; choose another folder.')
    try:
        os.lstat(path.with_name(f'.{path.name}.________.part'))  # as `whole_file` calls it
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ScoringError(
            f'{path.name} cannot be the name of a table: {error.strerror}.'
        ) from None
    if path.suffix.lower() == '.parquet':
        _pyarrow()


def write_table(path: Path, rows: Iterable[ScoreRow], run: ScoringRun) -> None:
    """Write a table whole or not at all, with some rows in memory at a time.

    Parameters
    ----------
    path : Path
        Its name.
    rows : iterable of Row
        In the order in which they shall stand.
    run : Run
        What they have in common.

    Raises
    ------
    ScoringError
        If it cannot be written.
    """
    named = table_columns(run)
    entries = (row_values(row, run) for row in rows)
    try:
        with open_atomic(path) as file:
            _WRITERS[path.suffix.lower()](file, named, entries)
    except OSError as error:
        raise ScoringError(
            f'{path} cannot be written: {error.strerror}. All rows are kept beside it: make room '
            'and resume.'
        ) from None


def _as_csv(
    file: IO[bytes], named: Mapping[str, ColumnKind], rows: Iterator[Mapping[str, Any]]
) -> None:
    # Names of files need not be text; they come out as they are.
    text = io.TextIOWrapper(file, encoding='utf-8', errors='surrogateescape', newline='')
    try:
        text.write(csv_line(named))
        for row in rows:
            text.write(csv_line(_cell(row[name], kind) for name, kind in named.items()))
    finally:
        text.detach()  # which also writes what it holds


def _cell(value: Any, kind: ColumnKind) -> Any:
    if kind == 'texts':
        return ' | '.join(value)
    return _compact(value) if kind == 'table' else value


def _as_json_lines(
    file: IO[bytes], named: Mapping[str, ColumnKind], rows: Iterator[Mapping[str, Any]]
) -> None:
    for row in rows:
        file.write(json.dumps({name: row[name] for name in named}).encode('ascii') + b'\n')


def _as_parquet(
    file: IO[bytes], named: Mapping[str, ColumnKind], rows: Iterator[Mapping[str, Any]]
) -> None:
    arrow, parquet = _pyarrow()
    types = {
        'text': arrow.string(),
        'texts': arrow.list_(arrow.string()),
        'number': arrow.float64(),
        'table': arrow.string(),
    }
    schema = arrow.schema([(name, types[kind]) for name, kind in named.items()])
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, _GROUP)):
            found = {
                name: [_arrow_value(row[name], kind) for row in group]
                for name, kind in named.items()
            }
            writer.write_table(arrow.table(found, schema=schema))


def _arrow_value(value: Any, kind: ColumnKind) -> Any:
    if kind == 'table':
        return _compact(value)
    if kind == 'text':  # Parquet takes nothing but Unicode
        return value.encode('utf-8', 'backslashreplace').decode('utf-8')
    return value


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(',', ':'))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ScoringError(
            'Parquet needs pyarrow: pip install "napari-cxr[parquet]", or write a .csv.'
        ) from None
    return pyarrow, parquet


_Writer = Callable[[IO[bytes], Mapping[str, ColumnKind], Iterator[Mapping[str, Any]]], None]

_WRITERS: dict[str, _Writer] = {
    '.csv': _as_csv,
    '.jsonl': _as_json_lines,
    '.parquet': _as_parquet,
}


def check_save_as(path: str | Path) -> None:
    """See whether a copy of a table may get this name; a table that is there is overwritten.

    Labels and notes stay with the table that they were given in, and rows of a run that was
    stopped with theirs: beside a copy they would pass for its own.

    Raises
    ------
    ScoringError
        If such a table cannot be written, or rows or labels of another one lie beside it.
    """
    path = Path(path)
    check_table_name(path)
    if journal_of(path).exists():
        raise ScoringError(
            f'{path.name} was begun by scoring and is not finished: choose another name.'
        )
    if os.path.lexists(labels_path_of(path)):
        raise ScoringError(
            f'Beside {path.name} lie labels that were given in another table of this name: choose '
            f'another name, or move {labels_path_of(path).name} away.'
        )


def write_partial_table(out: str | Path) -> int:
    """Write a table of the rows that are done, after scoring was stopped.

    The rows stay in the journal too, so scoring can be resumed.

    Parameters
    ----------
    out : str or Path
        The table.

    Returns
    -------
    int
        How many rows there are; without any, no table is written.

    Raises
    ------
    ScoringError
        If the table cannot be written.
    """
    out = Path(out)
    if not read_header(journal_of(out)):
        return 0
    run, rows = table_reader.read_rows(out)
    done = 0

    def counted() -> Iterator[ScoreRow]:
        nonlocal done
        for row in rows:
            done += 1
            yield row

    first = next(every := counted(), None)
    if first is not None:
        write_table(out, chain([first], every), run)
    return done
