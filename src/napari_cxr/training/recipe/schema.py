"""Nested tables, as TOML has them, to frozen dataclasses and back; strict about every entry.

What each entry means is taken from the docstrings, so there is one place for it.
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

#: What older recipes and run folders have, and what says it now.
_RENAMED = {'split.source': 'split.left_out'}


class RecipeError(Exception):
    """A recipe that makes no sense; the message names the entry and what it may be."""


def check_entry(condition: bool, entry: str, rule: str) -> None:
    """Raise RecipeError that `entry` must be as the rule says, unless it is."""
    if not condition:
        raise RecipeError(f'{entry} must be {rule}.')


def build_from_table(cls: type, entries: object, where: str = '') -> Any:
    """Build a dataclass from a nested table.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are texts, numbers, booleans, literals, tuples
        and tables of them, dataclasses, or one of these or None (written 'none').
    entries : dict
        The table.
    where : str
        Its place in the whole, for messages: '' or for instance 'split.'.

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
                meant = f' any more; take {now} instead, or leave it out.'
            raise RecipeError(f'{where}{key} is no entry of a recipe{meant}')
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
    except ValueError as error:  # Preprocessing speaks for itself
        raise RecipeError(f'{where.rstrip(".")}: {error}.') from None


@functools.cache  # a sweep builds hundreds of recipes, and this is most of it
def _kinds(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _value(kind: Any, value: object, where: str) -> Any:
    """Return `value` if it is of this kind; the kinds are those that recipes use."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build_from_table(typing.cast(type, kind), value, f'{where}.')
    if origin is Literal:
        check_entry(value in arguments, where, f'one of {", ".join(map(repr, arguments))}')
        return value
    if origin is types.UnionType:  # a value, or None for 'none' written out
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

#: Words that a name alone would get wrong.
_LABELS = {
    'ema': 'EMA',
    'shift_rgb': 'Shift of RGB',
    'shift_hsv': 'Shift of HSV',
    'up_to': 'Frozen up to',
    'bits': 'Bits kept',
    'jpeg': 'JPEG quality',
    'val': 'Validation share',
    'test': 'Test share',
    'std': 'Standard deviation',
    'fit': 'Fit to size',
    'only': 'Only classes',
    'left_out': 'Sources left out',
    'then_all': 'Then learn from all',
}


def field_label(name: str) -> str:
    """Return an entry's name as people read it: 'learning_rate' is 'Learning rate'."""
    return _LABELS.get(name, name.replace('_', ' ').capitalize())


@cache
def field_descriptions(cls: type) -> dict[str, str]:
    """Return what a recipe's dataclass says of each of its fields.

    Parameters
    ----------
    cls : type
        A dataclass with a numpydoc section "Parameters".

    Returns
    -------
    dict of str to str
        One paragraph a field, without line breaks; fields that share a line share it.
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
