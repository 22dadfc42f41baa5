"""The state of a network in a file of torch or safetensors, as arrays; needs no torch.

torch writes two formats: since 1.6 a zip archive, whose entries are stored uncompressed, with a
pickle and one entry for each storage; before that pickles one after the other, and then the
storages. Both hold a pickle that Python would run; here `PickleMachine` reads it. Arrays are
views of the mapped file, so what is described but not used costs nothing.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from napari_cxr.checkpoint.foreign.pickle_contents import (
    CLASSES,
    Arrays,
    ForeignFileError,
    PickledName,
    PickledObject,
    PickledStorage,
    PickledTensor,
    item_size,
    shortened,
    storage_of,
)
from napari_cxr.checkpoint.foreign.pickle_machine import LARGEST_PICKLE, PickleMachine
from napari_cxr.settings_file import open_regular

__all__ = [
    'LARGEST_FILE',
    'ForeignState',
    'is_safetensors',
    'read_legacy',
    'read_safetensors',
    'read_state',
    'read_zip',
    'state_of',
]

_MAGIC = 0x1950A86A20F9469CFC6C

_VERSION = 1001

_MOST_STORAGES = 100_000


def read_legacy(data: memoryview) -> tuple[Any, Arrays]:
    """Return what the main pickle of a file describes, and what makes arrays of its storages."""
    sizes: dict[str, int] = {}

    def outside(identity: object) -> object:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == 'module':
            # The class of a network, with its source, at which nobody looks.
            if not isinstance(identity[1], PickledName):
                raise ForeignFileError('It is damaged: one of its classes is not valid.')
            return identity[1]
        storage = storage_of(identity)
        sizes[storage.key] = item_size(storage.kind)
        return storage

    at, parts = 0, []
    for number in range(5):
        machine = PickleMachine(data, at, outside if number == 3 else _nothing_outside)
        parts.append(machine.read())
        at = machine.end
        if number == 0 and parts[0] != _MAGIC:
            raise ForeignFileError(
                'It is a pickle that torch did not write, so it holds no weights.'
            )
        if number == 1 and parts[1] != _VERSION:
            raise ForeignFileError('It was written by an unknown version of torch.')
    _, _, system, found, keys = parts
    if sys.byteorder != 'little' or _of(system, 'little_endian') is not True:
        raise ForeignFileError('It was written on a machine with a different byte order.')
    return found, Arrays(_found_in(data, at, keys, sizes), len(data))


def _nothing_outside(identity: object) -> PickledStorage:
    raise ForeignFileError('It is damaged: it refers to a storage where there is none.')


def _of(table: object, key: str) -> object:
    return table.get(key) if isinstance(table, dict) else None


def _found_in(data: memoryview, at: int, keys: object, sizes: dict[str, int]) -> Any:
    """Find the storages: of each the number of its items in eight bytes, then the items."""
    if not isinstance(keys, list) or len(keys) > _MOST_STORAGES:
        raise ForeignFileError('It is damaged: its storages have no names.')
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        # What no tensor refers to has no known size, so the next could not be found.
        if not isinstance(key, str) or key not in sizes or key in places:
            raise ForeignFileError('It is damaged: its storages are not those of its tensors.')
        count = int.from_bytes(data[at : at + 8], 'little')
        start, length = at + 8, count * sizes[key]
        if start + length > len(data):
            raise ForeignFileError('It is cut off: a storage is shorter than it should be.')
        places[key] = (start, length)
        at = start + length

    def bytes_of(key: str) -> memoryview:
        if key not in places:
            raise ForeignFileError(f'It lacks the storage {shortened(key)!r}.')
        start, length = places[key]
        return data[start : start + length]

    return bytes_of


#: Bytes of the archive's list of entries: some thirty thousand of them.
_LONGEST_LIST = 4 << 20

_TAIL = 65_557  # the last record with the longest comment

_DAMAGED = 'The archive is cut off or damaged.'


def read_zip(path: Path, data: memoryview) -> tuple[Any, Arrays]:
    """Return what the pickle of an archive describes, and what makes arrays of its storages.

    Nothing is unpacked: an archive with a compressed entry is not one of torch's.
    """
    _check_list(data)
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError):
        raise ForeignFileError(_DAMAGED) from None
    entries = {info.filename: info for info in listed}
    if len(entries) < len(listed):
        raise ForeignFileError('This is not a torch archive: it has a name twice.')
    tables = [name for name in entries if name == 'data.pkl' or name.endswith('/data.pkl')]
    if len(tables) != 1:
        raise ForeignFileError('This is not an archive of weights: it has no single data.pkl.')
    root = tables[0].removesuffix('data.pkl')
    order = entries.get(f'{root}byteorder')
    if order is not None and bytes(_content(data, order)) != b'little':
        raise ForeignFileError('It was written on a machine with a different byte order.')
    if sys.byteorder != 'little':
        raise ForeignFileError('The byte order of this machine differs from that of the file.')
    if entries[tables[0]].file_size > LARGEST_PICKLE:
        raise ForeignFileError('Its table of contents is unreasonably large.')
    found = PickleMachine(_content(data, entries[tables[0]]), 0, storage_of).read()

    contents: dict[str, memoryview] = {}
    left = len(data)

    def bytes_of(key: str) -> memoryview:
        nonlocal left
        if key not in contents:
            info = entries.get(f'{root}data/{key}')
            if info is None:
                raise ForeignFileError(f'The archive lacks the storage {shortened(key)!r}.')
            left -= info.file_size
            if left < 0:  # each would be checked anew
                raise ForeignFileError('This is not a torch archive: its entries overlap.')
            contents[key] = _content(data, info)
        return contents[key]

    return found, Arrays(bytes_of, len(data))


def _check_list(data: memoryview) -> None:
    """Refuse an archive whose list of entries would take much memory to read."""
    tail = bytes(data[-_TAIL:])
    at = tail.rfind(b'PK\x05\x06')
    if at < 0 or len(tail) - at < 22:
        raise ForeignFileError(_DAMAGED)
    (size,) = struct.unpack_from('<I', tail, at + 12)
    larger = tail.rfind(b'PK\x06\x06')  # the record for archives above 4 GB, which torch writes
    if larger >= 0 and len(tail) - larger >= 56:
        size = max(
            size if size != 0xFFFFFFFF else 0, struct.unpack_from('<Q', tail, larger + 40)[0]
        )
    if size > _LONGEST_LIST:
        raise ForeignFileError('The archive has unreasonably many entries.')


def _content(data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of an entry, checked against its checksum."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1:
        raise ForeignFileError('This is not a torch archive: an entry is compressed.')
    head = bytes(data[info.header_offset : info.header_offset + 30])
    if len(head) < 30 or head[:4] != b'PK\x03\x04':
        raise ForeignFileError(_DAMAGED)
    name, extra = struct.unpack_from('<HH', head, 26)
    start = info.header_offset + 30 + name + extra
    content = data[start : start + info.file_size]
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise ForeignFileError(_DAMAGED)
    return content


_LONGEST_HEADER = 16 << 20

#: As numpy knows them; bfloat16 is read below.
_TYPES = {'F64': '<f8', 'F32': '<f4', 'F16': '<f2', 'I64': '<i8', 'I32': '<i4', 'U8': '<u1'}


def is_safetensors(data: memoryview) -> bool:
    """Return whether a file begins as one of safetensors: a length, and JSON of that length."""
    length = int.from_bytes(data[:8], 'little')
    return length <= min(len(data) - 8, _LONGEST_HEADER) and bytes(data[8:9]) == b'{'


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file; raises ForeignFileError where it is damaged."""
    found: dict[str, np.ndarray] = {}
    try:
        with safe_open(path, framework='numpy') as opened:
            places = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            for name, place in places.items():
                kind = place.get_dtype()
                if kind in _TYPES:
                    found[name] = opened.get_tensor(name)
                elif kind != 'BF16':
                    raise ForeignFileError(f'It holds a tensor of type {kind}, not of weights.')
            lacking = [name for name in places if name not in found]
        if lacking:
            found |= _halves(path, lacking)
    except (SafetensorError, OSError):
        raise ForeignFileError('It is cut off or damaged.') from None
    if not found:
        raise ForeignFileError('There are no weights in it.')
    return found


