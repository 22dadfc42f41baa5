"""Dots: a scatter plot of points by class, and metrics with their confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cxr.plugin.plots.axes import Axes, Scale, number_text
from napari_cxr.plugin.plots.plot import (
    LegendEntry,
    Plot,
    class_color,
    draw_mark,
    draw_value_box,
    faint_text,
    quiet_text,
)
from napari_cxr.plugin.style import theme_color

__all__ = ['Intervals', 'Scatter']

#: Pixels from the mouse within which a dot is meant.
_REACH = 14.0

#: Dots of several classes at one place stand around it, so that none covers another.
_APART = 4.5


@dataclass(frozen=True, eq=False)
class _Dots:
    """The dots: one for each place and class, however many points lie in it.

    Parameters
    ----------
    xs, ys : ndarray, shape (m,)
        Where.
    classes : ndarray of int, shape (m,)
        Of which class.
    turn : ndarray, shape (m, 2)
        Where they stand around the place, in parts of `_APART`.
    members : list of ndarray of int
        The points in each.
    """

    xs: np.ndarray
    ys: np.ndarray
    classes: np.ndarray
    turn: np.ndarray
    members: list[np.ndarray]

    @property
    def radii(self) -> np.ndarray:
        """Radii in pixels, which grow with the number of points."""
        return 2.6 + 1.3 * np.log10([len(m) for m in self.members])


class Scatter(Plot):
    """Dots by class; one for all points of a class at the same place.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    title, x_name, y_name : str
        What is shown, to the right and upwards.
    parent : QWidget, optional
        Qt parent.
    """

    #: The number of the point that a person chose; again on the same dot gives the next.
    chosen = Signal(int)

    def __init__(
        self,
        theme: str,
        title: str = '',
        x_name: str = '',
        y_name: str = '',
        parent: QWidget | None = None,
    ) -> None:
        self._names: tuple[str, ...] = ()
        self._dots = _gather(np.zeros(0), np.zeros(0), np.zeros(0, int))
        self._x_name, self._y_name = x_name, y_name
        self._under: int | None = None
        self._next = 0
        self._picture: QPixmap | None = None
        super().__init__(theme, title, parent)

    def set_points(
        self, xs: np.ndarray, ys: np.ndarray, classes: np.ndarray, names: Sequence[str]
    ) -> None:
        """Show points.

        Parameters
        ----------
        xs, ys : ndarray, shape (n,)
            Where they lie; points that are not finite are left out.
        classes : ndarray of int, shape (n,)
            Their classes, from 0.
        names : sequence of str
            What the classes are called.
        """
        self._names = tuple(names)
        self._dots = _gather(np.asarray(xs, float), np.asarray(ys, float), np.asarray(classes))
        self._under, self._next, self._picture = None, 0, None
        count = sum(len(m) for m in self._dots.members)
        self.setAccessibleDescription(f'{count} points of {len(self._names)} classes')
        self.fit_height()
        self.update()

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._picture = None
        super().set_theme(theme)

    def entries(self) -> list[LegendEntry]:
        """Return the classes."""
        return [LegendEntry(name, self._sign(i), width=9) for i, name in enumerate(self._names)]

    def _sign(self, number: int) -> Callable[[QPainter, QRectF], None]:
        def draw(painter: QPainter, box: QRectF) -> None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(class_color(self.theme, number))
            draw_mark(painter, box.center(), 4, number)

        return draw

    def axes(self) -> Axes:
        """Return where values lie on the widget, with a row for the axes' names."""
        metrics = QFontMetricsF(self.font())
        above = metrics.height() + 2 if self._y_name else 0.0
        below = metrics.height() if self._x_name else 0.0
        x = Scale.around([self._dots.xs], whole=True)
        y = Scale.around([self._dots.ys], whole=True)
        return Axes.within(self.plot_area().adjusted(0, above, 0, -below), x, y, metrics)

    def centres(self) -> np.ndarray:
        """Return the pixels of the dots: shape (m, 2), x then y."""
        return self.axes().points(self._dots.xs, self._dots.ys) + _APART * self._dots.turn

    # -- painting -----------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw axes and dots, and say what lies under the mouse."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw_head(painter)
        if not self._dots.members:
            self.draw_empty(painter)
            painter.end()
            return
        axes = self.axes()
        quiet = quiet_text(self.theme)
        axes.draw(painter, quiet, faint_text(self.theme))
        painter.setPen(quiet)
        area = self.plot_area()
        painter.drawText(
            area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, self._y_name
        )
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom
        painter.drawText(area, right, self._x_name)
        painter.drawPixmap(0, 0, self._painted())
        if self._under is not None:
            self._draw_under(painter, self._under)
        painter.end()

    def _painted(self) -> QPixmap:
        """Return the dots, painted once for a size."""
        ratio = self.devicePixelRatioF()
        size = self.size() * ratio
        if self._picture is None or self._picture.size() != size:
            picture = QPixmap(size)
            picture.setDevicePixelRatio(ratio)
            picture.fill(Qt.GlobalColor.transparent)
            painter = QPainter(picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            edge = self.color('background')
            painter.setPen(QPen(edge, 0.7))
            centres, radii = self.centres(), self._dots.radii
            for i in np.argsort(-radii, kind='stable'):  # small ones on top
                number = int(self._dots.classes[i])
                painter.setBrush(class_color(self.theme, number))
                draw_mark(painter, QPointF(*centres[i]), float(radii[i]), number)
            painter.end()
            self._picture = picture
        return self._picture

    def _draw_under(self, painter: QPainter, dot: int) -> None:
        centre = QPointF(*self.centres()[dot])
        number, count = int(self._dots.classes[dot]), len(self._dots.members[dot])
        color = class_color(self.theme, number)
        radius = float(self._dots.radii[dot])
        painter.setPen(QPen(self.color('text'), 1.5))
        painter.setBrush(color)
        draw_mark(painter, centre, radius + 1, number)
        rows: list[tuple[str, str, QColor | None]] = [
            (self._names[number], number_text(count), color),
            (self._x_name or 'x', number_text(float(self._dots.xs[dot])), None),
            (self._y_name or 'y', number_text(float(self._dots.ys[dot])), None),
        ]
        draw_value_box(painter, QRectF(self.rect()), centre, rows, self)

    # -- mouse and keyboard -------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Say what lies under the mouse."""
        if event is not None:
            self._point_at(self._nearest(event.position()))

    def leaveEvent(self, event: QEvent | None) -> None:
        """Say nothing any more."""
        self._point_at(None)
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the point under the mouse."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._point_at(self._nearest(event.position()))
            self._choose()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move through the dots with the arrow keys, and choose with Return."""
        if event is None or not self._dots.members:
            return
        step = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Down: 1,
        }.get(Qt.Key(event.key()))
        if step is not None:
            last = len(self._dots.members) - 1
            at = 0 if self._under is None else min(max(self._under + step, 0), last)
            self._point_at(at)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose()
        else:
            super().keyPressEvent(event)

    def _nearest(self, position: QPointF) -> int | None:
        if not self._dots.members:
            return None
        away = np.hypot(*(self.centres() - [position.x(), position.y()]).T)
        at = int(np.argmin(away))
        return at if away[at] <= max(_REACH, self._dots.radii[at]) else None

    def _point_at(self, dot: int | None) -> None:
        if dot != self._under:
            self._under, self._next = dot, 0
            self.update()

    def _choose(self) -> None:
        if self._under is not None:
            members = self._dots.members[self._under]
            self.chosen.emit(int(members[self._next % len(members)]))
            self._next += 1


def _gather(xs: np.ndarray, ys: np.ndarray, classes: np.ndarray) -> _Dots:
    """Put the points of a class at one place into one dot; dots are sorted by place."""
    kept = np.flatnonzero(np.isfinite(xs) & np.isfinite(ys))
    rows = np.column_stack([xs[kept], ys[kept], classes[kept]])
    if not len(rows):
        empty = np.zeros(0)
        return _Dots(empty, empty, np.zeros(0, int), np.zeros((0, 2)), [])
    found, which = np.unique(rows, axis=0, return_inverse=True)
    which = which.ravel()
    order = np.argsort(which, kind='stable')
    members = np.split(kept[order], np.flatnonzero(np.diff(which[order])) + 1)
    _, place, sharing = np.unique(found[:, :2], axis=0, return_inverse=True, return_counts=True)
    place = place.ravel()
    first = np.searchsorted(place, place)  # places are sorted, for `found` is
    angle = 2 * np.pi * (np.arange(len(found)) - first) / sharing[place]
    turn = np.column_stack([np.cos(angle), np.sin(angle)]) * (sharing[place] > 1)[:, None]
    return _Dots(found[:, 0], found[:, 1], found[:, 2].astype(int), turn, members)


_PAD = 2.0

_TRACK = 16.0


class Intervals(QWidget):
    """A row for each metric: its name and numbers, and below them a dot on its interval.

    The scale runs from chance to perfect, 0.5 to 1 of an area under the curve, or from 0
    where a metric is below chance.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: list[tuple[str, tuple[float, float, float]]] = []
        self.setMinimumWidth(220)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName('Area under the curve without anatomy')
        self.setToolTip(
            'Area under the curve: 0.5 is chance, 1 is perfect. The line is the 95 % interval.'
        )
        self._fit_height()

    def set_intervals(self, intervals: Mapping[str, tuple[float, float, float]]) -> None:
        """Show metrics: name to value, low and high."""
        self._rows = list(intervals.items())
        self.setAccessibleDescription(', '.join(f'{n} {_text(f)}' for n, f in self._rows))
        self._fit_height()
        self.update()

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size at which usual names fit."""
        return QSize(360, self.height())

    def _row_height(self) -> float:
        return QFontMetricsF(self.font()).height() + _TRACK + 4

    def _fit_height(self) -> None:
        scale = QFontMetricsF(self.font()).height()
        self.setFixedHeight(max(1, round(len(self._rows) * self._row_height() + scale)))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the rows, and the scale below them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = QFontMetricsF(self.font())
        text, accent = theme_color(self._theme, 'text'), class_color(self._theme, 0)
        finite = [v for _, interval in self._rows for v in interval if np.isfinite(v)]
        low = 0.5 if min(finite, default=0.5) >= 0.5 else 0.0
        left, width = _PAD, self.width() - 2 * _PAD
        # The dots at the ends stay whole.
        first, length = left + 4, width - 8

        def place(value: float) -> float:
            return first + length * (min(max(value, low), 1.0) - low) / (1.0 - low)

        for i, (name, interval) in enumerate(self._rows):
            top = i * self._row_height()
            line = QRectF(left, top, width, metrics.height())
            numbers = _text(interval)
            space = width - metrics.horizontalAdvance(numbers) - 10
            painter.setPen(text)
            short = metrics.elidedText(name, Qt.TextElideMode.ElideRight, space)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft, short)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight, numbers)
            y = line.bottom() + _TRACK / 2
            painter.setPen(QPen(faint_text(self._theme), 1))
            painter.drawLine(QPointF(left, y), QPointF(left + width, y))
            value, lower, upper = interval
            if np.isfinite(interval).all():
                pen = QPen(accent, 3)
                pen.setCapStyle(Qt.PenCapStyle.RoundCap)
                painter.setPen(pen)
                painter.drawLine(QPointF(place(lower), y), QPointF(place(upper), y))
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(text)
                painter.drawEllipse(QPointF(place(value), y), 4, 4)
        painter.setPen(quiet_text(self._theme))
        bottom = QRectF(left, self.height() - metrics.height(), width, metrics.height())
        if self._rows:
            start = '0.5, chance' if low else '0'
            painter.drawText(bottom, Qt.AlignmentFlag.AlignLeft, start)
            painter.drawText(bottom, Qt.AlignmentFlag.AlignRight, '1, perfect')
        painter.end()


def _text(interval: tuple[float, float, float]) -> str:
    value, low, high = interval
    return f'{value:.2f} ({low:.2f}–{high:.2f})'
