"""Tables and journals read back: the rows as they were, as far as the columns tell."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import MISSING, fields
from itertools import chain
from pathlib import Path
from typing import Any

from napari_cxr.inference.prediction import Caution
from napari_cxr.scoring.journal import ScoringError, journal_of
from napari_cxr.scoring.lines import content
from napari_cxr.scoring.row import IDENTITY, Row, Run
from napari_cxr.scoring.tables_back import Entries, opened

__all__ = ['file_of', 'reopen', 'reopen_table']

#: The code of a caution of which a table has nothing but the text.
_NOTE = 'note'
#: By how many scored rows is told whether an image can have several labels, and among how
#: many rows they are looked for.
_TOLD_BY, _AMONG = 50, 5000
#: Probabilities in a table have 7 digits.
_ROUNDED = 1e-6


def reopen(path: str | Path) -> tuple[Run, Iterator[Row]]:
    """Read a table back; or where its journal is still beside it, all rows that are done.

    Parameters
    ----------
    path : str or Path
        A table that was written by scoring: .csv, .jsonl or .parquet. It need not be there
        yet, if its journal is. A process that goes on with the journal is not disturbed.

    Returns
    -------
    Run
        What the rows have in common. Of a table without a column ``rule`` is not told whether
        an image can have several labels: it can, if probabilities do not add up to 1.
    iterator of Row
        In the order of the listing, each made as it is asked for. In those of a table a
        caution that does not doubt the image has the code 'note'. Raises ScoringError where
        the table is damaged.

    Raises
    ------
    ScoringError
        If there is no such table, or it is of something else, of another version, empty or
        damaged.
    """
    path = Path(path)
    return _journal(path) or reopen_table(path)


def _journal(table: Path) -> tuple[Run, Iterator[Row]] | None:
    """Return what the journal of a table holds; None where there is none, or nothing in it."""
    path = journal_of(table)
    try:
        # At one go: Windows lets nobody remove a file that is open, and scoring will.
        written = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ScoringError(f'{path} cannot be opened: {error.strerror}.') from None
    first, _, _ = written.partition(b'\n')
    header = content(first + b'\n')
    if header is None:
        if table.exists() or not first:
            return None
        raise ScoringError(f'{path} is no journal of scoring.')
    try:
        run = _run_of_header(json.loads(header))
    except (KeyError, TypeError, ValueError):
        raise ScoringError(
            f'{path} is of another version of napari-cxr: resume it with that one.'
        ) from None
    return run, _rows_of_journal(written)


def _run_of_header(header: dict[str, Any]) -> Run:
    """Return the run of a journal; the header may say more of a decision than whether."""
    told: dict[str, Any] = {}
    for one in fields(Run):
        may_lack = one.default is not MISSING or one.default_factory is not MISSING
        if one.name in header or not may_lack:
            value = header[one.name]
            told[one.name] = bool(value) if isinstance(one.default, bool) else value
    told['labels'] = tuple(header['labels'])
    run = Run(**told)
    _ = run.label_rule  # an error here, not later
    return run


def _rows_of_journal(written: bytes) -> Iterator[Row]:
    """Yield whole rows, each once, in the order of the listing."""
    places: dict[int, int] = {}
    file = io.BytesIO(written)
    place = len(file.readline())
    for line in file:
        row = _row_of_line(line)
        if row is not None:
            places.setdefault(row.number, place)
        place += len(line)
    for number in sorted(places):
        file.seek(places[number])
        row = _row_of_line(file.readline())
        assert row is not None
        yield row


def _row_of_line(line: bytes) -> Row | None:
    """Return the row of a line; None where it is torn or damaged, as when it is resumed."""
    found = content(line) if line.endswith(b'\n') else None
    try:
        return None if found is None else Row.from_json(found)
    except (KeyError, TypeError, ValueError):
        return None


def reopen_table(path: Path) -> tuple[Run, Iterator[Row]]:
    """Read a table back, whether or not there is a journal; as `reopen`."""
    shape, lines = opened(path)
    first = next(lines, None)
    if first is None:
        raise ScoringError(f'{path.name} has no row; score the files again.')
    try:
        told = {**vars(shape), **{name: first[name] for name in _SAME}}
        told['preprocessing'] = _as_table(first['preprocessing'])
        told['rule'] = _as_table(first['rule']) if shape.rule else {}
        told['several'] = bool(told['rule'])
        run = Run(**told)
        _ = run.label_rule
    except ValueError:
        raise _damaged(path, 0) from None
    rows = _rows_of_table(path, run, first, chain([first], lines))
    if run.several:
        return run, rows
    begun, several = _several(rows)
    return Run(**{**told, 'several': several}), chain(begun, rows)


#: Columns that are the same in all rows.
_SAME = ('model', 'model_hash', 'preprocessing', 'version')


def _rows_of_table(
    path: Path, run: Run, first: Entries, lines: Iterator[Entries]
) -> Iterator[Row]:
    extra = tuple(name for name in IDENTITY if run.identify)
    for number, entries in enumerate(lines):
        try:
            row = _row(number, entries, run, extra)
        except (KeyError, TypeError, ValueError):
            raise _damaged(path, number) from None
        if any(entries.get(name) != first.get(name) for name in (*_SAME, 'rule')):
            raise ScoringError(
                f'{path.name} holds rows of several models or versions (row {number + 1} is '
                'the first of another): open the tables that it was made of one by one.'
            )
        yield row


def _row(number: int, entries: Entries, run: Run, extra: tuple[str, ...]) -> Row:
    """Undo what `napari_cxr.scoring.row.values` did."""
    status = entries['status']
    shares = tuple(entries[f'p_{label}'] for label in run.labels)
    whole = None not in shares if status == 'scored' else shares.count(None) == len(shares)
    if status not in ('scored', 'error') or not whole or not entries['path']:
        raise ValueError
    codes, texts = entries['doubts'], entries['warnings']
    codes = [*codes, *[_NOTE] * (len(texts) - len(codes))]
    return Row(
        number=number,
        path=entries['path'],
        status=status,
        error=entries['error'],
        label=entries['label'],
        probabilities=shares if status == 'scored' else (),
        above=tuple(entries.get('above', ())),
        answer=entries.get('answer', ''),
        called=tuple(entries.get('called', ())),
        truth=entries.get('truth', ''),
        source=entries['source'],
        patient=entries.get('patient', ''),
        view=entries['view'],
        cautions=tuple(Caution(*pair) for pair in zip(codes, texts, strict=True)),
        heatmap=entries.get('heatmap', ''),
        lung_share=entries.get('heatmap_lung_share'),
        lung_share_if_even=entries.get('heatmap_lung_share_if_even'),
        frame_share=entries.get('heatmap_frame_share'),
        lung_field=entries.get('lung_field', ''),
        device=entries['device'],
        precision=entries['precision'],
        identity={name: entries[name] for name in extra if entries[name]},
    )


def _several(rows: Iterator[Row]) -> tuple[list[Row], bool]:
    """Return the rows that were looked at, and whether their probabilities do not add up to 1."""
    begun: list[Row] = []
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


def _as_table(value: Any) -> dict[str, Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError
    return found


def _damaged(path: Path, number: int) -> ScoringError:
    return ScoringError(
        f'{path.name} is damaged at row {number + 1}: take a copy of it, or score the files again.'
    )


def file_of(path: str, table: str | Path) -> str:
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
