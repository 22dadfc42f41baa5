"""One named line, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPen

__all__ = ['Line', 'pen_of', 'stretches']


class Line(NamedTuple):
    """One line.

    Parameters
    ----------
    name : str
        For the legend.
    xs, ys : sequence of float
        As many of both; NaN in `ys` leaves a gap.
    style : {'solid', 'dashed'}
        Dashed lines are those of a second run.
    color : int, optional
        Number of its colour; without, the first solid and the first dashed line have
        the first colour, the second ones the second, and so on.
    """

    name: str
    xs: Sequence[float] | np.ndarray
    ys: Sequence[float] | np.ndarray
    style: Literal['solid', 'dashed'] = 'solid'
    color: int | None = None


def pen_of(color: QColor, style: str) -> QPen:
    """Return the pen of a solid or a dashed line."""
    pen = QPen(color, 2)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    if style == 'dashed':
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pen.setDashPattern([3, 2])
    return pen


def stretches(good: np.ndarray) -> list[slice]:
    """Return the stretches of an array of truth values that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
