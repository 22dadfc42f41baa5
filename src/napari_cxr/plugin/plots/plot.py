"""What the plots have in common: napari's theme, its colours, and a title."""

from __future__ import annotations

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cxr.plugin.theme import theme_color

__all__ = ['Plot']


class Plot(QWidget):
    """A widget that paints itself in the colours of napari's theme.

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
        self.setMinimumWidth(240)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    @property
    def theme(self) -> str:
        """Name of the theme that it is painted in."""
        return self._theme

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def color(self, role: str) -> QColor:
        """Return one of the theme's colours, see `theme_color`."""
        return theme_color(self._theme, role)

    def quiet(self) -> QColor:
        """Return the colour of numbers at axes: text that stands back."""
        color = self.color('text')
        color.setAlphaF(0.72)
        return color

    def faint(self) -> QColor:
        """Return the colour of grid lines."""
        color = self.color('text')
        color.setAlphaF(0.16)
        return color
