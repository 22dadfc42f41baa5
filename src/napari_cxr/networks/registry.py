"""The networks by name. A network is one function and one line above it."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from napari_cxr.networks.staged import StagedNetwork

__all__ = ['NetworkFactory', 'find_network', 'names', 'register']

NetworkFactory = Callable[[int, int, tuple[int, int]], StagedNetwork]
_NETWORKS: dict[str, NetworkFactory] = {}


def register(function: NetworkFactory, name: str = '') -> NetworkFactory:
    """Make a function ``(classes, channels, size) -> StagedNetwork`` known, by its own name."""
    _NETWORKS[name or function.__name__] = function
    return function


def names() -> tuple[str, ...]:
    """Return the names that are registered, sorted."""
    return tuple(sorted(_NETWORKS))


def find_network(name: str) -> NetworkFactory:
    """Return the function that makes a network.

    Raises
    ------
    ValueError
        If there is none of this name; the message says which are near it.
    """
    if name not in _NETWORKS:
        near = get_close_matches(name, _NETWORKS, n=3, cutoff=0.5)
        hint = f'Did you mean {" or ".join(near)}?' if near else f'There are {", ".join(names())}.'
        raise ValueError(
            f'There is no network {name!r}. {hint} '
            'Others are written torchvision:NAME or timm:NAME.'
        )
    return _NETWORKS[name]
