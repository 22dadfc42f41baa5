"""Probabilities in the table of scores: a figure, and a bar beside or below it."""

from __future__ import annotations

from qtpy.QtCore import QRect, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter

__all__ = ['draw_bar']

#: Pixels: beside a figure, and the height of a bar, as in the Classify dock.
_MARGIN, _BAR = 8, 6
#: Pixels: the least length of a bar beside its figure, and the height of one below it.
_LEAST, _THIN = 28, 3
_WIDEST = '100.0 %'


def draw_bar(
    painter: QPainter,
    room: QRect,
    whole: int,
    share: float,
    figure: str,
    colours: tuple[QColor, QColor, QColor],
) -> None:
    """Draw one.

    Parameters
    ----------
    painter : QPainter
        With the font of the figure.
    room : QRect
        Where.
    whole : int
        Pixels that figure and bar may be wide together: the same in all columns, or bars
        could not be compared.
    share : float
        In [0, 1].
    figure : str
        The same in words; where there is no room for it in any column, it is rounded.
    colours : tuple of QColor
        Of the figure, of the bar, and of what it leaves empty.
    """
    metrics = QFontMetricsF(painter.font())
    beside = whole - metrics.horizontalAdvance(_WIDEST) - _MARGIN
    if beside >= _LEAST:
        track = QRectF(room.left(), room.center().y() - _BAR / 2 + 0.5, beside, _BAR)
    else:
        below = room.center().y() + metrics.height() / 2 - 1
        track = QRectF(room.right() + 1 - whole, below, whole, _THIN)
        room = room.adjusted(0, 0, 0, -4)
    if metrics.horizontalAdvance(_WIDEST) > whole:
        figure = f'{100 * share:.0f} %'
    text, full, empty = colours
    painter.setPen(text)
    painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, figure)
    around = track.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(empty)
    painter.drawRoundedRect(track, around, around)
    # At least a dot, so that an empty bar is not taken for a missing one.
    track.setWidth(max(2 * around, track.width() * share))
    painter.setBrush(full)
    painter.drawRoundedRect(track, around, around)
