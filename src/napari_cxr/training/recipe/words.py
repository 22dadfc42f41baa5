"""What each entry of a recipe is, in words: taken from the docstrings, so there is one place."""

from __future__ import annotations

import dataclasses
import inspect
import re
from functools import cache

__all__ = ['explanations', 'label_of']

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


def label_of(name: str) -> str:
    """Return an entry's name as people read it: 'learning_rate' is 'Learning rate'."""
    return _LABELS.get(name, name.replace('_', ' ').capitalize())


@cache
def explanations(cls: type) -> dict[str, str]:
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
