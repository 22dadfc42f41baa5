"""The networks by name. A network is one function and one line above it.

Other packages add theirs through the entry-point group ``napari_cxr.networks``.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from napari_cxr.entry_points import NETWORKS, installed
from napari_cxr.networks.staged import StagedNetwork

__all__ = ['NetworkFactory', 'find_network', 'names', 'register']

NetworkFactory = Callable[[int, int, tuple[int, int]], StagedNetwork]
_NETWORKS: dict[str, NetworkFactory] = {}


def register(function: NetworkFactory, name: str = '') -> NetworkFactory:
    """Register a function ``(classes, channels, size) -> StagedNetwork`` under its own name."""
    _NETWORKS[name or function.__name__] = function
    return function


def names() -> tuple[str, ...]:
    """Return the names of all networks, sorted, those of other installed packages included."""
    return tuple(sorted([*_NETWORKS, *installed(NETWORKS, _NETWORKS)]))


def find_network(name: str) -> NetworkFactory:
    """Return the function that makes a network.

    Raises
    ------
    ValueError
        If there is none of this name; the message lists similar names.
    """
    if name in _NETWORKS:
        return _NETWORKS[name]
    if name in (others := installed(NETWORKS, _NETWORKS)):
        return others[name]
    near = get_close_matches(name, names(), n=3, cutoff=0.5)
    hint = f'Did you mean {" or ".join(near)}?' if near else f'There are {", ".join(names())}.'
    raise ValueError(
        f'There is no network {name!r}. {hint} Others are written torchvision:NAME or timm:NAME.'
    )
