"""Rows of the table of scores as text that spreadsheets take. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cxr.plugin.scores.columns import PICTURE, Column
from napari_cxr.plugin.scores.rows import ScoreRows

__all__ = ['as_text']


def as_text(rows: ScoreRows, columns: Sequence[Column], places: Sequence[int] | np.ndarray) -> str:
    """Return rows with a line of titles above, cells apart by tabs.

    Parameters
    ----------
    rows : ScoreRows
        All rows.
    columns : sequence of Column
        What to write of each.
    places : sequence of int
        Which.
    """
    places = np.asarray(places, dtype=np.int64)
    written = [column for column in columns if column.key != PICTURE]
    cells = [_cells(rows, column, places) for column in written]
    lines = ['\t'.join(_one_line(column.title) for column in written)]
    lines += ['\t'.join(line) for line in zip(*cells, strict=True)]
    return '\n'.join(lines) + '\n'


def _cells(rows: ScoreRows, column: Column, places: np.ndarray) -> list[str]:
    if column.kind in ('bar', 'share'):  # one by one they would take a second
        values = rows.numbers[column.key].values[places].tolist()
        return ['' if value != value else f'{value:.7g}' for value in values]
    if column.kind in ('file', 'text', 'label', 'note'):  # each different one is looked at once
        words = rows.words[column.key]
        texts = [_one_line(text) for text in words.texts]
        return [texts[code] for code in words.codes[places].tolist()]
    return [_one_line(column.copied(rows, place)) for place in places.tolist()]


def _one_line(text: str) -> str:
    return ' '.join(text.split()) if '\t' in text or '\n' in text or '\r' in text else text
