"""What crosses the border between two processes: JSON, with arrays in shared memory.

Nothing is pickled, so a worker that a malformed file has taken over can send
wrong numbers, but no code. Arrays travel as files in a directory that the
parent made for one worker, in memory where the system has such a place; the
receiver maps the file and removes its name, so nothing is copied twice.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import struct
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_cxr import scoring
from napari_cxr.checkpoint import downloading
from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.inference.prediction import Caution, Prediction
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import (
    Geometry,
    LookupTable,
    Overlay,
    Provenance,
    Radiograph,
    SpacingSource,
    View,
    Window,
)
from napari_cxr.scoring.row import Run
from napari_cxr.training import events
from napari_cxr.training.survey import Pair, Survey

__all__ = ['Channel']

#: The only classes that a message may hold; a name that is not here is refused.
_TYPES: dict[str, type] = {
    f'{kind.__module__}.{kind.__name__}': kind
    for kind in (
        Caution,
        FeatureMaps,
        Geometry,
        Heatmap,
        LookupTable,
        LungField,
        Overlay,
        Prediction,
        Provenance,
        Radiograph,
        SpacingSource,
        View,
        Window,
        events.BatchDone,
        events.EpochDone,
        events.Finished,
        events.Reading,
        events.RunsDone,
        events.Skipped,
        events.Started,
        events.Warned,
        downloading.Progress,
        Pair,
        Survey,
        Run,
        scoring.Finished,
        scoring.Measured,
        scoring.Preparing,
        scoring.Progress,
        scoring.Row,
        scoring.Scored,
        scoring.Started,
        scoring.Warned,
    )
}
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
            If there is no room for its arrays; nothing was sent then.
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
            return {'enum': _name(value), 'value': value.value}
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
        if is_dataclass(value) and _name(value) in _TYPES:
            entries = {f.name: self._pack(getattr(value, f.name), written) for f in fields(value)}
            return {'type': _name(value), 'fields': entries}
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
            return _TYPES[value['enum']](value['value'])
        return _TYPES[value['type']](**{k: self._unpack(v) for k, v in value['fields'].items()})

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


def _name(value: Any) -> str:
    """Return what a class is called in a message; several rooms have a `Started`."""
    return f'{type(value).__module__}.{type(value).__name__}'
