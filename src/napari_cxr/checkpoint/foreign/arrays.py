"""From descriptions of tensors to views of the file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cxr.checkpoint.foreign.allowed import STORAGES
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError
from napari_cxr.checkpoint.foreign.values import Name, Storage, Tensor

__all__ = ['Arrays', 'item_size', 'storage_of']

_MOST_ITEMS = 1 << 31


def item_size(kind: str) -> int:
    """Return the bytes of one number of a type of `STORAGES`."""
    return 2 if kind == 'bfloat16' else np.dtype(kind).itemsize


def storage_of(identity: object) -> Storage:
    """Return the storage that a persistent identification of torch means.

    Parameters
    ----------
    identity : tuple
        ('storage', type, key, place, count), and in old files a view: (key, start, count).
    """
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != 'storage':
        raise ForeignFileError('It is damaged: it refers to something that is no storage.')
    _, kind, key, _, count, *view = identity
    if (
        not isinstance(kind, Name)
        or kind.text not in STORAGES
        or not isinstance(key, str)
        or type(count) is not int
        or not 0 <= count < _MOST_ITEMS
    ):
        raise ForeignFileError('It is damaged: it refers to something that is no storage.')
    start = 0
    if view and view[0] is not None:
        if not isinstance(view[0], tuple) or len(view[0]) != 3:
            raise ForeignFileError('It is damaged: a storage is no part of another.')
        _, start, part = view[0]
        if not all(type(n) is int and n >= 0 for n in (start, part)) or start + part > count:
            raise ForeignFileError('It is damaged: a storage is no part of another.')
        count = part
    return Storage(key, STORAGES[kind.text], start, count)


class Arrays:
    """Makes arrays of tensors.

    Parameters
    ----------
    bytes_of : callable
        Returns the bytes of all numbers of a key; raises ForeignFileError if there are none.
    most : int
        Numbers that may be converted, which takes memory: as many as the file has bytes.
    """

    def __init__(self, bytes_of: Callable[[str], memoryview], most: int) -> None:
        self._bytes_of = bytes_of
        self._left = most

    def array(self, tensor: Tensor) -> np.ndarray:
        """Return a tensor as a view of the file that cannot be written to.

        Raises
        ------
        ForeignFileError
            If it reaches beyond its storage, or stands for more numbers than that has.
        """
        storage, kind = tensor.storage, tensor.storage.kind
        size = item_size(kind)
        data = self._bytes_of(storage.key)
        if (storage.start + storage.count) * size > len(data):
            raise ForeignFileError('It is cut off: a storage is shorter than it should be.')
        items = 1
        for length in tensor.size:
            items *= length
        reach = tensor.offset + sum(
            (length - 1) * step for length, step in zip(tensor.size, tensor.stride, strict=True)
        )
        # A stride of 0 would repeat few numbers as often as a file likes.
        if items > storage.count or (items and reach >= storage.count):
            raise ForeignFileError('It is damaged: a tensor reaches beyond its storage.')
        stored = '<u2' if kind == 'bfloat16' else kind
        start = storage.start * size
        numbers = np.frombuffer(data[start : start + storage.count * size], stored)
        if not items:
            return np.empty((0,), '<f4' if kind == 'bfloat16' else stored)
        view = np.lib.stride_tricks.as_strided(
            numbers[tensor.offset :],
            tensor.size,
            tuple(step * size for step in tensor.stride),
            writeable=False,
        )
        if kind == 'bfloat16':
            self._left -= items
            if self._left < 0:
                raise ForeignFileError('It describes more weights than it holds.')
            return (view.astype('<u4') << 16).view('<f4')
        return view
