"""The file of the store of decoded images: its tables, and opening it safely."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ['bytes_of', 'in_memory', 'is_damaged', 'opened', 'transaction']

_TABLES = """
    CREATE TABLE IF NOT EXISTS files (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS entries
        (key BLOB PRIMARY KEY, used INTEGER, bytes INTEGER, about BLOB) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS images (key BLOB PRIMARY KEY, image BLOB);
"""
_BUSY = 60.0  # seconds to wait for another run that is writing
#: What SQLite says of a file that is no database, is damaged, or has other tables.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
#: What it says where the file was removed while it was open.
_GONE = sqlite3.SQLITE_READONLY_DBMOVED
#: Transactions are opened by hand; reading threads take turns at one connection.
_OPTIONS: dict[str, Any] = {
    'timeout': _BUSY,
    'isolation_level': None,
    'check_same_thread': False,
}


def opened(path: Path) -> sqlite3.Connection:
    """Open the file of a store, or make it; two runs may do so at once.

    Raises
    ------
    sqlite3.Error
        If it is damaged (see `is_damaged`), or can be neither read nor made.
    """
    connection = sqlite3.connect(path, **_OPTIONS)
    try:
        # Both only matter for a new file: large pages for large rows, and room given back.
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


def in_memory() -> sqlite3.Connection:
    """Return a store of the same tables that ends with the program."""
    connection = sqlite3.connect(':memory:', **_OPTIONS)
    connection.executescript(_TABLES)
    return connection


def _set_journal(connection: sqlite3.Connection) -> None:
    # Two runs that make the file at once are refused here without being made to wait.
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
    """Do all that is done within, or nothing of it."""
    connection.execute('BEGIN IMMEDIATE')
    try:
        yield
        connection.execute('COMMIT')
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute('ROLLBACK')
        raise


def bytes_of(connection: sqlite3.Connection) -> int:
    """Return how much of the file is in use."""

    def number(name: str) -> int:
        return int(connection.execute(f'PRAGMA {name}').fetchone()[0])

    return (number('page_count') - number('freelist_count')) * number('page_size')


def is_damaged(error: Exception) -> bool:
    """Tell whether an error means that the file must be opened, or made, anew."""
    code = getattr(error, 'sqlite_errorcode', -1)
    return code == _GONE or code & 0xFF in _DAMAGED
