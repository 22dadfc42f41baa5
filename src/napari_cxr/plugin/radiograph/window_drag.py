"""Window and level by dragging with the right mouse button over a radiograph.

To the right the window gets wider, downwards the image gets darker, as in viewers of radiology.
A drag across the canvas covers the range of the image's values, whatever they are.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_cxr.plugin.radiograph_views import RadiographViews
from napari_cxr.plugin.standard_windows import windows_of

__all__ = ['WindowDrag', 'dragged_limits']

#: vispy's number of the right button.
_RIGHT = 2
#: A drag of so many pixels of the canvas doubles the width of the window, or halves it.
_DOUBLES = 160.0
#: A drag of so many pixels moves the window by its own width.
_MOVES = 400.0
#: A window is never narrower or wider than these parts of the range of the image's values.
_NARROWEST, _WIDEST = 1 / 4096, 4.0


def dragged_limits(
    limits: tuple[float, float],
    right: float,
    down: float,
    span: float,
    *,
    inverted: bool = False,
) -> tuple[float, float]:
    """Return contrast limits after a drag.

    Parameters
    ----------
    limits : tuple of float
        At its beginning.
    right, down : float
        How far it went, in pixels of the canvas.
    span : float
        From the least to the greatest value of the image.
    inverted : bool
        Whether high values are drawn dark.

    Returns
    -------
    tuple of float
        The lower one first.
    """
    low, high = limits
    center, width = (low + high) / 2, high - low
    wider = min(max(width * 2 ** (right / _DOUBLES), span * _NARROWEST), span * _WIDEST)
    # A window that lies higher draws the same values darker; with exchanged polarity brighter.
    center += (-down if inverted else down) / _MOVES * wider
    return center - wider / 2, center + wider / 2


class WindowDrag(QObject):
    """Follows drags on the canvas of a viewer; a callback for `mouse_drag_callbacks`.

    Mouse moves may come faster than the canvas can be painted. What they ask for is noted, and
    the layer is told when Qt has delivered what was waiting, a paint among it: so no more than
    one repaint is ever queued.

    Parameters
    ----------
    views : RadiographViews
        Of the viewer.
    """

    def __init__(self, views: RadiographViews) -> None:
        super().__init__(views)
        self._views = views
        self._layer: Image | None = None
        self._wanted: tuple[float, float] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._apply)

    def __call__(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        """Follow a drag from the press on, if it is one of the right button on a radiograph."""
        base = self._base(viewer, event)
        if base is None:
            return
        event.handled = True  # else napari's camera zooms
        self._layer = shown = self._views.shown_of(base)
        limits = (float(shown.contrast_limits[0]), float(shown.contrast_limits[1]))
        span = value_span(shown)
        inverted = draws_high_dark(shown)
        start, moved = tuple(event.pos), False
        yield
        while event.type == 'mouse_move':
            if not moved:
                self._views.remember(base)
                moved = True
            right, down = (now - then for now, then in zip(event.pos, start, strict=True))
            self._wanted = dragged_limits(limits, right, down, span, inverted=inverted)
            if not self._soon.isActive():
                self._soon.start()
            event.handled = True
            yield
        self._soon.stop()
        self._apply()
        self._layer = None
        if moved:
            self._views.changed.emit(base)

    def _base(self, viewer: ViewerModel, event: Any) -> Image | None:
        """Return the radiograph that a press would window."""
        if event.button != _RIGHT or event.modifiers or viewer.dims.ndisplay != 2:
            return None
        active = viewer.layers.selection.active
        if active is not None and str(active.mode) != 'pan_zoom':
            return None  # its tool may need the button
        base = self._views.at(event.position)
        return base if base is not None and not base.rgb else None

    def _apply(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None and self._layer is not None:
            self._layer.contrast_limits = wanted


def value_span(layer: Image) -> float:
    """Return how far the values of a layer reach, as its windows say."""
    ends = [end for window in windows_of(layer) for end in window.limits]
    low, high = layer.contrast_limits
    return max(max(ends) - min(ends) if ends else 0.0, float(high - low) * _NARROWEST, 1e-30)


def draws_high_dark(layer: Image) -> bool:
    """Return whether a layer's colormap ends darker than it begins."""
    colors = layer.colormap.map([0.0, 1.0])
    return bool(colors[1, :3].sum() < colors[0, :3].sum())
