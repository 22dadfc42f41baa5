"""Where the cells of a feature map look, from what the network really computes.

The stages are run once on tensors without data, and each operation moves the centres of the
cells along; `napari_cxr.networks.receptive_field_rules` says how. Nothing needs to be declared
for a network, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from napari_cxr.networks.eval_mode import evaluating, run_without_data
from napari_cxr.networks.receptive_field_rules import (
    PlacedMap,
    Untraceable,
    returns_parts,
    rule_for,
)

__all__ = ['Grid', 'derive_grid']


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
