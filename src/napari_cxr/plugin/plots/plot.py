"""What all plots share: class colours and marks, title, legend, and the box of values.

The colours of classes can be told apart by colour-blind people too, in any of napari's themes. A
legend never lies over the plot; the box with values follows the mouse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cxr.plugin.style import theme_color

__all__ = [
    'CLASS_COLORS',
    'Legend',
    'LegendEntry',
    'Plot',
    'alert_red',
    'class_color',
    'draw_mark',
    'draw_value_box',
    'faint_text',
    'quiet_text',
]

#: Eight colours on a dark and eight on a light background, found by maximising the
#: smallest CIEDE2000 difference of any two as seen with normal, protan, deutan and tritan
#: vision (Machado et al., IEEE TVCG 15(6), 2009), with a contrast of 3 at least
#: (WCAG 2.2, 1.4.11) to the background of napari's theme.
#: In both, these are blue, brown, pink, green, yellow, violet, red and neutral.
CLASS_COLORS = {
    'dark': (
        '#56cefd', '#d6ad6c', '#c73092', '#2b8661', '#ffff16', '#846eff', '#e10003', '#e2fef2',
    ),
    'light': (
        '#147dfb', '#744e04', '#b06394', '#007a5b', '#88870e', '#513093', '#480000', '#030c1d',
    ),
}  # fmt: skip

#: After eight classes colours repeat with the next mark.
_MARKS = ('circle', 'square', 'triangle', 'diamond')


def class_color(theme: str, number: int) -> QColor:
    """Return the colour of a class.

    Parameters
    ----------
    theme : str
        Name of napari's theme; one of a person's own counts as dark or light by its
        background.
    number : int
        Of the class, from 0; colours repeat after eight.
    """
    dark = theme_color(theme, 'background').lightnessF() < 0.5
    colors = CLASS_COLORS['dark' if dark else 'light']
    return QColor(colors[number % len(colors)])


def alert_red(theme: str) -> QColor:
    """Return a red that stands out from the background of a theme."""
    color = theme_color(theme, 'error')
    if theme_color(theme, 'background').lightnessF() < 0.5:
        return QColor.fromHslF(max(color.hslHueF(), 0.0), 0.9, 0.66)
    return QColor.fromHslF(max(color.hslHueF(), 0.0), 0.9, 0.38)


def draw_mark(painter: QPainter, center: QPointF, radius: float, number: int) -> None:
    """Draw the mark of a class with the painter's brush; a disc for the first eight."""
    mark = _MARKS[number // len(CLASS_COLORS['dark']) % len(_MARKS)]
    x, y, r = center.x(), center.y(), radius
    if mark == 'circle':
        painter.drawEllipse(center, r, r)
    elif mark == 'square':
        painter.drawRect(QRectF(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r))
    elif mark == 'triangle':
        corners = [
            QPointF(x, y - 1.2 * r),
            QPointF(x + 1.1 * r, y + r),
            QPointF(x - 1.1 * r, y + r),
        ]
        painter.drawPolygon(QPolygonF(corners), Qt.FillRule.OddEvenFill)
    else:
        corners = [
            QPointF(x, y - 1.3 * r),
            QPointF(x + 1.3 * r, y),
            QPointF(x, y + 1.3 * r),
            QPointF(x - 1.3 * r, y),
        ]
        painter.drawPolygon(QPolygonF(corners), Qt.FillRule.OddEvenFill)


_SIGN_GAP, _ENTRY_GAP = 5.0, 14.0


@dataclass(frozen=True)
class LegendEntry:
    """A name, and how the sign beside it is drawn into a rectangle so wide."""

    name: str
    sign: Callable[[QPainter, QRectF], None]
    width: float = 22.0


class Legend:
    """Entries laid out in rows as wide as the plot.

    Parameters
    ----------
    entries : sequence of Entry
        In their order.
    metrics : QFontMetricsF
        Of the font that they are written in.
    width : float
        Pixels that a row may take.
    """

    def __init__(
        self, entries: Sequence[LegendEntry], metrics: QFontMetricsF, width: float
    ) -> None:
        self._metrics = metrics
        self._placed: list[tuple[QRectF, LegendEntry, str]] = []
        row_height = metrics.height() + 3
        x = y = 0.0
        for entry in entries:
            # Two beside each other also where both names are long.
            space = width if len(entries) == 1 else width / 2 - _ENTRY_GAP
            space = max(space - entry.width - _SIGN_GAP, 30.0)
            name = metrics.elidedText(entry.name, Qt.TextElideMode.ElideMiddle, space)
            needed = entry.width + _SIGN_GAP + metrics.horizontalAdvance(name) + 1
            if x and x + needed > width:
                x, y = 0.0, y + row_height
            self._placed.append((QRectF(x, y, needed, row_height), entry, name))
            x += needed + _ENTRY_GAP
        self.height = y + row_height if entries else 0.0

    def draw(self, painter: QPainter, left: float, top: float, text: QColor) -> None:
        """Draw it with its upper left corner there."""
        for box, entry, name in self._placed:
            box = box.translated(left, top)
            entry.sign(painter, QRectF(box.left(), box.top(), entry.width, box.height()))
            painter.setPen(text)
            painter.drawText(
                box.adjusted(entry.width + _SIGN_GAP, 0, 2, 0),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                name,
            )

    def name_at(self, x: float, y: float) -> str:
        """Return the whole name under a point, seen from the legend's corner, or ''."""
        return next((e.name for box, e, _ in self._placed if box.contains(x, y)), '')


_PAD = 2.0

#: Pixels between the legend and what is drawn.
_BELOW = 8.0


def quiet_text(theme: str) -> QColor:
    """Return the colour of numbers at axes: text that stands back."""
    color = theme_color(theme, 'text')
    color.setAlphaF(0.72)
    return color


def faint_text(theme: str) -> QColor:
    """Return the colour of grid lines."""
    color = theme_color(theme, 'text')
    color.setAlphaF(0.16)
    return color


class Plot(QWidget):
    """A widget that paints a title, a legend, and what its subclass draws below them.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    title : str
        What is plotted; empty for none.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, title: str = '', parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._title = theme, title
        self._empty = 'Nothing to draw yet.'
        self.setMinimumWidth(240)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(title)
        self.fit_height()

    @property
    def theme(self) -> str:
        """Name of the theme that it is painted in."""
        return self._theme

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def set_empty_text(self, text: str) -> None:
        """Say what stands there while there is nothing to draw."""
        self._empty = text
        self.update()

    def entries(self) -> Sequence[LegendEntry]:
        """Return what the legend explains; a subclass says what."""
        return ()

    def color(self, role: str) -> QColor:
        """Return one of the theme's colours, see `theme_color`."""
        return theme_color(self._theme, role)

    # -- size ---------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Return a size at which it reads well."""
        return QSize(360, self._height(360))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Be as high as the width asks for."""
        self.fit_height()
        super().resizeEvent(event)

    def fit_height(self) -> None:
        """Be as high as the width and the legend ask for."""
        self.setFixedHeight(self._height(self.width()))
        self.updateGeometry()

    def _height(self, width: int) -> int:
        drawn = min(max(0.48 * width, 150.0), 260.0)
        return round(self._head(width)[1] + drawn + QFontMetricsF(self.font()).height())

    def _head(self, width: float) -> tuple[Legend, float]:
        """Return the legend, and how much title and legend take of the height."""
        metrics = QFontMetricsF(self.font())
        legend = Legend(self.entries(), metrics, width - 2 * _PAD)
        title = metrics.height() + 4 if self._title else 0.0
        return legend, title + legend.height + _BELOW

    # -- painting -----------------------------------------------------------------------

    def plot_area(self) -> QRectF:
        """Return the rectangle below title and legend, for what a subclass draws."""
        _, head = self._head(self.width())
        return QRectF(_PAD, head, self.width() - 2 * _PAD, self.height() - head - 2)

    def draw_head(self, painter: QPainter) -> None:
        """Draw title, legend, and the frame that shows the keyboard's focus."""
        text = self.color('text')
        legend, head = self._head(self.width())
        if self._title:
            font = self.font()
            font.setBold(True)
            painter.setFont(font)
            painter.setPen(text)
            height = QFontMetricsF(font).height() + 2
            title = QRectF(_PAD, 0, self.width() - 2 * _PAD, height)
            painter.drawText(title, Qt.AlignmentFlag.AlignLeft, self._title)
            painter.setFont(self.font())
        legend.draw(painter, _PAD, head - legend.height - _BELOW, text)
        if self.hasFocus():
            painter.setPen(QPen(self.color('current'), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 4, 4)

    def draw_empty(self, painter: QPainter) -> None:
        """Write why there is nothing to see."""
        painter.setPen(quiet_text(self._theme))
        painter.drawText(
            self.plot_area(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._empty
        )


_BOX_PAD, _BOX_DOT, _BOX_GAP = 7.0, 8.0, 10.0


def draw_value_box(
    painter: QPainter,
    bounds: QRectF,
    at: QPointF,
    rows: Sequence[tuple[str, str, QColor | None]],
    plot: Plot,
) -> None:
    """Draw rows of text in a box beside a point, within bounds.

    Parameters
    ----------
    painter : QPainter
        What to draw with.
    bounds : QRectF
        What the box stays in.
    at : QPointF
        The box stands to the right of it, or to the left where it does not fit there.
    rows : sequence of (str, str, QColor or None)
        Name, value, and the colour of the dot before them. Long names are shortened.
    plot : Plot
        Whose colours it has.
    """
    metrics = QFontMetricsF(painter.font())
    dot = _BOX_DOT + 5 if any(color is not None for _, _, color in rows) else 0.0
    values = max(metrics.horizontalAdvance(value) for _, value, _ in rows)
    space = bounds.width() - 2 * _BOX_PAD - dot - values - _BOX_GAP - 4
    space = min(space, 32 * metrics.averageCharWidth())
    names = [metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, space) for name, _, _ in rows]
    widest = max(metrics.horizontalAdvance(name) for name in names)
    width = 2 * _BOX_PAD + dot + widest + _BOX_GAP + values + 2
    height = len(rows) * metrics.height() + _BOX_PAD
    left = at.x() + 10
    if left + width > bounds.right():
        left = at.x() - 10 - width
    left = min(max(left, bounds.left() + 1), bounds.right() - width - 1)
    top = min(max(at.y(), bounds.top() + 1), bounds.bottom() - height - 1)
    box = QRectF(left, top, width, height)
    painter.setPen(QPen(plot.color('highlight'), 1))
    painter.setBrush(plot.color('foreground'))
    painter.drawRoundedRect(box, 4, 4)
    for i, ((_, value, color), name) in enumerate(zip(rows, names, strict=True)):
        y = box.top() + _BOX_PAD / 2 + i * metrics.height()
        indent = _BOX_PAD
        if color is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            middle = QPointF(box.left() + _BOX_PAD + _BOX_DOT / 2, y + metrics.height() / 2)
            painter.drawEllipse(middle, _BOX_DOT / 2, _BOX_DOT / 2)
            indent += dot
        painter.setPen(plot.color('text'))
        line = QRectF(box.left() + indent, y, width - indent - _BOX_PAD, metrics.height())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, value)
