"""The rows as they come, on disk: a run that crashed, was killed or lost power can be resumed.

A journal is text, see `napari_cxr.scoring.append_log`: first what the run is, then a row a line
in the order in which they were done.
"""

from __future__ import annotations

import io
import json
import re
import time
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from napari_cxr.scoring.append_log import AppendLog, LogInUse, decode_line, encode_line
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun, stored_name
from napari_cxr.settings_file import LARGEST_SETTINGS, open_regular, parse_json

__all__ = [
    'CannotWrite',
    'Journal',
    'MissingRows',
    'ScoringError',
    'journal_of',
    'read_header',
    'read_journal',
]

#: How long a row may be in the system's memory only, in seconds. A kill cannot take it from
#: there, a power cut can.
SYNC_EVERY = 1.0
_NOWHERE = -1
#: How the first line begins, which a power cut may have torn.
_FIRST_LINE = re.compile(rb'[0-9a-f]{8} \{"form":')


class ScoringError(Exception):
    """Scoring that cannot begin or go on; the message says what to do. Rows that are done stay."""


class CannotWrite(ScoringError):
    """A disk that is full, or gone; the same can be tried again when there is room.

    Parameters
    ----------
    path : Path
        What was written.
    error : OSError
        Why it could not be.
    kept : str
        A sentence on what is kept, and how to go on.

    Attributes
    ----------
    reason : str
        The message without that sentence.
    """

    def __init__(self, path: Path, error: OSError, kept: str = '') -> None:
        self.reason = f'{path} cannot be written: {error.strerror}.'
        super().__init__(f'{self.reason} {kept}'.rstrip())


class Journal:
    """The journal of one table, open for appending.

    Parameters
    ----------
    path : Path
        Its file; a new one, or one with the very same `header`.
    header : mapping
        What decides the rows; fit for JSON.
    total : int
        How many rows there will be.
    counts : callable
        Tells of a row that is there whether it counts; one that does not is done again.

    Raises
    ------
    ScoringError
        If another process has it open, it is no journal, it is of another run, or it cannot
        be written.

    Attributes
    ----------
    done, failed : int
        Rows in it, and errors among them.
    """

    def __init__(
        self,
        path: Path,
        header: Mapping[str, Any],
        total: int,
        counts: Callable[[ScoreRow], bool] = lambda _: True,
    ) -> None:
        self.path = path
        self._counts = counts
        self.done = self.failed = 0
        self._places = array('q', [_NOWHERE]) * total
        self._synced = time.monotonic()
        try:
            self._lines = AppendLog(path)
        except LogInUse:
            raise ScoringError(
                f'Another process is scoring into {path}; wait for it, or stop it.'
            ) from None
        except OSError as error:
            raise CannotWrite(path, error) from None
        try:
            self._take_over(header)
        except BaseException:
            self._lines.close()
            raise

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self._places[number] != _NOWHERE

    @property
    def missing(self) -> MissingRows:
        """The numbers of the rows that are still to come; it changes as they do."""
        return MissingRows(self, len(self._places))

    def add(self, rows: Sequence[ScoreRow]) -> None:
        """Append rows, each once; after this a kill cannot take them away.

        Raises
        ------
        ScoringError
            If the disk is full; the rows that were there stay whole.
        """
        lines = [encode_line(row.to_json()) for row in rows]
        start = self._lines.end
        self._append(b''.join(lines))
        for row, written in zip(rows, lines, strict=True):
            self._note(row, start)
            start += len(written)
        self.sync_if_due()

    def sync_if_due(self) -> None:
        """Call `sync` if the last time was `SYNC_EVERY` ago."""
        if time.monotonic() - self._synced > SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """See to it that a power cut cannot take away what was appended."""
        try:
            self._lines.sync()
        except OSError as error:
            raise self._cannot_write(error) from None
        self._synced = time.monotonic()

    def rows(self) -> Iterator[ScoreRow]:
        """Yield the rows in the order of the listing, one in memory at a time."""
        with open_regular(self.path) as file:
            for place in self._places:
                if place == _NOWHERE:
                    continue
                file.seek(place)
                row = _row(file.readline())
                if row is None:  # a disk that fails
                    raise ScoringError(f'{self.path} has been damaged while it was in use.')
                yield row

    def close(self) -> None:
        """Keep everything, and let others open it."""
        try:
            with suppress(ScoringError):  # rows are kept as far as the disk takes them
                self.sync()
        finally:
            self._lines.close()

    def remove(self) -> None:
        """Close it and take it away, once all that it holds is elsewhere."""
        self._lines.remove()

    def _take_over(self, header: Mapping[str, Any]) -> None:
        """Read what is there, or begin."""
        ours = json.dumps(header, separators=(',', ':'))
        end = 0
        with open_regular(self.path) as file:
            first = file.readline()
            if first.endswith(b'\n'):
                there = decode_line(first)
                if there is None:
                    raise ScoringError(f'{self.path} is not a journal of scoring; move it away.')
                _compare(self.path, _entries_of(self.path, there), json.loads(ours))
                end = len(first)
                for written in file:
                    if not written.endswith(b'\n'):
                        break  # torn: it is done again
                    row = _row(written)
                    if row and row.number < len(self._places) and self._counts(row):
                        self._note(row, end)
                    end += len(written)
            elif not (encode_line(ours).startswith(first) or _FIRST_LINE.match(first)):
                raise ScoringError(f'{self.path} is not a journal of scoring; move it away.')
        self._lines.go_on_at(end)
        if end == 0:
            self._append(encode_line(ours))
            self.sync()
            self._lines.sync_folder()

    def _note(self, row: ScoreRow, place: int) -> None:
        if row.number in self:
            return
        self._places[row.number] = place
        self.done += 1
        self.failed += row.status == 'error'

    def _append(self, lines: bytes) -> None:
        try:
            self._lines.append(lines)
        except OSError as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, error: OSError) -> CannotWrite:
        if not self.done:
            kept = 'No row is done yet: make room and start again.'
        elif self.done == 1:
            kept = 'The row that is done is kept in it: make room and resume.'
        else:
            kept = f'The {self.done:,} rows that are done are kept in it: make room and resume.'
        return CannotWrite(self.path, error, kept)


