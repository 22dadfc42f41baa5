"""Grey values by class, as steps over [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtGui import QFontMetricsF
from qtpy.QtWidgets import QWidget

from napari_cxr.plugin.plots.axes import Axes, Scale
from napari_cxr.plugin.plots.curves import Curves
from napari_cxr.plugin.plots.line import Line

__all__ = ['Histogram']


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
            Shares, over [0, 1].
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
        return Axes.within(self.room(), Scale(0.0, 1.0), y, QFontMetricsF(self.font()))

    def path(self, axes: Axes, line: Line) -> np.ndarray:
        """Return the corners of the steps, in pixels."""
        ys = np.asarray(line.ys)
        edges = np.linspace(0, 1, len(ys) + 1)
        return axes.points(np.column_stack([edges[:-1], edges[1:]]).ravel(), np.repeat(ys, 2))
