"""How wide the columns of the table of scores are. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from napari_cxr.plugin.scores.columns import Column

__all__ = ['fitting_widths']

#: Pixels: the column of files at least, usually, and before bars grow longer too.
_NARROWEST, _USUAL, _WIDEST = 120, 220, 420
#: Pixels that bars may grow longer.
_LONGER = 80
#: Pixels beside what is in a column.
_MARGINS = 18
#: Kinds of columns that stand before the probabilities.
_FIRST = ('picture', 'number', 'file', 'answer')


def fitting_widths(
    columns: Mapping[int, Column], room: int, measure: Callable[[str], int]
) -> dict[int, int]:
    """Return widths at which titles and usual contents fit; files take what is left.

    Parameters
    ----------
    columns : mapping of int to Column
        Those that are shown, by their number.
    room : int
        Pixels that there are for all.
    measure : callable
        From a text to the pixels that it is wide.

    Returns
    -------
    dict of int to int
        Pixels, by the number of the column.
    """
    figure = measure('0')
    widths = {
        i: max(column.wide * figure, measure(f'{column.title} ▾')) + _MARGINS
        for i, column in columns.items()
    }
    files = [i for i, column in columns.items() if column.kind == 'file']
    bars = [i for i, column in columns.items() if column.kind == 'bar']
    least = max(_NARROWEST, min(_USUAL, room // 4))
    widths |= dict.fromkeys(files, least)
    # Where there is no room for it all, at least the probabilities can be seen together.
    first = sum(widths[i] for i, column in columns.items() if column.kind in _FIRST)
    for i in bars:
        thin = max(measure(columns[i].title), measure('100.0 %')) + _MARGINS
        widths[i] = min(widths[i], max((room - first) // len(bars), thin))
    left = max(room - sum(widths.values()), 0)
    longer = min(max(left - _WIDEST + least, 0) // max(len(bars), 1), _LONGER)
    for i in bars:
        widths[i] += longer
    for i in files:
        widths[i] += left - longer * len(bars)
    return widths
