"""What crosses the border between two processes: JSON, with arrays in shared memory.

Nothing is pickled, so a worker that a malformed file has taken over can send
wrong numbers, but no code. Arrays travel as files in a directory that the
parent made for one worker, in memory where the system has such a place; the
receiver maps the file and removes its name, so nothing is copied twice.
"""

from __future__ import annotations

import base64
import importlib
import itertools
import json
import os
import shutil
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

__all__ = [
    'MODULES',
    'Channel',
    'SharedFolder',
    'is_message_type',
    'message_type',
    'type_name',
    'type_named',
]

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = 'napari-cxr-worker-'

#: Space that shared memory needs to be used at all; containers often have 64 MB, in bytes.
_LEAST_FREE = 1 << 30

#: A folder that is younger may be about to be locked, in seconds.
_YOUNG = 60.0


class SharedFolder:
    """A folder in memory, where there is space, for as long as this process wants it.

    Whoever ends last of a process and its worker removes it. Where both are killed at once,
    as by a batch system or for want of memory, images would stay in memory until the machine
    is started anew. So it is locked as long as its process lives, and the next process of
    the same person removes what nobody has locked.
    """

    def __init__(self) -> None:
        parent = _memory_directory() or tempfile.gettempdir()
        _remove_what_is_left(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = _locked(self.path)

    def remove(self) -> None:
        """Remove it, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@cache
def _remove_what_is_left(parent: str) -> None:
    """Remove folders of processes that are gone; once in a process."""
    if fcntl is None:
        return
    for folder in Path(parent).glob(f'{_PREFIX}*'):
        with suppress(OSError):
            at = folder.lstat()
            if at.st_uid != os.getuid() or time.time() - at.st_mtime < _YOUNG:
                continue
            lock = _locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _locked(folder: Path) -> int | None:
    """Return a lock on a folder, which ends with this process; None if there is none."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _memory_directory() -> str | None:
    """Return a directory that lives in memory, where the system has one with room."""
    shm = '/dev/shm'
    if not (os.path.isdir(shm) and os.access(shm, os.W_OK)):
        return None
    return shm if shutil.disk_usage(shm).free > _LEAST_FREE else None


_LENGTH = struct.Struct('<I')

_INLINE_BYTES = 16_384


class Channel:
    """One end of the line between a parent and its worker.

    Parameters
    ----------
    incoming, outgoing : binary file
        Pipes. Each message is its length in four bytes and that much JSON.
    shared : Path
        The directory for arrays, known to both ends.
    side : str
        A letter that keeps the two ends from using the same file name.
    """

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], shared: Path, side: str) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._shared = shared
        self._names = (f'{side}{n}.bin' for n in itertools.count())

    def send(self, message: Any) -> None:
        """Send one message.

        Raises
        ------
        EOFError
            If the other end has gone.
        OSError
            If there is no space for its arrays; nothing was sent then.
        TypeError
            If it holds what cannot be sent; nothing was sent then.
        """
        written: list[Path] = []
        try:
            body = json.dumps(self._pack(message, written), separators=(',', ':')).encode()
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        try:
            self._outgoing.write(_LENGTH.pack(len(body)) + body)
            self._outgoing.flush()
        except (OSError, ValueError) as error:
            raise EOFError('the other process has ended') from error

    def receive(self) -> Any:
        """Wait for one message; raises EOFError when the other end has gone."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return self._unpack(json.loads(self._read(length)))

    def _read(self, size: int) -> bytes:
        data = self._incoming.read(size)
        if len(data) < size:
            raise EOFError('the other process has ended')
        return data

    def _pack(self, value: Any, written: list[Path]) -> Any:
        if isinstance(value, Enum):
            return {'enum': type_name(value), 'value': value.value}
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        if isinstance(value, np.ndarray):
            return self._pack_array(value, written)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, tuple):
            return {'tuple': [self._pack(v, written) for v in value]}
        if isinstance(value, list):
            return [self._pack(v, written) for v in value]
        if isinstance(value, dict):
            return {'dict': [[k, self._pack(v, written)] for k, v in value.items()]}
        if is_dataclass(value) and is_message_type(value):
            entries = {f.name: self._pack(getattr(value, f.name), written) for f in fields(value)}
            return {'type': type_name(value), 'fields': entries}
        raise TypeError(f'{type(value).__name__} cannot be sent to another process')

    def _unpack(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._unpack(v) for v in value]
        if not isinstance(value, dict):
            return value
        if 'array' in value:
            return self._unpack_array(value)
        if 'tuple' in value:
            return tuple(self._unpack(v) for v in value['tuple'])
        if 'dict' in value:
            return {k: self._unpack(v) for k, v in value['dict']}
        if 'enum' in value:
            return type_named(value['enum'])(value['value'])
        return type_named(value['type'])(
            **{k: self._unpack(v) for k, v in value['fields'].items()}
        )

    def _pack_array(self, array: np.ndarray, written: list[Path]) -> dict[str, Any]:
        array = np.ascontiguousarray(array)
        entry: dict[str, Any] = {'array': array.dtype.str, 'shape': list(array.shape)}
        if array.nbytes <= _INLINE_BYTES:
            entry['bytes'] = base64.b64encode(array.tobytes()).decode('ascii')
        else:
            entry['file'] = next(self._names)
            written.append(self._shared / entry['file'])
            array.tofile(written[-1])
        return entry

    def _unpack_array(self, entry: dict[str, Any]) -> np.ndarray:
        dtype, shape = np.dtype(entry['array']), tuple(entry['shape'])
        if dtype.hasobject:
            raise TypeError('arrays of objects are not accepted')
        if 'bytes' in entry:
            data = bytearray(base64.b64decode(entry['bytes']))
            return np.frombuffer(data, dtype).reshape(shape)
        path = self._shared / Path(entry['file']).name
        # No link is followed: a decoder that a file has taken over must not show others.
        with open(os.open(path, os.O_RDONLY | getattr(os, 'O_NOFOLLOW', 0)), 'rb') as file:
            if os.name == 'nt':  # a mapped file cannot be removed there
                array = np.fromfile(file, dtype).reshape(shape)
            else:
                # Copy on write: the receiver may change it, and it ends with its last view.
                array = np.asarray(np.memmap(file, dtype, mode='c', shape=shape))
        path.unlink()
        return array


#: The modules that define such types.
MODULES = frozenset(
    {
        'napari_cxr.checkpoint.download',
        'napari_cxr.correction',
        'napari_cxr.decoding_memory',
        'napari_cxr.evaluation.audit_findings',
        'napari_cxr.evaluation.data_audit',
        'napari_cxr.evaluation.evaluation_events',
        'napari_cxr.evaluation.evaluation_table',
        'napari_cxr.evaluation.variable_audit',
        'napari_cxr.explain.feature_maps',
        'napari_cxr.explain.heatmap',
        'napari_cxr.explain.heatmap_checks',
        'napari_cxr.explain.heatmap_location',
        'napari_cxr.inference.prediction',
        'napari_cxr.lungs.lung_field',
        'napari_cxr.lungs.text_markers',
        'napari_cxr.radiograph',
        'napari_cxr.scoring.score_row',
        'napari_cxr.scoring.scoring_events',
        'napari_cxr.training.dataset_survey',
        'napari_cxr.training.training_events',
    }
)

_types: dict[str, type] = {}

C = TypeVar('C', bound=type)


def message_type(kind: C) -> C:
    """Let messages hold objects of a dataclass or an enumeration; a decorator.

    Above `dataclass`, which makes a new class where it adds slots.

    Raises
    ------
    ValueError
        If its module is not in `MODULES`: a process that has not imported the module would
        refuse the type.
    """
    if kind.__module__ not in MODULES:
        raise ValueError(f'{kind.__module__} is not listed in napari_cxr.messages.MODULES')
    _types[f'{kind.__module__}.{kind.__name__}'] = kind
    return kind


def type_name(value: object) -> str:
    """Return the name of an object's class in a message, with its module."""
    return f'{type(value).__module__}.{type(value).__name__}'


def is_message_type(value: object) -> bool:
    """Return whether messages may hold an object."""
    return type_name(value) in _types


def type_named(name: str) -> type:
    """Return the type that a message names.

    Parameters
    ----------
    name : str
        As `type_name` returns it, from a process that may not be trusted.

    Raises
    ------
    KeyError
        If there is no such type.
    """
    module = name.rpartition('.')[0]
    if name not in _types and module in MODULES:
        importlib.import_module(module)
    return _types[name]
