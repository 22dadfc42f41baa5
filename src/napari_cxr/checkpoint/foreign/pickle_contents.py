"""What a pickle of weights may contain, what that is read into, and the error that refuses it.

Every name that a file may mention is listed here, one by one; nothing else is admitted, and no
name is ever imported. A class becomes an empty record that holds state, a function becomes one
of our own, and a tensor a description, of which `Arrays` makes a view of the file. So the list
bounds what is understood, not what is trusted, and no package is admitted as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cxr.checkpoint.card import CheckpointError

__all__ = [
    'CLASSES',
    'OPAQUE',
    'STORAGES',
    'Arrays',
    'ForeignFileError',
    'PickledName',
    'PickledObject',
    'PickledStorage',
    'PickledTensor',
    'admitted_name',
    'item_size',
    'result_of_call',
    'set_state',
    'shortened',
    'storage_of',
]

_LONGEST = 80


class ForeignFileError(CheckpointError):
    """A file that is not admitted, is damaged, or does not fit; the message is one sentence."""


def shortened(name: object) -> str:
    """Return what a file names, fit to be printed: short, and without control characters."""
    text = ''.join(c if c.isprintable() else '?' for c in str(name)[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…'


#: What a storage holds: the numpy type of one number. bfloat16 is read as its upper two bytes.
STORAGES: dict[str, str] = {
    f'{module}.{name}': kind
    for module in ('torch', 'torch.cuda')
    for name, kind in {
        'FloatStorage': '<f4',
        'DoubleStorage': '<f8',
        'HalfStorage': '<f2',
        'BFloat16Storage': 'bfloat16',
        'LongStorage': '<i8',
        'IntStorage': '<i4',
        'ShortStorage': '<i2',
        'CharStorage': '<i1',
        'ByteStorage': '<u1',
        'BoolStorage': '?',
    }.items()
}


def _of(module: str, *names: str) -> set[str]:
    return {f'{module}.{name}' for name in names}


#: Classes of whole networks that were pickled: each becomes a record of its state.
CLASSES: frozenset[str] = frozenset(
    _of('torchxrayvision.models', 'DenseNet', '_DenseLayer', '_DenseBlock', '_Transition')
    | _of('torchvision.models.densenet', 'DenseNet', '_DenseLayer', '_DenseBlock', '_Transition')
    | _of('torchvision.models.resnet', 'ResNet', 'BasicBlock', 'Bottleneck')
    | _of('torchvision.models.vgg', 'VGG')
    | _of('torchvision.models.efficientnet', 'EfficientNet', 'MBConv')
    | _of('torchvision.models.mobilenetv3', 'MobileNetV3', 'InvertedResidual')
    | _of('torchvision.models.convnext', 'ConvNeXt', 'CNBlock', 'LayerNorm2d')
    | _of(
        'torchvision.models.inception',
        *('Inception3', 'BasicConv2d', 'InceptionA', 'InceptionB', 'InceptionC', 'InceptionD'),
        *('InceptionE', 'InceptionAux'),
    )
    | _of(
        'torchvision.ops.misc',
        *('ConvNormActivation', 'Conv2dNormActivation', 'SqueezeExcitation', 'Permute'),
    )
    | _of('torchvision.ops.stochastic_depth', 'StochasticDepth')
    | _of('torch.nn.modules.container', 'Sequential', 'ModuleList', 'ModuleDict')
    | _of('torch.nn.modules.conv', 'Conv2d')
    | _of('torch.nn.modules.batchnorm', 'BatchNorm2d')
    | _of('torch.nn.modules.normalization', 'LayerNorm', 'GroupNorm')
    | _of('torch.nn.modules.linear', 'Linear', 'Identity')
    | _of('torch.nn.modules.flatten', 'Flatten')
    | _of('torch.nn.modules.dropout', 'Dropout', 'Dropout2d')
    | _of('torch.nn.modules.padding', 'ZeroPad2d')
    | _of(
        'torch.nn.modules.activation',
        *('ReLU', 'ReLU6', 'SiLU', 'GELU', 'Hardswish', 'Hardsigmoid', 'Sigmoid', 'Softmax'),
    )
    | _of(
        'torch.nn.modules.pooling',
        *('MaxPool2d', 'AvgPool2d', 'AdaptiveAvgPool2d', 'AdaptiveMaxPool2d'),
    )
    | _of('torch.nn.parallel.data_parallel', 'DataParallel')
    | _of('torch.nn.parallel.distributed', 'DistributedDataParallel')
)

#: What checkpoints of training hold beside the weights: kept as an empty record, never read.
OPAQUE: frozenset[str] = frozenset(
    _of('torch', 'device')
    | _of('torch', 'float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'uint8', 'bool')
    | _of('torch.serialization', '_get_layout')
    | _of('argparse', 'Namespace')
    | _of('pathlib', 'Path', 'PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath')
    | _of('pathlib._local', 'Path', 'PosixPath', 'WindowsPath')
    | _of('numpy', 'dtype', 'ndarray')
    | _of('numpy.core.multiarray', 'scalar', '_reconstruct')
    | _of('numpy._core.multiarray', 'scalar', '_reconstruct')
    | _of('_codecs', 'encode')
    | _of('datetime', 'datetime', 'date', 'timedelta')
    | _of('pytorch_lightning.utilities.parsing', 'AttributeDict')
    | _of('lightning.pytorch.utilities.parsing', 'AttributeDict')
    | _of('lightning.fabric.utilities.data', 'AttributeDict')
    | _of('lightning_fabric.utilities.data', 'AttributeDict')
    | _of('pytorch_lightning.callbacks.model_checkpoint', 'ModelCheckpoint')
    | _of('lightning.pytorch.callbacks.model_checkpoint', 'ModelCheckpoint')
)


_MOST_AXES = 8


@dataclass(frozen=True)
class PickledName:
    """A name that a file mentions, with nothing behind it."""

    text: str


class PickledObject:
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
class PickledStorage:
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
class PickledTensor:
    """A tensor that has not been made yet: its numbers, and how they lie in the storage."""

    storage: PickledStorage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def admitted_name(text: str) -> PickledName:
    """Return a name that a file mentions, if it may.

    Raises
    ------
    ForeignFileError
        If it is not on the list; the message says which it was.
    """
    if text in _MAKERS or text in CLASSES or text in OPAQUE or text in STORAGES:
        return PickledName(text)
    raise ForeignFileError(
        f'The file asks for {shortened(text)!r}, which is not on the list of what weights '
        'need; nothing in it was run. Ask its authors for a state dict or a safetensors file.'
    )


def result_of_call(callee: object, arguments: object) -> Any:
    """Return what stands for a call that a file asks for; no call to what it names is made."""
    if not isinstance(callee, PickledName) or not isinstance(arguments, tuple):
        raise ForeignFileError('The file is damaged: it calls what cannot be called.')
    if callee.text in _MAKERS:
        return _MAKERS[callee.text](*_of_right_number(arguments))
    if callee.text in CLASSES or callee.text in OPAQUE:
        return PickledObject(callee.text)
    raise ForeignFileError(f'The file is damaged: {shortened(callee.text)!r} cannot be called.')


def set_state(value: object, state: object) -> None:
    """Give a record the state that a file has for it; state of other values is dropped."""
    if isinstance(value, PickledObject):
        # Python may pickle the entries of slots beside the others.
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict) and value.kind in CLASSES:
                value.state = value.state | part if value.state else part
    elif not isinstance(value, dict | PickledTensor):  # an OrderedDict may carry attributes
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
) -> PickledTensor:
    """Stand for ``torch._utils._rebuild_tensor`` and ``_rebuild_tensor_v2``."""
    if (
        not isinstance(storage, PickledStorage)
        or not _is_whole(offset)
        or not _are_whole(size)
        or not _are_whole(stride)
        or len(size) != len(stride)  # type: ignore[arg-type]
    ):
        raise ForeignFileError('The file is damaged: a tensor has no usable shape.')
    return PickledTensor(storage, offset, size, stride)  # type: ignore[arg-type]


def _parameter(data: object = None, *_: object) -> PickledTensor:
    """Stand for ``torch._utils._rebuild_parameter`` and the one with state."""
    if not isinstance(data, PickledTensor):
        raise ForeignFileError('The file is damaged: a parameter holds no tensor.')
    return data


def _typed(
    function: object = None, kind: object = None, arguments: object = (), *_: object
) -> Any:
    """Stand for ``torch._tensor._rebuild_from_type_v2``."""
    if not isinstance(kind, PickledName) or kind.text not in ('torch.Tensor', *_PARAMETERS):
        raise ForeignFileError('The file is damaged: a tensor is of an unknown kind.')
    if isinstance(function, PickledName) and function.text == _TYPED:
        raise ForeignFileError('The file is damaged: a tensor is nested in itself.')
    return result_of_call(function, arguments)


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
        raise ForeignFileError('The file is damaged: a shape is not valid.')
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


_MOST_ITEMS = 1 << 31


def item_size(kind: str) -> int:
    """Return the bytes of one number of a type of `STORAGES`."""
    return 2 if kind == 'bfloat16' else np.dtype(kind).itemsize


def storage_of(identity: object) -> PickledStorage:
    """Return the storage that a persistent identification of torch means.

    Parameters
    ----------
    identity : tuple
        ('storage', type, key, place, count), and in old files a view: (key, start, count).
    """
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != 'storage':
        raise ForeignFileError('It is damaged: it refers to something that is not a storage.')
    _, kind, key, _, count, *view = identity
    if (
        not isinstance(kind, PickledName)
        or kind.text not in STORAGES
        or not isinstance(key, str)
        or type(count) is not int
        or not 0 <= count < _MOST_ITEMS
    ):
        raise ForeignFileError('It is damaged: it refers to something that is not a storage.')
    start = 0
    if view and view[0] is not None:
        if not isinstance(view[0], tuple) or len(view[0]) != 3:
            raise ForeignFileError('It is damaged: a storage does not lie within another.')
        _, start, part = view[0]
        if not all(type(n) is int and n >= 0 for n in (start, part)) or start + part > count:
            raise ForeignFileError('It is damaged: a storage does not lie within another.')
        count = part
    return PickledStorage(key, STORAGES[kind.text], start, count)


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

    def array(self, tensor: PickledTensor) -> np.ndarray:
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
