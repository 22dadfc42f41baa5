"""What a pickle is read into: names, records and tensors that are descriptions only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_cxr.checkpoint.foreign.allowed import CLASSES, OPAQUE, STORAGES
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError, shortened

__all__ = ['Name', 'Record', 'Storage', 'Tensor', 'admitted', 'built', 'made']

_MOST_AXES = 8


@dataclass(frozen=True)
class Name:
    """A name that a file mentions, with nothing behind it."""

    text: str


class Record:
    """An object of a class that is not loaded: the name of the class, and its state.

    Parameters
    ----------
    kind : str
        Name of the class.
    """

    __slots__ = ('kind', 'state')

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.state: dict[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Storage:
    """Numbers in a row somewhere in the file.

    Parameters
    ----------
    key : str
        By which the file knows them.
    kind : str
        Their type, as of `STORAGES`.
    start, count : int
        Which of them, for a part of the numbers of that key.
    """

    key: str
    kind: str
    start: int
    count: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor that has not been made yet: its numbers, and how they lie in the storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def admitted(text: str) -> Name:
    """Return a name that a file mentions, if it may.

    Raises
    ------
    ForeignFileError
        If it is not on the list; the message says which it was.
    """
    if text in _MAKERS or text in CLASSES or text in OPAQUE or text in STORAGES:
        return Name(text)
    raise ForeignFileError(
        f'The file asks for {shortened(text)!r}, which is not on the list of what weights '
        'need; nothing in it was run. Ask its authors for a state dict or a safetensors file.'
    )


def made(callee: object, arguments: object) -> Any:
    """Return what stands for a call that a file asks for; no call to what it names is made."""
    if not isinstance(callee, Name) or not isinstance(arguments, tuple):
        raise ForeignFileError('The file is damaged: it calls what cannot be called.')
    if callee.text in _MAKERS:
        return _MAKERS[callee.text](*_of_right_number(arguments))
    if callee.text in CLASSES or callee.text in OPAQUE:
        return Record(callee.text)
    raise ForeignFileError(f'The file is damaged: {shortened(callee.text)!r} cannot be called.')


def built(value: object, state: object) -> None:
    """Give a record the state that a file has for it; state of other values is dropped."""
    if isinstance(value, Record):
        # Python may pickle the entries of slots beside the others.
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict) and value.kind in CLASSES:
                value.state = value.state | part if value.state else part
    elif not isinstance(value, dict | Tensor):  # an OrderedDict may carry attributes
        raise ForeignFileError('The file is damaged: it gives a state to what has none.')


def _of_right_number(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(arguments) > 8:
        raise ForeignFileError('The file is damaged: a tensor has too many entries.')
    return arguments


def _tensor(
    storage: object = None,
    offset: object = 0,
    size: object = (),
    stride: object = (),
    *_: object,
) -> Tensor:
    """Stand for ``torch._utils._rebuild_tensor`` and ``_rebuild_tensor_v2``."""
    if (
        not isinstance(storage, Storage)
        or not _is_whole(offset)
        or not _are_whole(size)
        or not _are_whole(stride)
        or len(size) != len(stride)  # type: ignore[arg-type]
    ):
        raise ForeignFileError('The file is damaged: a tensor has no usable shape.')
    return Tensor(storage, offset, size, stride)  # type: ignore[arg-type]


def _parameter(data: object = None, *_: object) -> Tensor:
    """Stand for ``torch._utils._rebuild_parameter`` and the one with state."""
    if not isinstance(data, Tensor):
        raise ForeignFileError('The file is damaged: a parameter holds no tensor.')
    return data


def _typed(
    function: object = None, kind: object = None, arguments: object = (), *_: object
) -> Any:
    """Stand for ``torch._tensor._rebuild_from_type_v2``."""
    if not isinstance(kind, Name) or kind.text not in ('torch.Tensor', *_PARAMETERS):
        raise ForeignFileError('The file is damaged: a tensor is of no kind of tensor.')
    if isinstance(function, Name) and function.text == _TYPED:
        raise ForeignFileError('The file is damaged: a tensor is nested in itself.')
    return made(function, arguments)


def _table(pairs: object = (), *_: object) -> dict[Any, Any]:
    """Stand for ``collections.OrderedDict``; old files hand over the pairs in a list."""
    if not isinstance(pairs, list | tuple):
        return {}
    table: dict[Any, Any] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ForeignFileError('The file is damaged: a table has entries without names.')
        table[pair[0]] = pair[1]
    return table


def _empty_table(*_: object) -> dict[Any, Any]:
    return {}


def _as_list(items: object = (), *_: object) -> list[Any]:
    """Stand for a set: the list itself, because hashing what a file holds may take for ever."""
    return items if isinstance(items, list) else []


def _shape(size: object = (), *_: object) -> tuple[int, ...]:
    if not _are_whole(size):
        raise ForeignFileError('The file is damaged: a shape is none.')
    return size  # type: ignore[return-value]


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _are_whole(values: object) -> bool:
    return isinstance(values, tuple) and len(values) <= _MOST_AXES and all(map(_is_whole, values))


_TYPED = 'torch._tensor._rebuild_from_type_v2'
_PARAMETERS = ('torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer')
#: Functions and classes that files call, and ours that stand for them.
_MAKERS: dict[str, Callable[..., Any]] = {
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter,
    _TYPED: _typed,
    'torch.nn.parameter.Parameter': _parameter,
    'torch.nn.parameter.Buffer': _parameter,
    'torch.Tensor': _parameter,
    'torch.Size': _shape,
    'collections.OrderedDict': _table,
    'collections.defaultdict': _empty_table,
    'builtins.set': _as_list,
    '__builtin__.set': _as_list,
    'builtins.frozenset': _as_list,
    '__builtin__.frozenset': _as_list,
    # Lightning names these as the type of an entry's factory, and old files as a type.
    'builtins.dict': _empty_table,
    '__builtin__.dict': _empty_table,
    'builtins.list': _as_list,
    '__builtin__.list': _as_list,
}
