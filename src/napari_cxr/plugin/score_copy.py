"""Rows of the table of scores as text that spreadsheets take. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari_cxr.plugin.score_columns import PICTURE, Column
from napari_cxr.plugin.score_rows import ScoreRows

__all__ = ['as_text']


def as_text(rows: ScoreRows, columns: Sequence[Column], places: Iterable[int]) -> str:
    """Return rows with a line of titles above, cells apart by tabs.

    Parameters
    ----------
    rows : ScoreRows
        All rows.
    columns : sequence of Column
        What to write of each.
    places : iterable of int
        Which.
    """
    written = [column for column in columns if column.key != PICTURE]
    lines = ['\t'.join(_one_line(column.title) for column in written)]
    for place in places:
        lines.append('\t'.join(_one_line(column.copied(rows, place)) for column in written))
    return '\n'.join(lines) + '\n'


def _one_line(text: str) -> str:
    return ' '.join(text.split()) if '\t' in text or '\n' in text or '\r' in text else text
