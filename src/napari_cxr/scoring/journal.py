"""The rows as they come, on disk: what a crash, a kill or a power cut leaves can be gone on with.

A journal is text. Each line is a CRC-32 in eight hexadecimal digits, a space and JSON: first
what the run is, then a row a line in the order in which they were done. Lines are only ever
appended, each in one piece, so that nothing but the last can be torn.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_cxr.scoring.row import Row

__all__ = ['Journal', 'ScoringError', 'read_header']

#: How long a row may be in the system's memory only, in seconds. A kill cannot take it from
#: there, a power cut can.
SYNC_EVERY = 1.0
_NOWHERE = -1


class ScoringError(Exception):
    """Scoring that cannot begin or go on; the message says what to do. Rows that are done stay."""


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

    def __init__(self, path: Path, header: Mapping[str, Any], total: int) -> None:
        self.path = path
        self.done = self.failed = 0
        self._places = array('q', [_NOWHERE]) * total
        self._synced = time.monotonic()
        self._dirty = False
        flags = os.O_RDWR | os.O_CREAT | getattr(os, 'O_BINARY', 0) | getattr(os, 'O_CLOEXEC', 0)
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise ScoringError(f'{path} cannot be written: {error.strerror}.') from None
        try:
            self._lock()
            self._end = self._take_over(header)
        except BaseException:
            os.close(self._file)
            raise

    def __contains__(self, number: int) -> bool:
        return self._places[number] != _NOWHERE

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows, each once; after this a kill cannot take them away.

        Raises
        ------
        ScoringError
            If the disk is full; the rows that were there stay whole.
        """
        lines = [_line(row.to_json()) for row in rows]
        start = self._end
        self._append(b''.join(lines))
        for row, line in zip(rows, lines, strict=True):
            self._note(row, start)
            start += len(line)
        self.sync_if_due()

    def sync_if_due(self) -> None:
        """Call `sync` if the last time was `SYNC_EVERY` ago."""
        if time.monotonic() - self._synced > SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """See to it that a power cut cannot take away what was appended."""
        if self._dirty:
            try:
                os.fsync(self._file)
            except OSError as error:
                raise self._cannot_write(error) from None
            self._dirty = False
        self._synced = time.monotonic()

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the order of the listing, one in memory at a time."""
        with self.path.open('rb') as file:
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
        if self._file >= 0:
            try:
                with suppress(ScoringError):  # rows are kept as far as the disk takes them
                    self.sync()
            finally:
                os.close(self._file)
                self._file = -1

    def remove(self) -> None:
        """Close it and take it away, once all that it holds is elsewhere."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _take_over(self, header: Mapping[str, Any]) -> int:
        """Read what is there, or begin; return where the next line goes."""
        ours = json.dumps(header, sort_keys=True, separators=(',', ':'))
        end = 0
        with self.path.open('rb') as file:
            first = file.readline()
            if first.endswith(b'\n'):
                there = _content(first)
                if there is None:
                    raise ScoringError(f'{self.path} is no journal of scoring; move it away.')
                _compare(self.path, json.loads(there), json.loads(ours))
                end = len(first)
                for line in file:
                    if not line.endswith(b'\n'):
                        break  # torn: it is done again
                    row = _row(line)
                    if row is not None and row.number < len(self._places):
                        self._note(row, end)
                    end += len(line)
        os.ftruncate(self._file, end)
        os.lseek(self._file, end, os.SEEK_SET)
        self._end = end
        if end == 0:
            self._append(_line(ours))
            self.sync()
            _sync_folder(self.path.parent)
        return self._end

    def _note(self, row: Row, place: int) -> None:
        if row.number in self:
            return
        self._places[row.number] = place
        self.done += 1
        self.failed += row.status == 'error'

    def _append(self, content: bytes) -> None:
        left = memoryview(content)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            with suppress(OSError):  # the half of a line would be dropped later as well
                os.ftruncate(self._file, self._end)
                os.lseek(self._file, self._end, os.SEEK_SET)
            raise self._cannot_write(error) from None
        self._end += len(content)
        self._dirty = True

    def _cannot_write(self, error: OSError) -> ScoringError:
        return ScoringError(
            f'{self.path} cannot be written: {error.strerror}. The {self.done} rows that are done '
            'are kept in it: make room and resume.'
        )

    def _lock(self) -> None:
        """Keep a second process from scoring into the same table."""
        try:
            if sys.platform == 'win32':
                import msvcrt

                os.lseek(self._file, 1 << 40, os.SEEK_SET)  # beyond whatever is read
                msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise ScoringError(
                f'Another process is scoring into {self.path}; wait for it, or stop it.'
            ) from None
        except OSError:  # a file system without locks
            return


def read_header(path: Path) -> dict[str, Any]:
    """Return what a journal says that its run is; nothing where there is none yet."""
    try:
        with path.open('rb') as file:
            there = _content(file.readline())
    except OSError:
        return {}
    found = json.loads(there) if there else {}
    return found if isinstance(found, dict) else {}


def _line(content: str) -> bytes:
    encoded = content.encode('ascii')  # json.dumps escapes all else
    return b'%08x %s\n' % (zlib.crc32(encoded), encoded)


def _content(line: bytes) -> str | None:
    """Return the JSON of a line; None where the line is not what was written."""
    encoded = line[9:-1]
    if line != b'%08x %s\n' % (zlib.crc32(encoded), encoded):
        return None
    return encoded.decode('ascii')


def _row(line: bytes) -> Row | None:
    content = _content(line)
    return None if content is None else Row.from_json(content)


#: What the entries of a header are, for a person.
_ENTRIES = {
    'model': 'another model',
    'model_hash': 'another model file',
    'preprocessing': 'another preprocessing',
    'lung_field': 'another version of the lung field',
    'listing': 'another list of files or labels',
    'total': 'another list of files or labels',
    'version': 'another version of napari-cxr',
    'batch': 'another batch size',
    'decision': 'another decision',
    'heatmaps': 'another choice of heatmaps',
    'identify': 'another choice of what identifies',
}


def _compare(path: Path, there: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    if there == ours:
        return
    odd = [name for name in ours if there.get(name) != ours[name]]
    said = list(dict.fromkeys(_ENTRIES.get(name, 'another form of the journal') for name in odd))
    name = next((n for n in ('model', 'version', 'batch') if n in odd), '')
    detail = f' ({there.get(name)} instead of {ours[name]})' if name else ''
    raise ScoringError(
        f'{path} was begun with {" and ".join(said or ["another form of the journal"])}{detail}: '
        'resume with what it was begun with, or choose another name for the table.'
    )


def _sync_folder(folder: Path) -> None:
    """See to it that a power cut cannot take away the name of a new file."""
    if hasattr(os, 'O_DIRECTORY'):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
