"""From nested tables, as in TOML, to frozen dataclasses and back, with every entry checked.

Descriptions of the entries are taken from the docstrings, so they stand in one place.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
import re
import types
import typing
from functools import cache
from typing import Any, Literal

__all__ = [
    'RecipeError',
    'as_table',
    'build_from_table',
    'check_entry',
    'field_descriptions',
    'field_label',
]

#: Entries of older recipes and run folders, and what replaces them.
_RENAMED = {'split.source': 'split.left_out'}


class RecipeError(Exception):
    """A recipe that is not valid; the message names the entry and what it may be."""


def check_entry(condition: bool, entry: str, rule: str) -> None:
    """Raise RecipeError that `entry` must be as the rule says, unless it is."""
    if not condition:
        raise RecipeError(f'{entry} must be {rule}.')


def build_from_table(cls: type, entries: object, where: str = '') -> Any:
    """Build a dataclass from a nested table.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are strings, numbers, booleans, literals, tuples and
        tables of these, dataclasses, or any of these or None (written 'none').
    entries : dict
        The table.
    where : str
        Prefix of its entries in messages: '', or for instance 'split.'.

    Raises
    ------
    RecipeError
        If an entry is unknown, missing, of the wrong type or out of range.
    """
    if not isinstance(entries, dict):
        raise RecipeError(f'{where.rstrip(".")} must be a table.')
    kinds = _kinds(cls)
    for key in entries:
        if key not in kinds:
            near = difflib.get_close_matches(str(key), list(kinds), n=1)
            meant = f'; did you mean {where}{near[0]}?' if near else '.'
            if (now := _RENAMED.get(f'{where}{key}')) is not None:
                meant = f' any more; use {now} instead, or leave it out.'
            raise RecipeError(f'{where}{key} is not an entry of a recipe{meant}')
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.name not in entries
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise RecipeError(f'The recipe lacks {where}{missing[0]}.')
    values = {key: _value(kinds[key], value, f'{where}{key}') for key, value in entries.items()}
    try:
        return cls(**values)
    except ValueError as error:  # of Preprocessing
        raise RecipeError(f'{where.rstrip(".")}: {error}.') from None


@functools.cache  # a sweep builds hundreds of recipes, and this is most of it
def _kinds(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _value(kind: Any, value: object, where: str) -> Any:
    """Return `value` if it is of this type, one of those that recipes use."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build_from_table(typing.cast(type, kind), value, f'{where}.')
    if origin is Literal:
        check_entry(value in arguments, where, f'one of {", ".join(map(repr, arguments))}')
        return value
    if origin is types.UnionType:  # a value, or None, which is written 'none'
        return None if value == 'none' else _value(arguments[0], value, where)
    if origin is tuple:
        check_entry(isinstance(value, list | tuple), where, 'a list')
        items = typing.cast(list[object], value)
        fixed = Ellipsis not in arguments
        check_entry(
            not fixed or len(items) == len(arguments), where, f'a list of {len(arguments)}'
        )
        return tuple(_value(arguments[0], item, where) for item in items)
    if origin is dict:
        check_entry(isinstance(value, dict), where, 'a table')
        entries = typing.cast(dict[str, object], value)
        return {key: _value(arguments[1], item, f'{where}.{key}') for key, item in entries.items()}
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        check_entry(number and math.isfinite(typing.cast(float, value)), where, 'a number')
        return float(typing.cast(float, value))
    if kind is int:
        check_entry(
            isinstance(value, int) and not isinstance(value, bool), where, 'a whole number'
        )
    elif kind is bool:
        check_entry(isinstance(value, bool), where, 'true or false')
    else:
        check_entry(isinstance(value, str), where, 'a text')
    return value


def as_table(value: Any) -> Any:
    """Return a dataclass as the nested table that `build_from_table` reads back."""
    if dataclasses.is_dataclass(value):
        return {f.name: as_table(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [as_table(item) for item in value]
    if isinstance(value, dict):
        return {key: as_table(item) for key, item in value.items()}
    return 'none' if value is None else value


_ENTRY = re.compile(r'^(\w+(?:, \w+)*) : ')

#: Labels that do not follow from the name.
_LABELS = {
    'ema': 'EMA',
    'shift_rgb': 'Shift of RGB',
    'shift_hsv': 'Shift of HSV',
    'up_to': 'Frozen up to',
    'bits': 'Bits kept',
    'jpeg': 'JPEG quality',
    'val': 'Validation fraction',
    'test': 'Test fraction',
    'std': 'Standard deviation',
    'fit': 'Fit to size',
    'only': 'Only classes',
    'left_out': 'Held-out sources',
    'then_all': 'Then train on all',
}


def field_label(name: str) -> str:
    """Return the label of an entry: 'learning_rate' becomes 'Learning rate'."""
    return _LABELS.get(name, name.replace('_', ' ').capitalize())


@cache
def field_descriptions(cls: type) -> dict[str, str]:
    """Return the description of each field in a dataclass's docstring.

    Parameters
    ----------
    cls : type
        A dataclass with a numpydoc section "Parameters".

    Returns
    -------
    dict of str to str
        One paragraph for each field, without line breaks; fields on one line share it.
    """
    text = inspect.getdoc(cls) or ''
    _, _, text = text.partition('Parameters\n----------\n')
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if entry := _ENTRY.match(line):
            current = []
            found |= dict.fromkeys(entry[1].split(', '), current)
        elif line.startswith('    ') and current is not None:
            current.append(line.strip())
        elif line.strip():
            break  # the next section
    known = {f.name for f in dataclasses.fields(cls)}
    return {name: ' '.join(lines) for name, lines in found.items() if name in known}
