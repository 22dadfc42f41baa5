"""Run parts of a network without changing them: in evaluation mode, and without data.

Without data, on torch's meta device, the stages only tell the shapes of what they return.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ['evaluating', 'run_without_data', 'stage_shapes']


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and each of its parts back into its own after."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def stage_shapes(
    stages: Iterable[tuple[str, nn.Module]], shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of what each stage returns for one image, without the batch.

    Parameters
    ----------
    stages : iterable of pairs of str and Module
        In the order in which they run. Weights and modes stay as they are.
    shape : tuple of int
        Channels, height and width of the input.

    Raises
    ------
    ValueError
        If an image of this size does not get through.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    with torch.no_grad(), torch.inference_mode(False):
        x = torch.empty((1, *shape), device='meta')
        for name, stage in stages:
            try:
                with evaluating(stage):
                    x = run_without_data(stage, x)
            except (RuntimeError, AssertionError) as error:
                why = (str(error) or type(error).__name__).splitlines()[0]
                raise ValueError(
                    f'The stage {name!r} does not accept what the stages before it return for an '
                    f'image of {shape[1]} x {shape[2]} pixels; choose another size. ({why})'
                ) from None
            shapes[name] = tuple(x.shape[1:])
    return shapes


def run_without_data(stage: nn.Module, x: Tensor) -> Tensor:
    """Return what a stage makes of a tensor on the meta device, wherever its weights are."""
    state = {
        name: torch.empty_like(value, device='meta')
        for name, value in (*stage.named_parameters(), *stage.named_buffers())
    }
    with _NormsPass():
        out: Tensor = torch.func.functional_call(stage, state, (x,))
    return out


class _NormsPass(TorchFunctionMode):
    """Hands a map through batch norm, which changes neither its shape nor where it looks.

    On the meta device torch works batch norm out in Python, in a hundred steps each, and that
    would take longer than all the rest.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is nn.functional.batch_norm and len(args) > 1:
            x, mean = args[:2]
            if mean is not None and x.shape[1] == mean.numel():
                return x
        return func(*args, **(kwargs or {}))
