"""A cache of decoded images on disk, shared by all runs of a user.

It is one SQLite file; losing it only costs time.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from napari_cxr import lungs
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.training.training_image import (
    TrainingImage,
    UnusableImage,
    image_from_json,
    image_to_json,
    sealed,
    unsealed,
)
from napari_cxr.user_cache import cache_folder

__all__ = [
    'ImageCache',
    'cache_key',
    'is_damaged',
    'open_cache_file',
    'open_in_memory',
    'transaction',
    'used_bytes',
]

_TABLES = """
    CREATE TABLE IF NOT EXISTS files (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS entries
        (key BLOB PRIMARY KEY, used INTEGER, bytes INTEGER, about BLOB) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS images (key BLOB PRIMARY KEY, image BLOB);
"""

_BUSY = 60.0  # seconds to wait for another run that is writing

#: SQLite's errors for a file that is not a database, is damaged, or has other tables.
_DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)

#: Its error for a file that was removed while it was open.
_MOVED_CODE = sqlite3.SQLITE_READONLY_DBMOVED

#: Transactions are opened explicitly; threads share one connection, one at a time.
_OPTIONS: dict[str, Any] = {
    'timeout': _BUSY,
    'isolation_level': None,
    'check_same_thread': False,
}


def open_cache_file(path: Path) -> sqlite3.Connection:
    """Open the cache file, or create it; two runs may do so at once.

    Raises
    ------
    sqlite3.Error
        If it is damaged (see `is_damaged`), or can be neither read nor created.
    """
    connection = sqlite3.connect(path, **_OPTIONS)
    try:
        # For a new file only: large pages for large rows, and free pages returned to the disk.
        connection.execute('PRAGMA page_size = 16384')
        connection.execute('PRAGMA auto_vacuum = INCREMENTAL')
        _set_journal(connection)
        connection.execute('PRAGMA synchronous = NORMAL')
        missing = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
        if missing.fetchone()[0] < 3:
            connection.executescript(f'BEGIN IMMEDIATE; {_TABLES} COMMIT;')
        connection.execute('SELECT key, used, bytes, about FROM entries LIMIT 1').fetchall()
        connection.execute('SELECT key, image FROM images LIMIT 1').fetchall()
        connection.execute('SELECT key, digest FROM files LIMIT 1').fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def open_in_memory() -> sqlite3.Connection:
    """Return a cache in memory with the same tables."""
    connection = sqlite3.connect(':memory:', **_OPTIONS)
    connection.executescript(_TABLES)
    return connection


def _set_journal(connection: sqlite3.Connection) -> None:
    # If two runs create the file at once, SQLite fails here without waiting.
    deadline = time.monotonic() + _BUSY
    while True:
        try:
            connection.execute('PRAGMA journal_mode = WAL').fetchall()
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit everything that is done within, or nothing."""
    connection.execute('BEGIN IMMEDIATE')
    try:
        yield
        connection.execute('COMMIT')
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute('ROLLBACK')
        raise


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the used size of the file."""

    def number(name: str) -> int:
        return int(connection.execute(f'PRAGMA {name}').fetchone()[0])

    return (number('page_count') - number('freelist_count')) * number('page_size')


def is_damaged(error: Exception) -> bool:
    """Return whether an error means that the file must be opened or created again."""
    code = getattr(error, 'sqlite_errorcode', -1)
    return code == _MOVED_CODE or code & 0xFF in _DAMAGE_CODES


T = TypeVar('T')

#: Increased whenever the same file and preprocessing give other pixels or features.
_FORM = 2

#: The name changes with the tables, so two versions of the program can share a folder.
_NAME = 'images-1.sqlite'

_LIMIT_GB = 20.0

_AT_ONCE = 500  # keys in one query

#: Entries marked as used within so many seconds are not marked again, which is a write.
_MARK_AFTER = 3600

#: A file that changed within so many seconds may change again with the same time stamp.
_FRESH = 2.0


def cache_key(digest: bytes, preprocessing: Preprocessing, bits: int) -> bytes:
    """Return the key of an image in the cache.

    Parameters
    ----------
    digest : bytes
        SHA-256 of the file.
    preprocessing : Preprocessing
        Only what changes the pixels counts; normalisation comes later.
    bits : {8, 16, 32}
        Bits of the image; 32 are floats, as the model sees them in use.
    """
    from napari_cxr.dicom.privacy import user_secret

    p = preprocessing
    shape: list[object] = [_FORM, p.height, p.width, p.fit, p.border, p.stretch, bits]
    if p.lungs != 'ignored':
        shape += [p.lungs, p.margin, lungs.lung_network_fingerprint()]
    form = json.dumps(shape)
    # Patients' pseudonyms depend on the secret, so two users share no entries.
    return hmac.new(user_secret(), digest + form.encode(), hashlib.sha256).digest()


class ImageCache:
    """Decoded images in one SQLite file, safe with concurrent runs and after a crash.

    It contains no path, file name or patient's name. Every row has a checksum under its own
    key, so a damaged one counts as missing. A damaged file is replaced by a new one; if the
    file cannot be written, new images are kept in memory. `problems` says so.

    Parameters
    ----------
    folder : Path, optional
        By default `napari_cxr.user_cache.cache_folder`.
    limit : int, optional
        Size in bytes above which `trim` removes the least recently used images; by default
        NAPARI_CXR_CACHE_GB, or 20 GB.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.problems: list[str] = []
        self._path = (folder or cache_folder()) / _NAME
        self._limit = self._limit_by_environment() if limit is None else limit
        self._lock = threading.RLock()
        self._disk: sqlite3.Connection | None = None
        self._spare: sqlite3.Connection | None = None
        self._started = int(time.time())
        with self._lock:
            self._open_disk()

    def close(self) -> None:
        """Close the file; images that are only in memory are lost."""
        with self._lock:
            for connection in (self._disk, self._spare):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            self._disk = self._spare = None

    def __del__(self) -> None:
        if hasattr(self, '_lock'):
            self.close()

    def digest_of(self, path: Path) -> bytes:
        """Return the SHA-256 of a file, from the cache if its size and time have not changed.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        from napari_cxr.dicom.privacy import user_secret

        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block
            raise OSError(errno.EINVAL, 'it is not a file')
        name = f'{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}'
        key = hmac.new(user_secret(), name.encode(errors='surrogateescape'), 'sha256').digest()
        for rows in self._ask('SELECT digest FROM files WHERE key = ?', (key,)):
            if (known := unsealed(key, rows[0])) is not None:
                return known
        with path.open('rb') as file:
            digest = hashlib.file_digest(file, 'sha256').digest()
        if time.time() - status.st_mtime > _FRESH:
            self._write('INSERT OR REPLACE INTO files VALUES (?, ?)', [(key, sealed(key, digest))])
        return digest

    def find(self, keys: Sequence[bytes]) -> dict[bytes, dict[str, Any] | UnusableImage]:
        """Return the metadata of images, without pixels, and mark them as used.

        Parameters
        ----------
        keys : sequence of bytes
            See `cache_key`.

        Returns
        -------
        dict
            Features, size, thumbnail and patient as in `TrainingImage`, or the reason why an
            image cannot be used. Missing images are left out.
        """
        found: dict[bytes, dict[str, Any] | UnusableImage] = {}
        marked = []
        for some in _parts(keys):
            holes = ', '.join('?' * len(some))
            for key, used, raw in self._ask(
                f'SELECT key, used, about FROM entries WHERE key IN ({holes})', some
            ):
                about = unsealed(key, raw)
                if about is None:
                    continue
                found[key] = image_from_json(about)
                if used < self._started - _MARK_AFTER:
                    marked.append((self._started, key))
        if marked:
            self._write('UPDATE entries SET used = ? WHERE key = ?', marked)
        return found

    def images(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the pixels of images, as bytes; missing images are left out."""
        found = {}
        for some in _parts(keys):
            holes = ', '.join('?' * len(some))
            rows = self._ask(f'SELECT key, image FROM images WHERE key IN ({holes})', some)
            for key, raw in rows:
                if (image := unsealed(key, raw)) is not None:
                    found[key] = image
        return found

    def put(self, entries: Mapping[bytes, TrainingImage | UnusableImage]) -> None:
        """Store images, or the reasons why they cannot be used; all of them or none."""
        about, images = [], []
        for key, entry in entries.items():
            text = image_to_json(entry)
            image = b'' if isinstance(entry, UnusableImage) else entry.image.tobytes()
            about.append((key, int(time.time()), len(image), sealed(key, text)))
            if image:
                images.append((key, sealed(key, image)))
        statements = (
            ('INSERT OR REPLACE INTO images VALUES (?, ?)', images),
            ('INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)', about),
        )
        self._write_all(statements)

    def trim(self) -> None:
        """Remove the least recently used images above the limit, but none of this run."""

        def remove(connection: sqlite3.Connection) -> None:
            excess = used_bytes(connection) - self._limit
            if excess <= 0:
                return
            rows = connection.execute(
                'SELECT key, bytes FROM entries WHERE used < ? ORDER BY used',
                (self._started - _MARK_AFTER,),
            )
            doomed = []
            for key, size in rows:
                if excess <= 0:
                    break
                doomed.append((key,))
                excess -= size
            with transaction(connection):
                for table in ('entries', 'images'):
                    connection.executemany(f'DELETE FROM {table} WHERE key = ?', doomed)
            connection.executescript('PRAGMA incremental_vacuum')  # one step for each page

        self._on_disk(remove)

    def _limit_by_environment(self) -> int:
        text = os.environ.get('NAPARI_CXR_CACHE_GB', '')
        try:
            gigabytes = float(text or _LIMIT_GB)
            if not gigabytes >= 0:
                raise ValueError
        except ValueError:
            self.problems.append(
                f'NAPARI_CXR_CACHE_GB is {text!r}, which is not a size in gigabytes; '
                f'{_LIMIT_GB:.0f} is used instead.'
            )
            gigabytes = _LIMIT_GB
        return int(min(gigabytes, 1e9) * 1e9)

    def _ask(self, question: str, values: Sequence[Any]) -> list[Any]:
        """Return the rows from disk, and from memory if it is used instead."""
        rows = self._on_disk(lambda c: c.execute(question, values).fetchall()) or []
        with self._lock:
            if self._spare is not None:
                rows += self._spare.execute(question, values).fetchall()
        return rows

    def _write(self, statement: str, rows: Sequence[Any]) -> None:
        self._write_all([(statement, rows)])

    def _write_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        def write(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                for statement, rows in statements:
                    connection.executemany(statement, rows)
            return True

        with self._lock:
            if self._spare is None and self._on_disk(write):
                return
            if self._spare is None:
                self._spare = open_in_memory()
            write(self._spare)

    def _on_disk(self, step: Callable[[sqlite3.Connection], T]) -> T | None:
        """Call a function with the file; return None if that fails, and add it to `problems`."""
        with self._lock:
            for trial in range(3):
                if self._disk is None:
                    return None
                try:
                    return step(self._disk)
                except sqlite3.Error as error:
                    # Another run may have replaced it already: open it again before removing it.
                    if is_damaged(error) and trial < 2:
                        self._reopen(remove=trial == 1)
                        continue
                    self._give_up(error)
            return None

    def _open_disk(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._disk = open_cache_file(self._path)
        except sqlite3.Error as error:
            if not is_damaged(error):
                self._give_up(error)
                return
            try:
                self._disk = open_cache_file(self._path)
            except sqlite3.Error:
                self._reopen(remove=True)
        except OSError as error:
            self._give_up(error)

    def _reopen(self, *, remove: bool) -> None:
        if self._disk is not None:
            with suppress(sqlite3.Error):
                self._disk.close()
            self._disk = None
        try:
            if remove:
                for ending in ('', '-wal', '-shm'):
                    self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
                self.problems.append(
                    'The cache of decoded images was damaged and has been replaced; '
                    'images are decoded again.'
                )
            self._disk = open_cache_file(self._path)
        except (OSError, sqlite3.Error) as error:
            if not (is_damaged(error) and not remove):
                self._give_up(error)
                return
            self._reopen(remove=True)

    def _give_up(self, error: Exception) -> None:
        """Continue in memory; a disk that is only full can still be read."""
        code = getattr(error, 'sqlite_errorcode', 0) & 0xFF
        if code not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY):
            self._disk = None
        reason = error.strerror if isinstance(error, OSError) else str(error)
        text = (
            f'The cache of decoded images in {self._path.parent} cannot be used ({reason}), so '
            'new images are kept in memory until the program ends; free some space, or '
            'set NAPARI_CXR_CACHE to another folder.'
        )
        if text not in self.problems:
            self.problems.append(text)


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield list(keys[start : start + _AT_ONCE])
