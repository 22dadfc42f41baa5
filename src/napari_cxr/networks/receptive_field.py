"""Where the cells of a feature map look, from what the network really computes.

The stages are run once on tensors without data, and each operation moves the centres of the
cells along; `napari_cxr.networks.receptive_field` says how. Nothing needs to be declared
for a network, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from napari_cxr.networks.eval_mode import evaluating, run_without_data

__all__ = [
    'Axis',
    'Grid',
    'Placed',
    'PlacedMap',
    'Untraceable',
    'derive_grid',
    'returns_parts',
    'rule_for',
]


@dataclass(frozen=True)
class Grid:
    """Centres of the receptive fields of a feature map's cells.

    Cell i of an axis looks at ``start + i * jump``, in input pixels, where pixel
    centres are whole numbers.

    Parameters
    ----------
    start : tuple of float
        Rows and columns of the first cell's centre.
    jump : tuple of float
        Distance between the centres of neighbouring cells.
    cells : tuple of int
        How many cells there are.
    """

    start: tuple[float, float]
    jump: tuple[float, float]
    cells: tuple[int, int]

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """Return the input pixel (y, x) that a cell looks at."""
        return self.start[0] + row * self.jump[0], self.start[1] + column * self.jump[1]


def derive_grid(stages: Iterable[tuple[str, nn.Module]], shape: tuple[int, int, int]) -> Grid:
    """Work out where the cells of the last stage's map look.

    Branches that average the whole map (squeeze and excitation) look everywhere alike
    and move nothing. Where branches that look at slightly different places are joined,
    the cell lies in the middle between the outermost.

    Parameters
    ----------
    stages : iterable of pairs of str and Module
        In the order in which they run. Weights and modes stay as they are.
    shape : tuple of int
        Channels, height and width of the input.

    Raises
    ------
    Untraceable
        If an operation has no place in the arithmetic, or the input is too small.
    """
    tracer = _Tracer()
    with torch.no_grad(), torch.inference_mode(False):
        x = torch.empty((1, *shape), device='meta')
        tracer.remember(x, PlacedMap(rows=2, columns=3))
        for name, stage in stages:
            try:
                with evaluating(stage), tracer, _WholeLinear(tracer):
                    x = run_without_data(stage, x)
            except (RuntimeError, NotImplementedError, Untraceable) as error:
                raise Untraceable(
                    f'The cells of this network cannot be placed on an image of {shape[2]} x '
                    f'{shape[1]} pixels, because of its stage {name!r}: {error}'
                ) from error
    found = tracer.look_up(x)
    if found is None or found.dims != (2, 3):
        raise Untraceable('The last stage does not return a feature map.')
    y, x_axis = found.y, found.x
    for axis in (y, x_axis):
        if axis.jump < 0:
            raise Untraceable('The last stage returns its map mirrored or upside down.')
        if axis.high - axis.low > axis.jump:
            raise Untraceable(
                'The branches of this network look at places more than a cell apart, so no '
                'single position is right for a cell.'
            )
    return Grid(
        start=((y.low + y.high) / 2, (x_axis.low + x_axis.high) / 2),
        jump=(y.jump, x_axis.jump),
        cells=(int(x.shape[2]), int(x.shape[3])),
    )


class _Tracer(TorchDispatchMode):
    """Follows every operation, and remembers for each tensor where its cells look.

    A tensor that is not remembered has no place: weights, and what came from a mean
    over the whole map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        # The tensor is kept beside its map, or its id might come to mean another tensor.
        self._maps: dict[int, tuple[Tensor, PlacedMap]] = {}

    def remember(self, tensor: Tensor, where: PlacedMap) -> None:
        self._maps[id(tensor)] = (tensor, where)

    def look_up(self, tensor: Any) -> PlacedMap | None:
        entry = self._maps.get(id(tensor))
        return entry[1] if entry else None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.paused:
            return out
        tensors = list(_tensors_in(args))
        placed = [(t, m) for t in tensors if (m := self.look_up(t)) is not None]
        if not placed:
            return out
        rule = rule_for(func)
        outs = [o for o in (out if isinstance(out, (tuple, list)) else (out,)) if o is not None]
        where = rule(placed, outs[0], args, kwargs or {})
        if where is not None:
            # Batch norms return their statistics too, and a maximum its indices.
            for o in outs if returns_parts(func) else outs[:1]:
                self.remember(o, where)
        return out


class _WholeLinear(TorchFunctionMode):
    """Takes a linear layer on channels-last maps as one step, not as the views inside it."""

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        where = self.tracer.look_up(args[0]) if args else None
        if func is not nn.functional.linear or where is None:
            return func(*args, **kwargs)
        if args[0].ndim - 1 in where.dims:
            raise Untraceable('a linear layer mixes the columns of the map')
        self.tracer.paused = True
        try:
            out = func(*args, **kwargs)
        finally:
            self.tracer.paused = False
        self.tracer.remember(out, where)
        return out


def _tensors_in(args: Sequence[Any]) -> Iterable[Tensor]:
    for value in args:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors_in(value)


