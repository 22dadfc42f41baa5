"""The table, written as CSV, JSON lines or Parquet: which, its name says.

Also a table of the rows that are done after scoring was stopped. A line of CSV is such that
every reader takes it for one row.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from napari_cxr.checkpoint.model_file import open_atomic, write_atomic
from napari_cxr.output_text import to_csv_cell
from napari_cxr.scoring import table_reader
from napari_cxr.scoring.journal import CannotWrite, ScoringError, journal_of, read_header
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.scoring_events import ScoringMeasured
from napari_cxr.scoring.table_layout import ColumnKind, TableLayout

__all__ = [
    'TABLE_FORMATS',
    'csv_line',
    'import_pyarrow',
    'metrics_path_of',
    'write_metrics',
    'write_partial_table',
    'write_table',
]


def csv_line(cells: Iterable[Any]) -> str:
    """Return a row as a line that ends with a line feed, with quotes where they are needed.

    Before Python 3.13, `csv.writer` puts quotes around a carriage return only if lines end
    with one; without them a name or a note that holds one breaks its row in two.
    No cell begins like a formula, see `napari_cxr.output_text.to_csv_cell`.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator='\r\n').writerow(map(to_csv_cell, cells))
    return text.getvalue()[:-2] + '\n'


#: Rows of a Parquet file that are in memory at once.
_GROUP = 8192


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
    layout = TableLayout(run)
    entries = (layout.values(row) for row in rows)
    try:
        with open_atomic(path) as file:
            TABLE_FORMATS[path.suffix.lower()](file, layout.columns, entries)
    except OSError as error:
        kept = 'All rows are kept beside it: make room and resume.'
        raise CannotWrite(path, error, kept) from None


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
    arrow, parquet = import_pyarrow()
    types = {
        'text': arrow.string(),
        'texts': arrow.list_(arrow.string()),
        'number': arrow.float64(),
        'flag': arrow.int8(),
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


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module; ScoringError says how to install them."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ScoringError(
            'Parquet needs pyarrow: pip install "napari-cxr[parquet]", or write a .csv.'
        ) from None
    return pyarrow, parquet


_Writer = Callable[[IO[bytes], Mapping[str, ColumnKind], Iterator[Mapping[str, Any]]], None]

TABLE_FORMATS: dict[str, _Writer] = {
    '.csv': _as_csv,
    '.jsonl': _as_json_lines,
    '.parquet': _as_parquet,
}


def metrics_path_of(out: str | Path) -> Path:
    """Return where the metrics of a table are: NAME.metrics.json beside NAME.csv."""
    return Path(out).with_suffix('.metrics.json')


def write_metrics(out: Path, run: ScoringRun, measured: ScoringMeasured) -> Path | None:
    """Write the metrics of a table beside it; equal tables have equal files.

    Parameters
    ----------
    out : Path
        The table.
    run : ScoringRun
        What its rows have in common.
    measured : ScoringMeasured
        The metrics. Where there are none, none of an earlier table of this name are left either.

    Returns
    -------
    Path or None
        The file, if it was written.

    Raises
    ------
    ScoringError
        If it cannot be written.
    """
    path = metrics_path_of(out)
    content = {
        'form': 1,
        'table': out.name,
        'model': run.model,
        'model_hash': run.model_hash,
        'labels': list(run.labels),
        'preprocessing': dict(run.preprocessing),
        'rule': dict(run.rule),
        'version': run.version,
        'metrics': measured.metrics,
        'unknown_labels': list(measured.unknown),
        'unmeasured_images': measured.unmeasured,
    }
    try:
        if measured.metrics:
            text = json.dumps(content, indent=2, allow_nan=False) + '\n'
            write_atomic(path, text.encode('ascii'))
            return path
        path.unlink(missing_ok=True)
    except OSError as error:
        kept = 'All rows are kept: make room and resume.'
        raise CannotWrite(path, error, kept) from None
    return None


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
