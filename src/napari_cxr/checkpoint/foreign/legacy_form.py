"""torch's form before 1.6: pickles one after the other, and then the storages."""

from __future__ import annotations

import sys
from typing import Any

from napari_cxr.checkpoint.foreign.arrays import Arrays, item_size, storage_of
from napari_cxr.checkpoint.foreign.machine import Machine
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError, shortened
from napari_cxr.checkpoint.foreign.values import Name, Storage

__all__ = ['read_legacy']

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_MOST_STORAGES = 100_000


def read_legacy(data: memoryview) -> tuple[Any, Arrays]:
    """Return what the main pickle of a file describes, and what makes arrays of its storages."""
    sizes: dict[str, int] = {}

    def outside(identity: object) -> object:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == 'module':
            # The class of a network, with its source, at which nobody looks.
            if not isinstance(identity[1], Name):
                raise ForeignFileError('It is damaged: a class of it is none.')
            return identity[1]
        storage = storage_of(identity)
        sizes[storage.key] = item_size(storage.kind)
        return storage

    at, parts = 0, []
    for number in range(5):
        machine = Machine(data, at, outside if number == 3 else _nothing_outside)
        parts.append(machine.read())
        at = machine.end
        if number == 0 and parts[0] != _MAGIC:
            raise ForeignFileError('It is a pickle, but not one of torch, so it holds no weights.')
        if number == 1 and parts[1] != _VERSION:
            raise ForeignFileError('It is of a version of torch that is not known.')
    _, _, system, found, keys = parts
    if sys.byteorder != 'little' or _of(system, 'little_endian') is not True:
        raise ForeignFileError('It was written on a machine with another order of bytes.')
    return found, Arrays(_found_in(data, at, keys, sizes), len(data))


def _nothing_outside(identity: object) -> Storage:
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
