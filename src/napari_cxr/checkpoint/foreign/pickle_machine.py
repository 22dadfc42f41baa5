"""A reader of pickles that builds descriptions and calls nothing that they name.

Python's own unpickler imports and calls; this one has only the operations that weights need,
and works on names, tables and lists of its own. What an operation costs is bounded by the bytes
that it takes, and the sum by `_MOST_WORK`, so no file is read for ever. See
https://docs.python.org/3/library/pickletools.html for the operations.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from napari_cxr.checkpoint.foreign.pickle_contents import (
    ForeignFileError,
    PickledName,
    PickledObject,
    admitted_name,
    result_of_call,
    set_state,
)

__all__ = ['LARGEST_PICKLE', 'PickleMachine']

#: Bytes of one pickle. That of a whole DenseNet-121 has 220 thousand.
LARGEST_PICKLE = 16 << 20
#: Operations, and entries that they go through. A whole DenseNet-121 needs 83 thousand.
_MOST_WORK = 1_000_000
_LONGEST_KEY = 1000
_DAMAGED = 'The file is cut off or damaged: its table of contents does not end.'
_MARK = object()


class PickleMachine:
    """Reads one pickle.

    Parameters
    ----------
    data : bytes-like
        The file, or the part of it that begins with the pickle.
    start : int
        Where the pickle begins.
    persistent : callable
        Returns what stands for an object outside of the pickle, by its identification.
    """

    def __init__(
        self, data: memoryview, start: int, persistent: Callable[[object], object]
    ) -> None:
        self._data = data
        self._at = start
        self._end = min(len(data), start + LARGEST_PICKLE)
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._work = 0

    @property
    def end(self) -> int:
        """Where the pickle has ended, once it was read."""
        return self._at

    def read(self) -> Any:
        """Return what the pickle describes.

        Raises
        ------
        ForeignFileError
            If it names what is not admitted, is damaged, or is unreasonably large.
        """
        try:
            while (code := self._byte()) != _STOP:
                self._spend(1)
                operation = _OPERATIONS.get(code)
                if operation is None:
                    raise ForeignFileError(
                        f'This is not a weights file: its operation 0x{code:02x} is not one that '
                        'weights need.'
                    )
                operation(self)
            return self._pop()
        except (IndexError, struct.error, UnicodeDecodeError, ValueError):
            raise ForeignFileError(_DAMAGED) from None

    # -- bytes ----------------------------------------------------------------------------

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > self._end:
            raise ForeignFileError(_DAMAGED)
        taken = bytes(self._data[self._at : end])
        self._at = end
        return taken

    def _byte(self) -> int:
        if self._at >= self._end:
            raise ForeignFileError(_DAMAGED)
        self._at += 1
        return self._data[self._at - 1]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        start = self._at
        while self._byte() != 0x0A:
            if self._at - start > _LONGEST_KEY:
                raise ForeignFileError(_DAMAGED)
        return bytes(self._data[start : self._at - 1]).decode()

    # -- stack ----------------------------------------------------------------------------

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > _MOST_WORK:
            raise ForeignFileError('The file describes unreasonably much; it was not read.')

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ForeignFileError(_DAMAGED)
        return value

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise ForeignFileError(_DAMAGED)
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        # What is searched was pushed once and is taken away now.
        for i in range(len(self._stack) - 1, -1, -1):
            if self._stack[i] is _MARK:
                items = self._stack[i + 1 :]
                del self._stack[i:]
                return items
        raise ForeignFileError(_DAMAGED)

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    # -- operations -----------------------------------------------------------------------

    def _put(self, place: int) -> None:
        self._memo[place] = self._top()

    def _get(self, place: int) -> None:
        if place not in self._memo:
            raise ForeignFileError(_DAMAGED)
        self._push(self._memo[place])

    def _text(self, form: str) -> None:
        self._push(self._take(self._number(form)).decode('utf-8', 'surrogatepass'))

    def _old_text(self, form: str) -> None:
        """Push a text of Python 2, which may be bytes."""
        self._push(self._take(self._number(form)).decode('latin-1'))

    def _bytes(self, form: str) -> None:
        self._push(self._take(self._number(form)))

    def _long(self, form: str) -> None:
        size = self._number(form)
        if not 0 <= size <= 16:  # the magic number of torch's old files has ten bytes
            raise ForeignFileError('The file is damaged: it contains an endless number.')
        self._push(int.from_bytes(self._take(size), 'little', signed=True))

    def _tuple(self, size: int) -> None:
        items = [self._pop() for _ in range(size)]
        self._push(tuple(reversed(items)))

    def _name(self) -> None:
        module = self._line()
        self._push(admitted_name(f'{module}.{self._line()}'))

    def _name_from_stack(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ForeignFileError(_DAMAGED)
        self._push(admitted_name(f'{module}.{name}'))

    def _call(self) -> None:
        arguments, callee = self._pop(), self._pop()
        if isinstance(arguments, tuple):
            self._spend(sum(len(a) for a in arguments if isinstance(a, list | tuple | dict)))
        self._push(result_of_call(callee, arguments))

    def _new(self) -> None:
        arguments, kind = self._pop(), self._pop()
        self._push(result_of_call(kind, arguments))

    def _new_with_names(self) -> None:
        self._pop()
        self._new()

    def _build(self) -> None:
        state = self._pop()
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self._spend(len(part))
                if not all(isinstance(key, str) for key in part):
                    raise ForeignFileError('The file is damaged: a state has no names.')
        target = self._top()
        if isinstance(target, PickledObject):
            self._spend(len(target.state))
        set_state(target, state)

    def _append(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, PickledObject):
            raise ForeignFileError(_DAMAGED)

    def _append_one(self) -> None:
        self._append([self._pop()])

    def _set(self, items: list[Any]) -> None:
        target = self._top()
        if len(items) % 2 or not isinstance(target, dict | PickledObject):
            raise ForeignFileError(_DAMAGED)
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[_key(key)] = value

    def _set_one(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _table(self) -> None:
        items = self._since_mark()
        self._push({})
        self._set(items)

    def _outside(self) -> None:
        self._push(self._persistent(self._pop()))


def _key(key: object) -> Any:
    """Return the key of a table; hashing or comparing others may take for ever."""
    if isinstance(key, str | bytes) and len(key) <= _LONGEST_KEY:
        return key
    if key is None or isinstance(key, float | PickledName):
        return key
    if isinstance(key, int) and key.bit_length() < 64:
        return key
    raise ForeignFileError('The file is damaged: a table has a key that is not a name.')


_STOP = ord('.')
_OPERATIONS: dict[int, Callable[[PickleMachine], None]] = {
    0x80: lambda m: _protocol(m._byte()),
    0x95: lambda m: _frame(m._number('<Q'), m),
    ord('('): lambda m: m._push(_MARK),
    ord('0'): lambda m: (m._stack.pop(), None)[1],
    ord('1'): lambda m: (m._since_mark(), None)[1],
    ord('2'): lambda m: m._push(m._top()),
    ord('N'): lambda m: m._push(None),
    0x88: lambda m: m._push(True),
    0x89: lambda m: m._push(False),
    ord('J'): lambda m: m._push(m._number('<i')),
    ord('K'): lambda m: m._push(m._byte()),
    ord('M'): lambda m: m._push(m._number('<H')),
    ord('G'): lambda m: m._push(m._number('>d')),
    0x8A: lambda m: m._long('<B'),
    0x8B: lambda m: m._long('<i'),
    ord('T'): lambda m: m._old_text('<i'),
    ord('U'): lambda m: m._old_text('<B'),
    ord('X'): lambda m: m._text('<I'),
    0x8C: lambda m: m._text('<B'),
    0x8D: lambda m: m._text('<Q'),
    ord('B'): lambda m: m._bytes('<I'),
    ord('C'): lambda m: m._bytes('<B'),
    0x8E: lambda m: m._bytes('<Q'),
    0x96: lambda m: m._bytes('<Q'),
    ord(']'): lambda m: m._push([]),
    ord('l'): lambda m: m._push(m._since_mark()),
    ord('a'): lambda m: m._append_one(),
    ord('e'): lambda m: m._append(m._since_mark()),
    0x8F: lambda m: m._push([]),  # a set
    0x90: lambda m: m._append(m._since_mark()),
    0x91: lambda m: m._push(m._since_mark()),
    ord(')'): lambda m: m._push(()),
    ord('t'): lambda m: m._push(tuple(m._since_mark())),
    0x85: lambda m: m._tuple(1),
    0x86: lambda m: m._tuple(2),
    0x87: lambda m: m._tuple(3),
    ord('}'): lambda m: m._push({}),
    ord('d'): lambda m: m._table(),
    ord('s'): lambda m: m._set_one(),
    ord('u'): lambda m: m._set(m._since_mark()),
    ord('q'): lambda m: m._put(m._byte()),
    ord('r'): lambda m: m._put(m._number('<I')),
    0x94: lambda m: m._put(len(m._memo)),
    ord('h'): lambda m: m._get(m._byte()),
    ord('j'): lambda m: m._get(m._number('<I')),
    ord('c'): lambda m: m._name(),
    0x93: lambda m: m._name_from_stack(),
    ord('R'): lambda m: m._call(),
    0x81: lambda m: m._new(),
    0x92: lambda m: m._new_with_names(),
    ord('b'): lambda m: m._build(),
    ord('Q'): lambda m: m._outside(),
}


def _protocol(number: int) -> None:
    if not 2 <= number <= 5:
        raise ForeignFileError('This is not a weights file: its pickle protocol is not supported.')


def _frame(size: int, machine: PickleMachine) -> None:
    if size > machine._end - machine._at:
        raise ForeignFileError(_DAMAGED)
