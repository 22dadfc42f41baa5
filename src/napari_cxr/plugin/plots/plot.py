"""What the plots have in common: napari's theme, a title, a legend, and a height to suit."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cxr.plugin.plots.legend import Entry, Legend
from napari_cxr.plugin.theme import theme_color

__all__ = ['Plot', 'faint_text', 'quiet_text']

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

    def entries(self) -> Sequence[Entry]:
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

    def room(self) -> QRectF:
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
            self.room(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._empty
        )
