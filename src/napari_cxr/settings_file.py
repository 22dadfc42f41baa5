"""The one way in which small files that somebody else may have written are read.

Settings, recipes, journals, tables of labels, and what stands beside runs and models: each may
be a pipe that never ends, a device, a link in a circle, or text that is nested so deeply that a
parser gives up. Here each of them costs its reader one sentence. What goes wrong with the file
is an OSError whose ``strerror`` says why, and what is wrong in it a ValueError, so that whoever
reads a file handles both as ever.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = [
    'LARGEST_RESULT',
    'LARGEST_SETTINGS',
    'LARGEST_TABLE',
    'open_regular',
    'parse_json',
    'parse_toml',
    'read_bounded',
    'read_settings',
    'read_toml',
]

#: Bytes of a file of settings; a real one has a few thousand.
LARGEST_SETTINGS = 4 << 20

#: Bytes of the metrics of a run, which grow with its classes, sources and folds.
LARGEST_RESULT = 64 << 20

#: Bytes of a table of images, labels or metrics: a few million rows.
LARGEST_TABLE = 1 << 30

#: Levels of tables and lists in one another; a real file has fewer than ten.
_DEEPEST = 64

_NEVER_WAIT = getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_CLOEXEC', 0)

_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, 'it is a folder, not a file'),
    (stat.S_ISFIFO, errno.EINVAL, 'it is a named pipe, not a file'),
    (stat.S_ISSOCK, errno.EINVAL, 'it is a socket, not a file'),
    (stat.S_ISCHR, errno.EINVAL, 'it is a device, not a file'),
    (stat.S_ISBLK, errno.EINVAL, 'it is a device, not a file'),
)


def open_regular(path: str | Path, largest: int = 0) -> io.BufferedReader:
    """Open a file for reading, without ever waiting for one that is not a regular file.

    Parameters
    ----------
    path : str or Path
        The file; links are followed.
    largest : int
        Bytes that it may have; 0 for any number.

    Raises
    ------
    OSError
        If it cannot be opened, is a folder, a pipe or a device, or is larger;
        ``strerror`` is why, as half a sentence.
    """
    path = os.fspath(path)
    try:
        _refuse_others(os.stat(path), path, largest)  # opening a device may do something to it
        handle = os.open(path, os.O_RDONLY | getattr(os, 'O_BINARY', 0) | _NEVER_WAIT)
    except ValueError:  # a name with a null character
        raise OSError(errno.EINVAL, 'its name is not a possible name of a file', path) from None
    except OSError as error:
        raise _plain(error, path) from None
    try:
        _refuse_others(os.fstat(handle), path, largest)  # it may be another one by now
        return os.fdopen(handle, 'rb')
    except BaseException:
        os.close(handle)
        raise


def read_bounded(path: str | Path, largest: int = LARGEST_SETTINGS) -> bytes:
    """Return the bytes of a regular file.

    Raises
    ------
    OSError
        As `open_regular`; also if it grows beyond `largest` meanwhile.
    """
    with open_regular(path, largest) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise _too_large(path, largest)
    return content


def read_settings(path: str | Path, largest: int = LARGEST_SETTINGS) -> str:
    """Return the text of a regular file in UTF-8.

    Raises
    ------
    OSError
        As `read_bounded`.
    ValueError
        If it is not text in UTF-8.
    """
    try:
        text = read_bounded(path, largest).decode('utf-8')
    except UnicodeDecodeError:
        raise ValueError('it is not text in UTF-8') from None
    return text.replace('\r\n', '\n')


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return the entries of a TOML file; raises OSError or ValueError, as the parts do."""
    return parse_toml(read_settings(path))


#: A key of many parts, which takes a parser the square of their number.
_LONG_KEY = re.compile(
    r'(?<![\w-])(?:[\w-]++|"[^"\n]*+"|\'[^\'\n]*+\')'
    rf'(?:[ \t]*+\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|\'[^\'\n]*+\')){{{_DEEPEST}}}'
)


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises
    ------
    ValueError
        If it is not TOML, or tables or lists are nested too deeply.
    """
    if len(text) > LARGEST_SETTINGS:
        raise ValueError('it is far longer than settings are')
    if _LONG_KEY.search(text):
        raise ValueError(f'it holds a key of more than {_DEEPEST} parts')
    try:
        found = tomllib.loads(text)
    except RecursionError:
        raise _too_deep() from None
    _refuse_depth(found)
    return found


def parse_json(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Read JSON.

    Parameters
    ----------
    text : str or bytes
        The JSON.
    parse_constant : callable, optional
        As of `json.loads`: makes NaN and infinities, or refuses them.

    Raises
    ------
    ValueError
        If it is not JSON, or tables or lists are nested too deeply.
    """
    try:
        found = json.loads(text, parse_constant=parse_constant)
    except RecursionError:
        raise _too_deep() from None
    if _could_be_deep(text):
        _refuse_depth(found)
    return found


def _could_be_deep(text: str | bytes) -> bool:
    """Return whether there are brackets enough for it; most texts have a few only."""
    if isinstance(text, str):
        return text.count('[') + text.count('{') > _DEEPEST
    return text.count(b'[') + text.count(b'{') > _DEEPEST or b'\0' in text[:4]


def _refuse_depth(found: Any) -> None:
    """Refuse what is nested so deeply that code which walks through it might give up."""
    level = [found]
    for _ in range(_DEEPEST + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError('its tables or lists are nested too deeply')


def _refuse_others(found: os.stat_result, path: str, largest: int) -> None:
    for is_kind, number, why in _KINDS:
        if is_kind(found.st_mode):
            raise OSError(number, why, path)
    if largest and found.st_size > largest:
        raise _too_large(path, largest)


def _too_large(path: str | Path, largest: int) -> OSError:
    size = f'{largest >> 20} MB' if largest >= 1 << 20 else f'{largest:,} bytes'
    return OSError(errno.EFBIG, f'it is larger than {size}', os.fspath(path))


def _plain(error: OSError, path: str) -> OSError:
    """Return an error of the same kind whose reason a person understands."""
    reasons = {errno.ELOOP: 'its links lead in a circle'}
    if error.errno == errno.ENOENT and os.path.islink(path):
        reasons[errno.ENOENT] = 'it is a link to a file that is not there'
    return OSError(error.errno, reasons.get(error.errno or 0, error.strerror or str(error)), path)
