"""From what a file describes to a state dict: names and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cxr.checkpoint.foreign.allowed import CLASSES
from napari_cxr.checkpoint.foreign.arrays import Arrays
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError
from napari_cxr.checkpoint.foreign.values import Record, Tensor

__all__ = ['state_of']

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
    if isinstance(inside, Record):
        walk.module(inside, '', 0)
        return walk.tensors, _attributes(inside)
    if isinstance(inside, dict):
        for name, value in inside.items():
            if isinstance(value, Tensor) and isinstance(name, str):
                walk.tensor(name, value)
    return walk.tensors, {}


def _inside(found: object) -> object:
    """Return the network or the state dict in a checkpoint of training, where it is one."""
    if not isinstance(found, dict) or any(isinstance(v, Tensor) for v in found.values()):
        return found
    for key in _UNDER:
        if isinstance(found.get(key), dict | Record):
            return found[key]
    return found


class _Walk:
    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._left = _MOST
        self.tensors: dict[str, np.ndarray] = {}

    def tensor(self, name: str, tensor: Tensor) -> None:
        """Keep one tensor."""
        self._count(name)
        self.tensors[name] = self._arrays.array(tensor)

    def module(self, record: Record, prefix: str, depth: int) -> None:
        """Keep the tensors of a module and of those in it."""
        self._count(prefix)
        if record.kind not in CLASSES or depth > _DEEPEST:
            raise ForeignFileError('It is damaged: its modules lie in each other without end.')
        state = record.state
        temporary = _names(state.get('_non_persistent_buffers_set'))
        for name, value in self._entries(state, '_parameters'):
            if isinstance(value, Tensor):
                self.tensor(prefix + name, value)
        for name, value in self._entries(state, '_buffers'):
            if isinstance(value, Tensor) and name not in temporary:
                self.tensor(prefix + name, value)
        for name, value in self._entries(state, '_modules'):
            if isinstance(value, Record):
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


def _attributes(record: Record) -> dict[str, Any]:
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