def _halves(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Return tensors of bfloat16, which numpy does not know, in single precision."""
    with safe_open(path, framework='pt') as opened:
        return {name: opened.get_tensor(name).float().numpy() for name in names}


_DEEPEST = 24

_MOST = 50_000  # modules and tensors

_LONGEST_NAME = 1000  # of a tensor, with all modules around it

_MOST_TEMPORARY = 1000  # buffers of one module that are not kept

_MOST_ITEMS = 2000  # of a list among the attributes

#: Under these, checkpoints of training keep a state dict.
_UNDER = ('state_dict', 'model_state_dict', 'model', 'net', 'network')


def state_of(found: object, arrays: Arrays) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors in what a file describes, by name, and a network's own attributes.

    Parameters
    ----------
    found : Record, dict
        A whole network, a state dict, or a checkpoint that holds one of them.
    arrays : Arrays
        Makes arrays of tensors.

    Raises
    ------
    ForeignFileError
        If there are no weights, or unreasonably many.
    """
    walk = _Walk(arrays)
    inside = _inside(found)
    if isinstance(inside, PickledObject):
        walk.module(inside, '', 0)
        return walk.tensors, _attributes(inside)
    if isinstance(inside, dict):
        for name, value in inside.items():
            if isinstance(value, PickledTensor) and isinstance(name, str):
                walk.tensor(name, value)
    return walk.tensors, {}


def _inside(found: object) -> object:
    """Return the network or the state dict in a checkpoint of training, where it is one."""
    if not isinstance(found, dict) or any(isinstance(v, PickledTensor) for v in found.values()):
        return found
    for key in _UNDER:
        if isinstance(found.get(key), dict | PickledObject):
            return found[key]
    return found


class _Walk:
    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._left = _MOST
        self.tensors: dict[str, np.ndarray] = {}

    def tensor(self, name: str, tensor: PickledTensor) -> None:
        """Keep one tensor."""
        self._count(name)
        self.tensors[name] = self._arrays.array(tensor)

    def module(self, record: PickledObject, prefix: str, depth: int) -> None:
        """Keep the tensors of a module and of those in it."""
        self._count(prefix)
        if record.kind not in CLASSES or depth > _DEEPEST:
            raise ForeignFileError('It is damaged: its modules are nested endlessly.')
        state = record.state
        temporary = _names(state.get('_non_persistent_buffers_set'))
        for name, value in self._entries(state, '_parameters'):
            if isinstance(value, PickledTensor):
                self.tensor(prefix + name, value)
        for name, value in self._entries(state, '_buffers'):
            if isinstance(value, PickledTensor) and name not in temporary:
                self.tensor(prefix + name, value)
        for name, value in self._entries(state, '_modules'):
            if isinstance(value, PickledObject):
                self.module(value, f'{prefix}{name}.', depth + 1)

    def _entries(self, state: dict[str, Any], place: str) -> list[tuple[str, Any]]:
        entries = state.get(place)
        if not isinstance(entries, dict):
            return []
        self._left -= len(entries)
        return [(name, value) for name, value in entries.items() if isinstance(name, str)]

    def _count(self, name: str) -> None:
        self._left -= 1
        if self._left < 0 or len(name) > _LONGEST_NAME:
            raise ForeignFileError('It describes unreasonably many weights.')


def _names(found: object) -> frozenset[str]:
    if not isinstance(found, list) or len(found) > _MOST_TEMPORARY:
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str))


