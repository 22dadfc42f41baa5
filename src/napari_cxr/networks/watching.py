"""In which order a network runs its parts, and what lies between them.

Networks of torchvision and timm are mostly chains: each part takes what the one before
returned. Where a small step stands between two parts (a ReLU, a mean over the map, a
flattening), it is found by trying; where none of these fits, the network is no chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from napari_cxr.networks.staged import NotStaged

__all__ = ['ChannelMeans', 'Step', 'watch']


class ChannelMeans(nn.Module):
    """The mean of each channel, (N, C, h, w) to (N, C)."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """Average rows and columns."""
        return feature_map.mean(dim=(2, 3))


@dataclass(frozen=True, eq=False)
class Step:
    """One part of a chain: a module of the network by its path, or a small step between two.

    Parameters
    ----------
    path : str
        Where the module is in the network; empty for a step between.
    between : Module or None
        The step between.
    shape : tuple of int
        Of what it returns, the batch included.
    """

    path: str
    between: nn.Module | None
    shape: tuple[int, ...]


@cache
def _what_may_be_between() -> tuple[tuple[nn.Module, ...], ...]:
    """Return what may stand between two parts, the simplest first."""
    from torchvision.ops import Permute  # takes as long to import as torch

    return (
        (),
        (nn.ReLU(),),
        (nn.Flatten(1),),
        (ChannelMeans(),),
        (nn.ReLU(), ChannelMeans()),
        (Permute([0, 3, 1, 2]),),
        (Permute([0, 2, 3, 1]),),
    )


@dataclass(frozen=True, eq=False)
class _Call:
    path: str
    taken: Tensor
    returned: Tensor


@torch.no_grad()
def watch(whole: nn.Module, x: Tensor) -> list[Step]:
    """Return the chain that a network is, from the image to the logits.

    Parameters
    ----------
    whole : Module
        In evaluation mode, with weights that let differences through.
    x : Tensor, shape (N, channels, height, width)
        Images to watch it with.

    Raises
    ------
    NotStaged
        If it is no chain; the message says where it breaks.
    """
    calls: list[_Call] = []
    taken: dict[str, Tensor] = {}
    hooks = []
    for path, module in _parts(whole):

        def before(_: Any, args: Any, kwargs: Any, path: str = path) -> None:
            if len(args) != 1 or kwargs or not isinstance(args[0], Tensor):
                raise NotStaged(f'its part {path!r} takes more than one map')
            taken[path] = args[0].clone()  # others may work in place on it

        def after(_: Any, args: Any, out: Any, path: str = path) -> None:
            if not isinstance(out, Tensor):
                raise NotStaged(f'its part {path!r} returns more than one map')
            if any(call.path == path for call in calls):
                raise NotStaged(f'it runs its part {path!r} twice')
            calls.append(_Call(path, taken[path], out.clone()))

        hooks.append(module.register_forward_pre_hook(before, with_kwargs=True))
        hooks.append(module.register_forward_hook(after))
    try:
        logits = whole(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not calls or not isinstance(logits, Tensor):
        raise NotStaged('it has no parts that could be stages')
    steps: list[Step] = []
    now, name = x, 'the image'
    for call in [*calls, _Call('', logits, logits)]:
        steps += _between(now, call.taken, name, repr(call.path) if call.path else 'the logits')
        if call.path:
            steps.append(Step(call.path, None, tuple(call.returned.shape)))
        now, name = call.returned, repr(call.path)
    return steps


def _parts(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that may be parts: children, and those of plain containers."""
    for name, child in module.named_children():
        path = f'{prefix}{name}'
        if type(child) in (nn.Sequential, nn.ModuleList, nn.ModuleDict) and len(child):  # type: ignore[arg-type]
            yield from _parts(child, f'{path}.')
        else:
            yield path, child


def _between(before: Tensor, after: Tensor, one: str, other: str) -> Sequence[Step]:
    for modules in _what_may_be_between():
        value, steps = before, []
        try:
            for module in modules:
                value = module(value)
                steps.append(Step('', module, tuple(value.shape)))
        except (RuntimeError, IndexError):
            continue
        if value.shape == after.shape and torch.allclose(value, after, rtol=1e-5, atol=1e-6):
            return steps
    raise NotStaged(f'between {one} and {other} it does something that is no part of its own')
