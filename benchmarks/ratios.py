"""What a benchmark measured, printed, and kept for `page.py` where it asks for it.

A ratio is of two things that took turns in one run, one value for each turn, so that the spread
of the values says how far the median can be trusted.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence

__all__ = ['KEPT', 'note_figure', 'note_ratio']

#: The variable that names the file in which ratios are kept, one JSON object a line.
KEPT = 'NAPARI_CXR_RATIOS'


def note_ratio(what: str, over: str, values: Sequence[float], aim: str = '') -> None:
    """Print one ratio with its spread.

    Parameters
    ----------
    what : str
        What is measured, in a few words.
    over : str
        What it is divided by.
    values : sequence of float
        One for each turn.
    aim : str, optional
        What it should be, such as '<= 0.35' or '>= 8'.
    """
    found = {'what': what, 'over': over, 'values': [float(v) for v in values], 'aim': aim}
    middle = statistics.median(found['values'])
    low, high = min(found['values']), max(found['values'])
    print(f'{what} / {over}: {middle:.2f} ({low:.2f} to {high:.2f}); aim {aim or "none"}')
    _keep(found)


def note_figure(what: str, unit: str, values: Sequence[float]) -> None:
    """Print a figure that is no ratio and holds for one machine only.

    Parameters
    ----------
    what : str
        What is measured, in a few words.
    unit : str
        Its unit.
    values : sequence of float
        One for each turn.
    """
    found = {'what': what, 'over': '', 'values': [float(v) for v in values], 'aim': ''}
    print(f'{what}: {statistics.median(found["values"]):.4g} {unit}')
    _keep(found | {'unit': unit})


def _keep(found: dict[str, object]) -> None:
    if path := os.environ.get(KEPT):
        with open(path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(found) + '\n')
