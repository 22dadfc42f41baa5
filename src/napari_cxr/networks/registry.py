"""The networks by name. A network is one function and one line above it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from napari_cxr.networks.heads import HeadPlan, SingleOutput
from napari_cxr.networks.staged import StagedNetwork

__all__ = ['create', 'names', 'register']

_Maker = Callable[[int, int, tuple[int, int]], StagedNetwork]
_NETWORKS: dict[str, _Maker] = {}


def register(function: _Maker) -> _Maker:
    """Make a function ``(classes, channels, size) -> StagedNetwork`` known by its own name."""
    _NETWORKS[function.__name__] = function
    return function


def names() -> tuple[str, ...]:
    """Return the names that `create` knows, sorted."""
    return tuple(sorted(_NETWORKS))


def create(
    name: str,
    classes: int,
    channels: int = 1,
    size: tuple[int, int] = (224, 224),
    head: Mapping[str, Any] | None = None,
) -> StagedNetwork:
    """Build a network with random weights.

    Parameters
    ----------
    name : str
        One of `names`.
    classes : int
        Number of logits.
    channels : int
        Channels of the input: 1 for grey images as they are.
    size : tuple of int
        Height and width of the input. Most networks take any; those that flatten their
        last map are built for one.
    head : mapping, optional
        Another head than the network's own, as the entries of a recipe's head: `kind`,
        `hidden`, `dropout`, `single`; see `napari_cxr.networks.heads.HeadPlan`.

    Raises
    ------
    ValueError
        If there is no such network, a number is below 1, an entry of the head is wrong,
        or the network does not take images of this size.
    """
    if name not in _NETWORKS:
        near = get_close_matches(name, _NETWORKS, n=3, cutoff=0.5)
        hint = f'Did you mean {" or ".join(near)}?' if near else f'There are {", ".join(names())}.'
        raise ValueError(f'There is no network {name!r}. {hint}')
    if classes < 1 or channels < 1:
        raise ValueError(f'{name} needs at least one class and one channel.')
    plan = HeadPlan.of(head or {}, classes)
    outputs = 1 if plan.single else classes
    network = _NETWORKS[name](outputs, channels, size)
    # Where the head takes any size, the stages may still not.
    features = list(network.shapes(*size).values())[-1][0]
    if plan.kind == 'average':
        network = network.with_head(plan.averaging(features, outputs), outputs, reads=())
    if plan.single:
        network = network.with_head(SingleOutput(network.head), classes)
    network.arch, network.size = name, size
    return network
