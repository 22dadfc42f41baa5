"""The user's cache folder: what took seconds to make, kept for the next time.

Losing it costs time, nothing else: a file that is damaged counts as absent, and a folder that
cannot be written to is no error.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.output_text import get_logger
from napari_cxr.settings_file import read_bounded

__all__ = ['FileCache', 'cache_folder']

log = get_logger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """Return the folder: NAPARI_CXR_CACHE, or the system's cache folder of this user."""
    if named := os.environ.get('NAPARI_CXR_CACHE'):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path('napari-cxr', appauthor=False)


class FileCache:
    """Byte strings by key, each in a file of its own, with a limit to their size in all.

    Several processes may use it at once. Where room is needed, what was used least recently
    is removed first.

    Parameters
    ----------
    name : str
        Name of its folder inside `cache_folder`.
    limit : int
        Bytes that all its files may have.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name, self._limit = name, limit

    def get(self, key: str) -> bytes | None:
        """Return what was kept under a key; None if there is nothing, or it is damaged."""
        path = self._path(key)
        try:
            content = read_bounded(path, self._limit)
        except OSError:
            return None
        digest, value = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(value).digest() != digest:
            log.info('%s is damaged and is made again', path)
            return None
        with suppress(OSError):
            os.utime(path)  # the time of its last use
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep something, unless it is too large or the folder cannot be written to."""
        size = _DIGEST_BYTES + len(value)
        if size > self._limit:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(size, path)
            write_atomic(path, hashlib.sha256(value).digest() + value)
        except OSError as error:
            log.info('%s cannot be written: %s', path, error.strerror)

    def remove(self, key: str) -> None:
        """Forget what was kept under a key."""
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return cache_folder() / self._name / hashlib.sha256(key.encode()).hexdigest()

    def _make_room(self, size: int, path: Path) -> None:
        """Remove the files that were used least recently until so many bytes fit."""
        others = []
        for other in path.parent.iterdir():
            with suppress(OSError):  # another process may have removed it
                found = other.stat()
                if other != path:
                    others.append((found.st_mtime_ns, found.st_size, other))
        total = size + sum(bytes_ for _, bytes_, _ in others)
        for _, bytes_, other in sorted(others):
            if total <= self._limit:
                return
            with suppress(OSError):
                other.unlink()
                total -= bytes_