def _attributes(record: PickledObject) -> dict[str, Any]:
    """Return the texts, numbers and lists of them in a network's state."""
    return {
        name: value
        for name, value in record.state.items()
        if not name.startswith('_') and _is_plain(value)
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _MOST_ITEMS and all(
            v is None or isinstance(v, str | bool | int | float) for v in value
        )
    return value is None or isinstance(value, str | bool | int | float)


#: Bytes. The largest network that can be cut into stages here has about 1.4 GB.
LARGEST_FILE = 2 << 30


@dataclass(frozen=True, eq=False)
class ForeignState:
    """What a file says of a network.

    Parameters
    ----------
    tensors : dict of str to ndarray
        By name. Views of the file, of the type that they are stored in; bfloat16 as float32.
    attributes : dict
        Texts, numbers and lists of them that the network itself carries, where the file
        holds a whole network; such as the names of its labels.
    form : {'zip', 'legacy', 'safetensors'}
        How the file is written.
    """

    tensors: dict[str, np.ndarray]
    attributes: dict[str, Any] = field(default_factory=dict)
    form: str = ''


def read_state(path: str | Path) -> ForeignState:
    """Read the weights in a file that another program wrote, and run nothing of it.

    Parameters
    ----------
    path : str or Path
        A state dict, a whole network or a Lightning checkpoint that torch saved, in either
        of its forms; or a safetensors file.

    Raises
    ------
    ForeignFileError
        If it is none of these, asks for a name that is not on the list, is damaged, or is
        unreasonably large.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_FILE:
                raise ForeignFileError(
                    f'{path.name} has {size / 1e9:.1f} GB, more than the weights of a network '
                    'need; it was not opened.'
                )
            if size < 16:
                raise ForeignFileError(f'{path.name} is too small to hold weights.')
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ForeignFileError(f'{path.name} cannot be read: {error.strerror}.') from error
    data = memoryview(mapped)  # lives as long as the arrays do
    try:
        return _read(path, data)
    except ForeignFileError as error:
        raise ForeignFileError(f'{path.name} was not read. {error}') from None


def _read(path: Path, data: memoryview) -> ForeignState:
    start = bytes(data[:2])
    if start == b'PK':
        found, arrays, form = *read_zip(path, data), 'zip'
    elif start[:1] == b'\x80':
        found, arrays, form = *read_legacy(data), 'legacy'
    elif is_safetensors(data):
        return ForeignState(read_safetensors(path), form='safetensors')
    else:
        raise ForeignFileError(
            'It is neither a torch file (.pt, .pth, .ckpt) nor a safetensors file.'
        )
    tensors, attributes = state_of(found, arrays)
    if not tensors:
        raise ForeignFileError('There are no weights in it.')
    return ForeignState(tensors, attributes, form)