class MissingRows(Collection[int]):
    """The numbers of rows that a journal does not hold, in order; it needs no memory.

    Parameters
    ----------
    journal : Journal
        Which rows are done.
    total : int
        How many rows there will be.
    """

    def __init__(self, journal: Journal, total: int) -> None:
        self._journal, self._total = journal, total

    def __contains__(self, number: object) -> bool:
        return number not in self._journal

    def __iter__(self) -> Iterator[int]:
        return (number for number in range(self._total) if number in self)

    def __len__(self) -> int:
        return self._total - self._journal.done


def journal_of(out: Path) -> Path:
    """Return where the rows of a table are kept until it is finished."""
    return out.with_name(f'{out.name}.journal')


def read_header(path: Path) -> dict[str, Any]:
    """Return what a journal says that its run is; nothing where there is none yet."""
    try:
        with open_regular(path) as file:
            there = decode_line(file.readline(LARGEST_SETTINGS))
        found = parse_json(there) if there else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_journal(table: Path) -> tuple[ScoringRun, Iterator[ScoreRow]] | None:
    """Return what the journal of a table holds, whether scoring goes on with it or not.

    Parameters
    ----------
    table : Path
        The table; it need not be there yet.

    Returns
    -------
    ScoringRun, iterator of ScoreRow
        What the rows have in common, and the rows in the order of the listing; or None where
        there is no journal, or nothing in it.

    Raises
    ------
    ScoringError
        If it cannot be opened, is not a journal, or is of another version.
    """
    path = journal_of(table)
    try:
        # At one go: Windows lets nobody remove a file that is open, and scoring will.
        with open_regular(path) as file:
            written = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ScoringError(f'{path} cannot be opened: {error.strerror}.') from None
    first, _, _ = written.partition(b'\n')
    header = decode_line(first + b'\n')
    if header is None:
        if table.exists() or not first:
            return None
        raise ScoringError(f'{path} is not a journal of scoring.')
    try:
        run = _run_of_header(parse_json(header))
    except (KeyError, TypeError, ValueError):
        raise ScoringError(
            f'{path} is of another version of napari-cxr: resume it with that one.'
        ) from None
    return run, _rows_of_journal(written)


def _entries_of(path: Path, header: str) -> dict[str, Any]:
    """Return what the first line of a journal holds."""
    try:
        found = parse_json(header)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ScoringError(f'{path} is not a journal of scoring; move it away.')
    return found


