"""Named lines over a common x: the losses of a run over its epochs, or grey values by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
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
from napari_cxr.plugin.plots.plot import (
    LegendEntry,
    Plot,
    class_color,
    draw_value_box,
    faint_text,
    quiet_text,
)

__all__ = ['Curves', 'Histogram', 'Line', 'line_pen', 'true_stretches']


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


def line_pen(color: QColor, style: str) -> QPen:
    """Return the pen of a solid or a dashed line."""
    pen = QPen(color, 2)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    if style == 'dashed':
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pen.setDashPattern([3, 2])
    return pen


def true_stretches(good: np.ndarray) -> list[slice]:
    """Return the stretches of an array of truth values that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


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

    #: A place was clicked, or Return was pressed at the cursor: its x.
    chosen = Signal(float)

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

    def entries(self) -> list[LegendEntry]:
        """Return the names of the lines."""
        out = []
        for line, number in zip(self._lines, self._colors, strict=True):
            color = class_color(self.theme, number)
            out.append(LegendEntry(line.name, self._sign(line, color)))
        return out

    def _sign(self, line: Line, color: QColor) -> Callable[[QPainter, QRectF], None]:
        def draw(painter: QPainter, box: QRectF) -> None:
            painter.setPen(line_pen(color, line.style))
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
        return Axes.within(self.plot_area(), x, y, QFontMetricsF(self.font()))

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
        for run in true_stretches(np.isfinite(points).all(axis=1)):
            part = points[run]
            if len(part) == 1:  # a line of one value is a dot
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(color)
                painter.drawEllipse(QPointF(*part[0]), _DOT, _DOT)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                continue
            painter.setPen(line_pen(color, line.style))
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
        draw_value_box(painter, QRectF(self.rect()), QPointF(across, axes.area.top()), rows, self)

    # -- mouse and keyboard -------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Show the values at the nearest place."""
        places = self._places()
        if event is None or not places.size:
            return
        at = self.axes().x_at(event.position().x())
        self._move_cursor(float(places[np.argmin(np.abs(places - at))]))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the place whose values are shown."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.mouseMoveEvent(event)
            self._choose()

    def leaveEvent(self, event: QEvent | None) -> None:
        """Take the values away."""
        self._move_cursor(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move through the places with the arrow keys, choose with Return; Escape ends it."""
        places = self._places()
        if event is None or not places.size:
            return
        key = Qt.Key(event.key())
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(key)
        if key == Qt.Key.Key_Escape and self._shown_at is not None:
            self._move_cursor(None)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose()
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

    def _choose(self) -> None:
        if self._shown_at is not None:
            self.chosen.emit(self._shown_at)

    def _move_cursor(self, x: float | None) -> None:
        if x != self._shown_at:
            self._shown_at = x
            self.update()


class Histogram(Curves):
    """One line of steps for each class.

    The first and the last bin, pure black and pure white, do not count for the height:
    borders would else press all the rest flat. What is higher is cut off at the top, and
    the values at the mouse are whole.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    title : str
        What is counted.
    x_name : str
        What the value is called beside the mouse.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(
        self,
        theme: str,
        title: str = '',
        x_name: str = 'grey value',
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(theme, title, x_name, parent)
        self.setToolTip('Steps of pure black and pure white may go beyond the top')

    def set_histograms(self, histograms: np.ndarray, names: Sequence[str]) -> None:
        """Show histograms.

        Parameters
        ----------
        histograms : ndarray, shape (K, bins)
            Fractions, over [0, 1].
        names : sequence of str
            K of them.
        """
        histograms = np.asarray(histograms, dtype=float)
        bins = histograms.shape[1] if histograms.ndim == 2 else 0
        centres = (np.arange(bins) + 0.5) / max(bins, 1)
        self.set_lines(
            [
                # Colours repeat after eight, so the next eight are dashed.
                Line(name, centres, row, 'dashed' if i // 8 % 2 else 'solid', i)
                for i, (name, row) in enumerate(zip(names, histograms, strict=True))
            ]
        )

    def axes(self) -> Axes:
        """Return where values lie on the widget."""
        inner = [np.asarray(line.ys)[1:-1] for line in self.lines]
        seen = [ys for ys in inner if np.isfinite(ys).any()]
        y = Scale.around(seen, log=self.log_y)
        if not self.log_y:
            high = max((float(np.nanmax(ys)) for ys in seen), default=1.0)
            y = Scale(0.0, 1.08 * high if high > 0 else 1.0)
        return Axes.within(self.plot_area(), Scale(0.0, 1.0), y, QFontMetricsF(self.font()))

    def path(self, axes: Axes, line: Line) -> np.ndarray:
        """Return the corners of the steps, in pixels."""
        ys = np.asarray(line.ys)
        edges = np.linspace(0, 1, len(ys) + 1)
        return axes.points(np.column_stack([edges[:-1], edges[1:]]).ravel(), np.repeat(ys, 2))
