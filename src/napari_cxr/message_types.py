"""The types that a message between two processes may hold.

A type registers itself where it is defined, so whoever sends messages need not import every
type there is. A message that names a type of a module that this process has not imported yet
imports it, but only a module of `MODULES`, and of it only what has registered itself: a worker
that a malformed file has taken over can make its parent load nothing else.
"""

from __future__ import annotations

import importlib
from typing import TypeVar

__all__ = ['MODULES', 'is_message_type', 'message_type', 'type_name', 'type_named']

#: The modules that define such types.
MODULES = frozenset(
    {
        'napari_cxr.checkpoint.download',
        'napari_cxr.explain.feature_maps',
        'napari_cxr.explain.heatmap',
        'napari_cxr.inference.prediction',
        'napari_cxr.lungs.lung_field',
        'napari_cxr.radiograph',
        'napari_cxr.scoring.score_row',
        'napari_cxr.scoring.scoring_events',
        'napari_cxr.training.dataset_survey',
        'napari_cxr.training.training_events',
    }
)

_types: dict[str, type] = {}

C = TypeVar('C', bound=type)


def message_type(kind: C) -> C:
    """Let messages hold objects of a dataclass or an enumeration; a decorator.

    Above `dataclass`, which makes a new class where it adds slots.

    Raises
    ------
    ValueError
        If its module is not in `MODULES`: a process that has not imported the module would
        refuse the type.
    """
    if kind.__module__ not in MODULES:
        raise ValueError(f'{kind.__module__} is not listed in napari_cxr.message_types.MODULES')
    _types[f'{kind.__module__}.{kind.__name__}'] = kind
    return kind


def type_name(value: object) -> str:
    """Return the name of an object's class in a message, with its module."""
    return f'{type(value).__module__}.{type(value).__name__}'


def is_message_type(value: object) -> bool:
    """Return whether messages may hold an object."""
    return type_name(value) in _types


def type_named(name: str) -> type:
    """Return the type that a message names.

    Parameters
    ----------
    name : str
        As `type_name` returns it, from a process that may not be trusted.

    Raises
    ------
    KeyError
        If there is no such type.
    """
    module = name.rpartition('.')[0]
    if name not in _types and module in MODULES:
        importlib.import_module(module)
    return _types[name]
