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
_MARGINS = 14
#: What is seen of some kinds of cells at least, where all probabilities are to be seen.
_TIGHT = {'file': 'covid…0001', 'answer': '▲ pneum…', 'label': '≠ pneum…', 'bar': '100 %'}
#: Pixels by which a text in several parts may be wider than the whole.
_ROUNDED = 4


def fitting_widths(
    columns: Mapping[int, Column],
    room: int,
    measure: Callable[[str], int],
    longest: Mapping[str, str] | None = None,
    kept: Mapping[int, int] | None = None,
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
    longest : mapping of str to str, optional
        The longest texts: 'file', 'answer', and 'against' with a person's own label.
    kept : mapping of int to int, optional
        Pixels of columns whose width is not to be changed.

    Returns
    -------
    dict of int to int
        Pixels, by the number of the column.
    """
    longest, kept = longest or {}, kept or {}
    columns = {i: column for i, column in columns.items() if i not in kept}
    room -= sum(kept.values())
    figure = measure('0')
    widths = {
        i: max(column.wide * figure, measure(f'{column.title} ▾')) + _MARGINS
        for i, column in columns.items()
    }
    answers = [i for i, column in columns.items() if column.kind == 'answer']
    if answer := longest.get('answer'):
        wide = max(measure(answer), measure('Answer ▾')) + _MARGINS + _ROUNDED
        widths |= dict.fromkeys(answers, wide)
        for i in (i for i, column in columns.items() if column.kind == 'label'):
            texts = (f'≠ {answer.removeprefix("▲ ")}', f'{columns[i].title} ▾')
            widths[i] = max(map(measure, texts)) + _MARGINS + _ROUNDED
    files = [i for i, column in columns.items() if column.kind == 'file']
    bars = [i for i, column in columns.items() if column.kind == 'bar']
    least = max(_NARROWEST, min(_USUAL, room // 4))
    widths |= dict.fromkeys(files, least)
    # Where there is no room for it all, at least the probabilities can be seen together:
    # narrow, until names and answers can be read.
    thin = {
        i: min(widths[i], max(measure(f'{columns[i].title} ▾'), measure('100.0 %')) + _MARGINS)
        for i in bars
    }
    beside = [i for i in _up_to_bars(columns) if i not in bars]
    first = sum(widths[i] for i in beside)
    called = sum(widths[i] for i, column in columns.items() if column.key == 'called')
    if first + sum(thin.values()) + called <= room:
        first += called  # what a decision says of them is seen beside them
    spare = room - first - sum(thin.values())
    for text, fitted in (('file', files), ('against', answers)):
        for i in fitted:
            wanted = min(measure(longest.get(text, '')) + _MARGINS + _ROUNDED, _WIDEST)
            more = max(min(wanted - widths[i], spare), 0)
            widths[i] += more
            spare -= more
    for i in bars:
        widths[i] = min(widths[i], thin[i] + max(spare, 0) // len(bars))
    if sum(widths[i] for i in _up_to_bars(columns)) > room:
        widths |= _tight(columns, widths, room, measure)  # or move sideways, in comfort
    left = max(room - sum(widths.values()), 0)
    reach = max(_WIDEST - sum(widths[i] for i in files), 0) if files else 0
    longer = min(max(left - reach, 0) // max(len(bars), 1), _LONGER)
    for i in bars:
        widths[i] += longer
    for i in files:
        widths[i] += left - longer * len(bars)
    return {**widths, **kept}


def _up_to_bars(columns: Mapping[int, Column]) -> list[int]:
    """Return the columns up to the last one of probabilities."""
    places = list(columns)
    bars = [place for place, i in enumerate(places) if columns[i].kind == 'bar']
    return places[: bars[-1] + 1] if bars else []


def _tight(
    columns: Mapping[int, Column],
    widths: Mapping[int, int],
    room: int,
    measure: Callable[[str], int],
) -> dict[int, int]:
    """Return widths at which all probabilities are seen, if only texts are shortened.

    Nothing where there is no room even so.
    """
    least, wanted = {}, {}
    for i in _up_to_bars(columns):
        kind, title = columns[i].kind, columns[i].title
        text = _TIGHT.get(kind)
        wanted[i] = measure(title) + _MARGINS if kind == 'bar' else widths[i]
        wanted[i] = min(wanted[i], widths[i])
        least[i] = min(wanted[i], measure(text) + _MARGINS) if text else widths[i]
    spare = room - sum(least.values())
    if spare < 0:
        return {}
    # What grows first is what says most: titles of classes, then labels, then names.
    for kinds in (('bar',), ('answer', 'label'), ('file',)):
        short = sorted(
            (i for i in least if columns[i].kind in kinds), key=lambda i: wanted[i] - least[i]
        )
        for left, i in zip(range(len(short), 0, -1), short, strict=True):
            more = min(wanted[i] - least[i], spare // left)
            least[i] += more
            spare -= more
    return least
