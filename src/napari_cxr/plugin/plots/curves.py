"""Named lines over a common x, such as the losses of a run over its epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt
from qtpy.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QFontMetricsF,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from qtpy.QtWidgets import QMenu, QWidget

from napari_cxr.plugin.plots.axes import Axes, Scale, number_text
from napari_cxr.plugin.plots.bubble import draw_bubble
from napari_cxr.plugin.plots.legend import Entry
from napari_cxr.plugin.plots.line import Line, pen_of, stretches
from napari_cxr.plugin.plots.palette import class_color
from napari_cxr.plugin.plots.plot import Plot, faint_text, quiet_text

__all__ = ['Curves']

#: Radius of a line that has one value only, pixels.
_DOT = 3.5


class Curves(Plot):
    """Lines with axes, a legend above them, and their values where the mouse is.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    title : str
        What the lines are of, such as 'Loss'.
    x_name : str
        What x counts, for the values at the mouse, such as 'epoch'.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(
        self, theme: str, title: str = '', x_name: str = 'epoch', parent: QWidget | None = None
    ) -> None:
        self._lines: list[Line] = []
        self._colors: list[int] = []
        self._log = False
        self._x_name = x_name
        self._shown_at: float | None = None
        super().__init__(theme, title, parent)

    # -- what is shown ------------------------------------------------------------------

    def set_lines(self, lines: Sequence[Line | tuple]) -> None:
        """Show these lines, each a `Line` or a tuple of its values."""
        self._lines, self._colors = [], []
        taken = {'solid': 0, 'dashed': 0}
        for given in lines:
            line = Line(*given)
            if line.style not in taken:
                raise ValueError(f'A line is solid or dashed, not {line.style!r}.')
            xs = np.array(line.xs, dtype=float)  # a copy: the caller's list may grow
            ys = np.array(line.ys, dtype=float)
            if xs.shape != ys.shape or xs.ndim != 1:
                raise ValueError(
                    f'The line {line.name!r} has {xs.size} places and {ys.size} values; '
                    'give as many of both.'
                )
            order = np.argsort(xs, kind='stable')
            self._lines.append(Line(line.name, xs[order], ys[order], line.style, line.color))
            self._colors.append(taken[line.style] if line.color is None else line.color)
            taken[line.style] += 1
        self.setAccessibleDescription(', '.join(self._last_values()))
        self.fit_height()
        self.update()

    @property
    def lines(self) -> list[Line]:
        """What is shown."""
        return list(self._lines)

    @property
    def log_y(self) -> bool:
        """Whether the y axis is logarithmic; values that are not positive are gaps there."""
        return self._log

    def set_log_y(self, log: bool) -> None:
        """Draw the y axis logarithmic, or not."""
        self._log = log
        self.update()

    @property
    def shown_at(self) -> float | None:
        """The x whose values are shown, or None."""
        return self._shown_at

    def values_at(self, x: float) -> list[tuple[str, float]]:
        """Return name and value of each line at a place, NaN where it has none there."""
        out = []
        for line in self._lines:
            at = np.flatnonzero(np.asarray(line.xs) == x)
            out.append((line.name, float(line.ys[at[-1]]) if at.size else float('nan')))
        return out

    def copy_values(self) -> None:
        """Put all values on the clipboard, as a table with tabs."""
        rows = ['\t'.join([self._x_name, *(line.name for line in self._lines)])]
        for x in self._places():
            values = (v for _, v in self.values_at(float(x)))
            rows.append('\t'.join([f'{x:g}', *(f'{v:.6g}' if v == v else '' for v in values)]))
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText('\n'.join(rows))

    def _last_values(self) -> list[str]:
        out = []
        for line in self._lines:
            seen = np.asarray(line.ys)[np.isfinite(line.ys)]
            out.append(f'{line.name} {number_text(seen[-1])}' if seen.size else line.name)
        return out

    def _places(self) -> np.ndarray:
        arrays = [np.asarray(line.xs) for line in self._lines]
        return np.unique(np.concatenate(arrays)) if arrays else np.zeros(0)

    def entries(self) -> list[Entry]:
        """Return the names of the lines."""
        out = []
        for line, number in zip(self._lines, self._colors, strict=True):
            color = class_color(self.theme, number)
            out.append(Entry(line.name, self._sign(line, color)))
        return out

    def _sign(self, line: Line, color: QColor) -> Callable[[QPainter, QRectF], None]:
        def draw(painter: QPainter, box: QRectF) -> None:
            painter.setPen(pen_of(color, line.style))
            y = box.center().y()
            if len(line.xs) == 1:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(color)
                painter.drawEllipse(box.center(), _DOT, _DOT)
                return
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))

        return draw

    def axes(self) -> Axes:
        """Return where values lie on the widget."""
        places = self._places()
        whole = bool(places.size) and bool(np.all(places == np.round(places)))
        x = Scale.around([places], whole=whole, margin=0.02)
        y = Scale.around([np.asarray(line.ys) for line in self._lines], log=self._log)
        return Axes.within(self.room(), x, y, QFontMetricsF(self.font()))

    def path(self, axes: Axes, line: Line) -> np.ndarray:
        """Return the pixels that a line goes through: shape (m, 2), NaN for gaps."""
        return axes.points(np.asarray(line.xs), np.asarray(line.ys))

    # -- painting -----------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw title, legend, axes, lines, and the values at the cursor."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw_head(painter)
        if not any(np.isfinite(line.ys).any() for line in self._lines):
            self.draw_empty(painter)
            painter.end()
            return
        axes = self.axes()
        axes.draw(painter, quiet_text(self.theme), faint_text(self.theme))
        painter.setClipRect(axes.area.adjusted(-2, -2, 2, 2))
        for line, number in zip(self._lines, self._colors, strict=True):
            self._draw_line(painter, axes, line, class_color(self.theme, number))
        if self._shown_at is not None:
            painter.setClipping(False)
            self._draw_cursor(painter, axes, self._shown_at)
        painter.end()

    def _draw_line(self, painter: QPainter, axes: Axes, line: Line, color: QColor) -> None:
        points = self.path(axes, line)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for run in stretches(np.isfinite(points).all(axis=1)):
            part = points[run]
            if len(part) == 1:  # a line of one value is a dot
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(color)
                painter.drawEllipse(QPointF(*part[0]), _DOT, _DOT)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                continue
            painter.setPen(pen_of(color, line.style))
            painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in part]))

    def _draw_cursor(self, painter: QPainter, axes: Axes, x: float) -> None:
        rows: list[tuple[str, str, QColor | None]] = [(self._x_name, number_text(x), None)]
        across = float(axes.points(np.array([x]), np.array([axes.y.low]))[0, 0])
        painter.setPen(QPen(quiet_text(self.theme), 1))
        painter.drawLine(QPointF(across, axes.area.top()), QPointF(across, axes.area.bottom()))
        for (name, value), number in zip(self.values_at(x), self._colors, strict=True):
            if not np.isfinite(value):
                continue
            color = class_color(self.theme, number)
            rows.append((name, number_text(value), color))
            point = axes.points(np.array([x]), np.array([value]))[0]
            if np.isfinite(point).all():
                painter.setPen(QPen(self.color('background'), 1.5))
                painter.setBrush(color)
                painter.drawEllipse(QPointF(*point), 4, 4)
        draw_bubble(painter, QRectF(self.rect()), QPointF(across, axes.area.top()), rows, self)

    # -- mouse and keyboard -------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Show the values at the nearest place."""
        places = self._places()
        if event is None or not places.size:
            return
        at = self.axes().x_at(event.position().x())
        self._move_cursor(float(places[np.argmin(np.abs(places - at))]))

    def leaveEvent(self, event: QEvent | None) -> None:
        """Take the values away."""
        self._move_cursor(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move through the places with the arrow keys; Escape ends it."""
        places = self._places()
        if event is None or not places.size:
            return
        key = Qt.Key(event.key())
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(key)
        if key == Qt.Key.Key_Escape and self._shown_at is not None:
            self._move_cursor(None)
        elif step is not None:
            last = len(places) - 1
            at = last if self._shown_at is None else int(np.searchsorted(places, self._shown_at))
            at = at if self._shown_at is None else min(max(at + step, 0), last)
            self._move_cursor(float(places[at]))
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        """Offer a logarithmic axis, and the values as a table."""
        if event is not None:
            self._menu().popup(event.globalPos())

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        log = QAction('Logarithmic scale', menu)
        log.setCheckable(True)
        log.setChecked(self._log)
        log.toggled.connect(self.set_log_y)
        copy = QAction('Copy values', menu)
        copy.triggered.connect(self.copy_values)
        menu.addActions([log, copy])
        return menu

    def _move_cursor(self, x: float | None) -> None:
        if x != self._shown_at:
            self._shown_at = x
            self.update()