class Untraceable(ValueError):
    """A network whose cells cannot be placed on the image; the message says why."""


@dataclass(frozen=True)
class Axis:
    """Where the cells of one axis look; paths that were merged may differ in their start."""

    low: float = 0.0
    high: float = 0.0
    jump: float = 1.0

    def moved(self, offset: float, stride: float = 1) -> Axis:
        """Return the axis after a step of `offset` cells and a stride."""
        offset *= self.jump
        return Axis(self.low + offset, self.high + offset, self.jump * stride)

    def turned(self, cells: int) -> Axis:
        """Return the axis of so many cells in reverse order: from its last cell backwards."""
        back = (cells - 1) * self.jump
        return Axis(self.low + back, self.high + back, -self.jump)

    def merged(self, other: Axis) -> Axis:
        """Return the axis of a map that is put together from two."""
        if abs(self.jump - other.jump) > 1e-9:
            raise Untraceable('it joins maps whose cells are not equally far apart')
        return Axis(min(self.low, other.low), max(self.high, other.high), self.jump)


@dataclass(frozen=True)
class PlacedMap:
    """A tensor that has rows and columns: which dimensions they are, and where they look.

    `uneven` says of which axes the padding has just put one pixel more behind than before.
    """

    rows: int
    columns: int
    y: Axis = Axis()
    x: Axis = Axis()
    uneven: tuple[bool, bool] = (False, False)

    @property
    def dims(self) -> tuple[int, int]:
        """Return the dimensions of the tensor that hold rows and columns."""
        return self.rows, self.columns

    def windowed(
        self, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int], dil: Sequence[int]
    ) -> PlacedMap:
        """Return the map after a convolution or pooling.

        TensorFlow's 'same' padding puts the odd pixel below and to the right of what a strided
        kernel sees. Trained kernels lean back by about as much: in EfficientNet-Lite0 down to
        stride 16 the four of them would move a cell by 7.5 pixels, and what it responds to lies
        6.2 pixels before that. So such a padding is taken as even.
        """
        y, x = (
            axis.moved(
                (_at(kernel, i) - 1) / 2 * _at(dil, i)
                - _at(pad, i)
                - 0.5 * (self.uneven[i] and _at(stride, i) > 1),
                _at(stride, i),
            )
            for i, axis in enumerate((self.y, self.x))
        )
        return replace(self, y=y, x=x, uneven=(False, False))

    def merged(self, other: PlacedMap) -> PlacedMap:
        """Return the map that is put together from two."""
        if self.dims != other.dims:
            raise Untraceable('it joins maps with different layouts')
        return replace(self, y=self.y.merged(other.y), x=self.x.merged(other.x))


Placed = Sequence[tuple[Tensor, PlacedMap]]
_Rule = Callable[[Placed, Tensor, Sequence[Any], dict[str, Any]], 'PlacedMap | None']


