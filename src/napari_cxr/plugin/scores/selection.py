"""Selected lines of the table of scores, of which there may be a hundred thousand."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QItemSelection

from napari_cxr.plugin.scores.table_model import ScoreModel

__all__ = ['lines_in', 'selection_of']

#: More stretches of lines than this take too long to select.
_MOST = 2000


def lines_in(selection: QItemSelection) -> list[int]:
    """Return the lines of a selection, from the top."""
    lines: set[int] = set()
    for i in range(len(selection)):
        lines.update(range(selection[i].top(), selection[i].bottom() + 1))
    return sorted(lines)


def selection_of(places: np.ndarray, model: ScoreModel) -> QItemSelection:
    """Return rows, wherever they are now, in as few stretches of lines as there are.

    Parameters
    ----------
    places : ndarray of int, shape (n,)
        Their places among all rows; those that are not shown are left out.
    model : ScoreModel
        Whose lines.

    Returns
    -------
    QItemSelection
        Empty, where there are too many stretches.
    """
    found, held = QItemSelection(), np.zeros(len(model.rows), dtype=bool)
    held[places] = True
    lines = np.flatnonzero(held[model.order.shown])
    cuts = np.flatnonzero(np.diff(lines) > 1) + 1
    if len(lines) and len(cuts) < _MOST:
        last = len(model.columns) - 1
        for part in np.split(lines, cuts):
            found.select(model.index(int(part[0]), 0), model.index(int(part[-1]), last))
    return found
