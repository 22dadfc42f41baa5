"""What other installed packages add to napari-cxr, by entry-point group.

An entry point names a callable; its own name is the name under which people find it. An entry
that cannot be used costs only itself: it is left out, and the log says why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import Any

from napari_cxr.output_text import get_logger

__all__ = ['EXPLANATION_METHODS', 'EXPORTERS', 'NETWORKS', 'installed']

NETWORKS = 'napari_cxr.networks'
EXPLANATION_METHODS = 'napari_cxr.explanation_methods'
EXPORTERS = 'napari_cxr.exporters'

log = get_logger(__name__)


def installed(group: str, builtin: Collection[str] = ()) -> dict[str, Callable[..., Any]]:
    """Return what other packages offer in a group, by name.

    Parameters
    ----------
    group : str
        One of the groups above.
    builtin : collection of str
        Names that are taken; an entry point with one of them is left out.
    """
    found = {}
    for name, function in _loaded(group).items():
        if name in builtin:
            _report(group, name, 'napari-cxr has one of that name')
        else:
            found[name] = function
    return found


@cache
def _loaded(group: str) -> Mapping[str, Callable[..., Any]]:
    """Import the entry points of a group, once in a process."""
    found: dict[str, Callable[..., Any]] = {}
    for entry in metadata.entry_points(group=group):
        try:
            function = entry.load()
            if not callable(function):
                raise TypeError(f'{entry.value} is not callable')
            if entry.name in found:
                raise ValueError('another package has one of that name')
        except Exception as error:  # whatever goes wrong in another package is its own matter
            _report(group, entry.name, f'{type(error).__name__}: {error}')
        else:
            found[entry.name] = function
    return MappingProxyType(found)


@cache  # each is reported once
def _report(group: str, name: str, reason: str) -> None:
    log.error('The entry point %r of the group %s is left out: %s.', name, group, reason)