def _run_of_header(header: dict[str, Any]) -> ScoringRun:
    """Return the run of a journal; the header may say more of a decision than whether."""
    told: dict[str, Any] = {}
    for one in fields(ScoringRun):
        may_lack = one.default is not MISSING or one.default_factory is not MISSING
        key = stored_name(one.name)
        if key in header or not may_lack:
            value = header[key]
            told[one.name] = bool(value) if isinstance(one.default, bool) else value
    told['labels'] = tuple(header['labels'])
    run = ScoringRun(**told)
    _ = run.label_rule  # an error here, not later
    return run


def _rows_of_journal(written: bytes) -> Iterator[ScoreRow]:
    """Yield whole rows, each once, in the order of the listing; of one tried again the last."""
    places: dict[int, int] = {}
    failed: set[int] = set()
    file = io.BytesIO(written)
    place = len(file.readline())
    for line in file:
        row = _row_of_line(line)
        if row is not None and (row.number not in places or row.number in failed):
            places[row.number] = place
            (failed.add if row.status == 'error' else failed.discard)(row.number)
        place += len(line)
    for number in sorted(places):
        file.seek(places[number])
        row = _row_of_line(file.readline())
        assert row is not None
        yield row


def _row_of_line(line: bytes) -> ScoreRow | None:
    """Return the row of a line; None where it is torn or damaged, as when it is resumed."""
    found = decode_line(line) if line.endswith(b'\n') else None
    try:
        return None if found is None else ScoreRow.from_json(found)
    except (KeyError, TypeError, ValueError):
        return None


def _row(written: bytes) -> ScoreRow | None:
    found = decode_line(written)
    return None if found is None else ScoreRow.from_json(found)


#: What the entries of a header are, for a person.
_ENTRIES = {
    'model': 'another model',
    'model_hash': 'another model file',
    'labels': 'another model file',
    'several': 'another model file',
    'rule': 'another rule of labels or another prevalence',
    'preprocessing': 'another preprocessing',
    'lung_field': 'another version of the lung field',
    'frontal_check': 'another version of the check for frontal radiographs',
    'listing': 'another list of files or labels',
    'folder': 'another folder in which relative paths begin',
    'total': 'another list of files or labels',
    'truth': 'another list of files or labels',
    'patients': 'another list of files or labels',
    'splits': 'another list of files or labels',
    'model_split': 'other knowledge of the images that the model was trained on',
    'version': 'another version of napari-cxr',
    'batch': 'another batch size',
    'device': 'another kind of device',
    'way': 'another backend',
    'precision': 'another choice of precision',
    'full_resolution': 'another choice of full resolution',
    'decision': 'another decision',
    'heatmaps': 'another choice of heatmaps',
    'shares': 'another choice of what is said of heatmaps',
    'peaks': 'another choice of what is said of heatmaps',
    'markers': 'another choice of what is said of heatmaps',
    'identify': 'another choice of what identifies',
    'tidy': 'other columns of the table',
    'possible': 'other columns of the table',
}


#: What follows from an entry, so that it need not be named beside it.
_FOLLOWS = {
    'model': ('model_hash', 'labels', 'several', 'preprocessing', 'rule', 'possible'),
    'model_hash': ('labels', 'several', 'preprocessing', 'rule', 'possible'),
    'decision': ('rule',),
    'version': ('lung_field', 'frontal_check', 'rule', 'peaks', 'markers', 'lift', 'tidy'),
    'shares': ('peaks', 'markers'),
    'heatmaps': ('shares', 'peaks', 'markers'),
}
#: Those of which a person is told what they were and are.
_DETAILS = (
    'model', 'version', 'batch', 'device', 'way', 'precision', 'total', 'folder', 'decision',
)  # fmt: skip


def _entry_text(entry: Any) -> Any:
    """Return what is said of an entry: of a decision its name, of none at all just that."""
    if entry is None:
        return 'none'
    return entry[0] if isinstance(entry, list) else entry


def _compare(path: Path, there: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    if there == ours:
        return
    odd = [name for name in ours if there.get(name) != ours[name]]
    odd = [name for name in odd if not any(name in _FOLLOWS.get(root, ()) for root in odd)]
    said = list(dict.fromkeys(_ENTRIES.get(name, 'another form of the journal') for name in odd))
    name = next((n for n in _DETAILS if n in odd), '')
    files = f' file{"s" * (there.get(name) != 1)}' if name == 'total' else ''
    detail = (
        f' ({_entry_text(there.get(name))}{files} instead of {_entry_text(ours[name])})'
        if name
        else ''
    )
    raise ScoringError(
        f'{path} was begun with {" and ".join(said or ["another form of the journal"])}{detail}: '
        'resume with what it was begun with, or choose another name for the table.'
    )
