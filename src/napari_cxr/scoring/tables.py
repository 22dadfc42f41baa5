"""The table, as CSV, JSON lines or Parquet: which, its name says."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

from napari_cxr.checkpoint.file import whole_file
from napari_cxr.scoring.csv_lines import csv_line
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.row import Kind, Row, Run, columns, values

__all__ = ['check_name', 'write']

#: Rows of a Parquet file that are in memory at once.
_GROUP = 8192


def check_name(path: Path) -> None:
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


def write(path: Path, rows: Iterable[Row], run: Run) -> None:
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
    named = columns(run)
    entries = (values(row, run) for row in rows)
    try:
        with whole_file(path) as file:
            _WRITERS[path.suffix.lower()](file, named, entries)
    except OSError as error:
        raise ScoringError(
            f'{path} cannot be written: {error.strerror}. All rows are kept beside it: make room '
            'and resume.'
        ) from None


def _as_csv(file: IO[bytes], named: Mapping[str, Kind], rows: Iterator[Mapping[str, Any]]) -> None:
    # Names of files need not be text; they come out as they are.
    text = io.TextIOWrapper(file, encoding='utf-8', errors='surrogateescape', newline='')
    try:
        text.write(csv_line(named))
        for row in rows:
            text.write(csv_line(_cell(row[name], kind) for name, kind in named.items()))
    finally:
        text.detach()  # which also writes what it holds


def _cell(value: Any, kind: Kind) -> Any:
    if kind == 'texts':
        return ' | '.join(value)
    return _compact(value) if kind == 'table' else value


def _as_json_lines(
    file: IO[bytes], named: Mapping[str, Kind], rows: Iterator[Mapping[str, Any]]
) -> None:
    for row in rows:
        file.write(json.dumps({name: row[name] for name in named}).encode('ascii') + b'\n')


def _as_parquet(
    file: IO[bytes], named: Mapping[str, Kind], rows: Iterator[Mapping[str, Any]]
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


def _arrow_value(value: Any, kind: Kind) -> Any:
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


_Writer = Callable[[IO[bytes], Mapping[str, Kind], Iterator[Mapping[str, Any]]], None]
_WRITERS: dict[str, _Writer] = {
    '.csv': _as_csv,
    '.jsonl': _as_json_lines,
    '.parquet': _as_parquet,
}