def _same(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    """Element by element, with broadcasting, or along other dimensions only."""
    first, where = placed[0]
    for tensor, other in placed[1:]:
        if tensor.ndim != first.ndim:
            raise Untraceable('it joins maps with different layouts')
        where = where.merged(other)
    sizes = [[tensor.shape[d] for d in where.dims] for tensor, _ in placed]
    if out.ndim != first.ndim or any(size != [out.shape[d] for d in where.dims] for size in sizes):
        raise Untraceable('it joins maps of different sizes')
    return where


def _convolution(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    _, weight, _, stride, padding, dilation, transposed = args[:7]
    if transposed or weight.ndim != 4:
        raise Untraceable('a transposed convolution, or one that is not two-dimensional')
    return placed[0][1].windowed(weight.shape[2:], stride, padding, dilation)


def _pooling(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    kernel = args[1]
    stride = args[2] if len(args) > 2 and args[2] else kernel
    padding = args[3] if len(args) > 3 else (0, 0)
    return placed[0][1].windowed(kernel, stride, padding, (1, 1))


def _max_pooling(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    if len(args) > 4 and max(args[4]) > 1:
        raise Untraceable('a pooling with gaps')
    return _pooling(placed, out, args, kwargs)


def _adaptive(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap | None:
    tensor, where = placed[0]
    before, after = tensor.shape[-2:], out.shape[-2:]
    if tuple(after) == (1, 1):
        return None
    if any(b % a for b, a in zip(before, after, strict=True)):
        raise Untraceable(f'it averages {tuple(before)} cells unevenly into {tuple(after)}')
    size = [b // a for b, a in zip(before, after, strict=True)]
    return where.windowed(size, size, (0, 0), (1, 1))


def _padding(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    tensor, where = placed[0]
    amounts = args[1]  # (before, after) of the last dimension, then of the one before it
    pairs = {tensor.ndim - 1 - i: amounts[2 * i : 2 * i + 2] for i in range(len(amounts) // 2)}
    (above, below), (left, right) = (pairs.get(dim, (0, 0)) for dim in where.dims)
    return replace(
        where,
        y=where.y.moved(-above),
        x=where.x.moved(-left),
        uneven=(below - above == 1, right - left == 1),
    )


def _reduction(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap | None:
    tensor, where = placed[0]
    dims = args[1] if len(args) > 1 and args[1] is not None else range(tensor.ndim)
    gone = {d % tensor.ndim for d in ([dims] if isinstance(dims, int) else dims)}
    if gone.issuperset(where.dims):
        return None
    if gone.intersection(where.dims):
        raise Untraceable('it averages along one axis of the map only')
    if out.ndim == tensor.ndim:
        return where
    rows, columns = (d - sum(g < d for g in gone) for d in where.dims)
    return replace(where, rows=rows, columns=columns)


def _permutation(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    tensor, where = placed[0]
    order = [d % tensor.ndim for d in args[1]]
    return replace(where, rows=order.index(where.rows), columns=order.index(where.columns))


def _transposition(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    tensor, where = placed[0]
    one, other = (d % tensor.ndim for d in args[1:3])
    swap = {one: other, other: one}
    rows, columns = (swap.get(d, d) for d in where.dims)
    return replace(where, rows=rows, columns=columns)


def _slice(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    tensor, where = placed[0]
    dim = (args[1] if len(args) > 1 else 0) % tensor.ndim
    if dim not in where.dims:
        return where
    start = (args[2] if len(args) > 2 else None) or 0
    start = start + tensor.shape[dim] if start < 0 else start
    step = args[4] if len(args) > 4 else 1
    if dim == where.rows:
        return replace(where, y=where.y.moved(start, step))
    return replace(where, x=where.x.moved(start, step))


def _flipping(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    tensor, where = placed[0]
    turned = {d % tensor.ndim for d in args[1]}
    return replace(
        where,
        y=where.y.turned(tensor.shape[where.rows]) if where.rows in turned else where.y,
        x=where.x.turned(tensor.shape[where.columns]) if where.columns in turned else where.x,
    )


def _joining(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    dim = (args[1] if len(args) > 1 else 0) % placed[0][0].ndim
    if dim in placed[0][1].dims:
        raise Untraceable('it concatenates maps along their rows or columns')
    return _same(placed, out, args, kwargs)


def _splitting(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    tensor, where = placed[0]
    if (args[2] if len(args) > 2 else 0) % tensor.ndim in where.dims:
        raise Untraceable('it cuts the map into pieces')
    return where


def _reshaping(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> PlacedMap:
    tensor, where = placed[0]
    last = (tensor.ndim - 2, tensor.ndim - 1)
    if where.dims != last or out.ndim < 3 or out.shape[-2:] != tensor.shape[-2:]:
        raise Untraceable('it reshapes rows and columns')
    return replace(where, rows=out.ndim - 2, columns=out.ndim - 1)


def _creation(placed: Placed, out: Tensor, args: Any, kwargs: Any) -> None:
    """Take a shape from the map and nothing else."""


_aten: Any = torch.ops.aten
_RULES: dict[Any, _Rule] = {
    _aten.convolution: _convolution,
    _aten.max_pool2d_with_indices: _max_pooling,
    _aten.avg_pool2d: _pooling,
    _aten._adaptive_avg_pool2d: _adaptive,
    _aten.adaptive_max_pool2d: _adaptive,
    _aten.constant_pad_nd: _padding,
    _aten.reflection_pad2d: _padding,
    _aten.replication_pad2d: _padding,
    _aten.mean: _reduction,
    _aten.amax: _reduction,
    _aten.permute: _permutation,
    _aten.transpose: _transposition,
    _aten.slice: _slice,
    _aten.flip: _flipping,
    _aten.cat: _joining,
    _aten.split: _splitting,
    _aten.split_with_sizes: _splitting,
    _aten.new_empty: _creation,
    _aten.new_zeros: _creation,
    _aten.new_ones: _creation,
    _aten.view: _reshaping,
    _aten._unsafe_view: _reshaping,
}
#: Normalisations and activations that PyTorch does not tag as working element by element.
_SAME = {
    _aten.native_batch_norm,
    _aten._native_batch_norm_legit_no_training,
    _aten.native_layer_norm,
    _aten.native_group_norm,
    _aten.hardswish,
    _aten.hardswish_,
    _aten._to_copy,
    _aten.detach,
    _aten.alias,
}


def returns_parts(func: Any) -> bool:
    """Return whether an operation returns a tensor in parts, each placed as the whole was."""
    return func.overloadpacket in (_aten.split, _aten.split_with_sizes)


def rule_for(func: Any) -> _Rule:
    """Return how an operation moves the cells, or refuse it."""
    packet = func.overloadpacket
    if packet in _RULES:
        return _RULES[packet]
    if packet in _SAME or torch.Tag.pointwise in func.tags:
        return _same
    raise Untraceable(f'the operation {packet} has no fixed position for each cell')


def _at(values: Sequence[int], i: int) -> int:
    """Return the value of axis i; one value stands for both."""
    return int(values[i if len(values) > 1 else 0])
