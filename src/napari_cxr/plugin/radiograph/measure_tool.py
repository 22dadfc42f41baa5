"""Drawing and moving measurements with the mouse, while the radiograph stays selected."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cxr.measurements import POINTS, Measurement
from napari_cxr.plugin.layers import base_of
from napari_cxr.plugin.radiograph.measure_layer import (
    is_measurement_layer,
    measurement_layer,
    measurements_in,
    measurements_layer_of,
    refresh_results,
    show_measurements,
)
from napari_cxr.plugin.radiograph_views import RadiographViews
from napari_cxr.plugin.side_by_side import is_under_cursor

__all__ = ['MeasureTool']

_LEFT = 1
#: An end of a line is taken within so many pixels of the canvas.
_REACH = 9.0
#: A press and a release closer together than this are a click.
_CLICK = 4.0


class MeasureTool(QObject):
    """Draws one measurement at a time, and moves ends of those that are there.

    A length is a drag, or two clicks; an angle has one click more. Ends can be dragged at any
    time, while the text beside them follows.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    views : RadiographViews
        Of the viewer.
    """

    #: A measurement was begun, drawn, moved or removed.
    changed = Signal()

    def __init__(self, viewer: ViewerModel, views: RadiographViews) -> None:
        super().__init__(views)
        self._viewer = weakref.ref(viewer)
        self._views = views
        self.kind = ''
        self._base: weakref.ref[Image] | None = None
        self._points: list[tuple[float, float]] = []
        self._followed: weakref.WeakSet[Shapes] = weakref.WeakSet()
        self._stale: weakref.WeakSet[Shapes] = weakref.WeakSet()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._refresh)
        viewer.mouse_drag_callbacks.append(self)
        viewer.mouse_move_callbacks.append(self._moved)
        viewer.layers.events.removed.connect(self._removed)

    def start(self, kind: str) -> None:
        """Begin to draw a measurement of this kind; the same kind again, or '', ends it."""
        before = self.kind
        self.cancel()
        if kind != before:
            self.kind = kind
            viewer = self._viewer()
            if viewer is not None and kind:
                viewer.cursor.style = 'cross'
        self.changed.emit()

    def cancel(self) -> None:
        """Leave off drawing; nothing half drawn is left."""
        base = self._base() if self._base is not None else None
        if base is not None and self._points:
            layer = self.layer_of(base)
            if layer is not None:
                show_measurements(layer, measurements_in(layer)[:-1])
                self._views.drawings.hold(layer, False)
        self._end()

    def layer_of(self, base: Image) -> Shapes | None:
        """Return the layer with the measurements of a radiograph, if there is one."""
        viewer = self._viewer()
        layer = measurements_layer_of(base, viewer.layers) if viewer is not None else None
        if layer is not None:
            self._follow(layer)
        return layer

    def add(self, base: Image, measurements: list[Measurement]) -> None:
        """Add measurements to those of a radiograph."""
        layer = self._made_layer(base)
        if layer is not None:
            show_measurements(layer, [*measurements_in(layer), *measurements])
            layer.visible = True
            self._views.drawings.settle(layer)
        self.changed.emit()

    def remove(self, base: Image, at: int) -> None:
        """Remove one measurement of a radiograph by its place."""
        layer = self.layer_of(base)
        if layer is not None:
            left = measurements_in(layer)
            if 0 <= at < len(left):
                del left[at]
                show_measurements(layer, left)
                self._views.drawings.settle(layer)
        self.changed.emit()

    def remove_under_cursor(self) -> bool:
        """Remove the measurement under the cursor; return whether there is one."""
        viewer = self._viewer()
        if viewer is None:
            return False
        place = np.asarray(viewer.cursor.position)[-2:]
        reach = _REACH / viewer.scene.camera.zoom
        for layer in reversed(viewer.layers):
            if not (isinstance(layer, Shapes) and is_measurement_layer(layer) and layer.visible):
                continue
            base = base_of(layer)
            if base is None or not is_under_cursor(viewer, layer):
                continue
            for at, each in enumerate(measurements_in(layer)):
                corners = [np.asarray(layer.data_to_world(point))[-2:] for point in each.points]
                if each.kind == 'cardiothoracic ratio':
                    lines = [corners[:2], corners[2:]]
                else:
                    lines = [corners[n : n + 2] for n in range(len(corners) - 1)]
                if any(_distance(place, *line) <= reach for line in lines):
                    self.remove(base, at)
                    return True
        return False

    # -- mouse --------------------------------------------------------------------------------

    def __call__(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None] | None:
        """Follow a press of the left button, a callback for `mouse_drag_callbacks`."""
        if event.button != _LEFT or event.modifiers or viewer.dims.ndisplay != 2:
            return None
        active = viewer.layers.selection.active
        if active is not None and str(active.mode) != 'pan_zoom':
            return None
        if self.kind:
            return self._draw(event)
        found = self._end_at(viewer, event)
        return self._move_end(event, *found) if found is not None else None

    def _draw(self, event: Any) -> Generator[None, None, None]:
        base = self._base() if self._base is not None else self._views.at(event.position)
        event.handled = True
        if base is None or base.ndim != 2:
            return
        self._base = weakref.ref(base)
        start = np.asarray(event.pos, float)
        self._put(base, event)
        yield
        far = False
        while event.type == 'mouse_move':
            event.handled = True
            far = far or float(np.linalg.norm(np.asarray(event.pos) - start)) > _CLICK
            if self.kind and far:
                self._show(base, _place(base, event))
            yield
        if self.kind and far:
            self._put(base, event)

    def _put(self, base: Image, event: Any) -> None:
        """Set the next point of what is being drawn."""
        self._points.append(_place(base, event))
        if len(self._points) < POINTS[self.kind]:
            self._show(base, self._points[-1])
        else:
            self._show(base, None)
            self._end()
            if (layer := self.layer_of(base)) is not None:
                self._views.drawings.hold(layer, False)
            self.changed.emit()

    def _moved(self, viewer: ViewerModel, event: Any) -> None:
        """Let a line that was begun by a click end at the cursor."""
        base = self._base() if self._base is not None else None
        if base is not None and self._points:
            self._show(base, _place(base, event))

    def _show(self, base: Image, provisional: tuple[float, float] | None) -> None:
        """Show the points so far, and a provisional one for all that are not set yet."""
        layer = self._made_layer(base)
        if layer is None:
            return
        self._views.drawings.hold(layer, True)
        points = list(self._points)
        first = len(points) == 1 and not self._drawn(layer)
        if provisional is not None:
            points += [provisional] * (POINTS[self.kind] - len(points))
        there = measurements_in(layer)
        there = there if first else there[:-1]
        show_measurements(layer, [*there, Measurement(self.kind, tuple(points))])
        self._count = len(there) + 1

    _count = -1

    def _drawn(self, layer: Shapes) -> bool:
        """Return whether the layer's last measurement is the one being drawn."""
        return self._count == len(measurements_in(layer))

    def _end(self) -> None:
        self.kind, self._base, self._points, self._count = '', None, [], -1
        viewer = self._viewer()
        if viewer is not None:
            viewer.cursor.style = 'standard'

    def _end_at(self, viewer: ViewerModel, event: Any) -> tuple[Shapes, int, int] | None:
        """Return the layer, the shape and the vertex under the cursor, the uppermost one."""
        zoom = viewer.scene.camera.zoom
        for layer in reversed(list(viewer.layers)):
            if not (is_measurement_layer(layer) and layer.visible and isinstance(layer, Shapes)):
                continue
            if not is_under_cursor(viewer, layer):
                continue
            for at, corners in enumerate(layer.data):
                for corner, point in enumerate(corners):
                    away = np.asarray(layer.data_to_world(point)) - event.position[-2:]
                    if float(np.linalg.norm(away)) * zoom <= _REACH:
                        return layer, at, corner
        return None

    def _move_end(
        self, event: Any, layer: Shapes, at: int, corner: int
    ) -> Generator[None, None, None]:
        event.handled = True
        self._follow(layer)
        self._views.drawings.hold(layer, True)
        yield
        while event.type == 'mouse_move':
            event.handled = True
            data = [np.array(corners) for corners in layer.data]
            if at >= len(data):
                break
            data[at][corner] = np.asarray(layer.world_to_data(event.position))[-2:]
            layer.data = data
            refresh_results(layer)
            yield
        self._views.drawings.hold(layer, False)
        self.changed.emit()

    # -- layers -------------------------------------------------------------------------------

    def _made_layer(self, base: Image) -> Shapes | None:
        viewer = self._viewer()
        if viewer is None or base not in viewer.layers:
            return None
        layer = self.layer_of(base)
        if layer is None:
            selected = viewer.layers.selection.active
            layer = measurement_layer(base)
            viewer.layers.append(layer)
            viewer.layers.selection.active = selected
            self._follow(layer)
        return layer

    def _follow(self, layer: Shapes) -> None:
        """Keep the results right when napari's own tools move, add or remove a shape."""
        if layer not in self._followed:
            self._followed.add(layer)
            self._views.drawings.follow(layer)
            layer.events.set_data.connect(self._shapes_changed)

    def _shapes_changed(self, event: Any) -> None:
        self._stale.add(event.source)
        self._soon.start()

    def _refresh(self) -> None:
        for layer in list(self._stale):
            refresh_results(layer)
        self._stale.clear()
        self.changed.emit()

    def _removed(self, event: Any) -> None:
        base = self._base() if self._base is not None else None
        if event.value is base and base is not None:
            self._end()
        self.changed.emit()


def _distance(place: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Return how far a place is from a line, in units of the world."""
    along = end - start
    length = float(along @ along)
    part = float(np.clip((place - start) @ along / length, 0, 1)) if length else 0.0
    return float(np.linalg.norm(place - start - part * along))


def _place(base: Image, event: Any) -> tuple[float, float]:
    """Return where an event is, in pixels of a radiograph, on it."""
    row, column = np.asarray(base.world_to_data(event.position))[-2:]
    rows, columns = (base.data[0] if base.multiscale else base.data).shape[:2]
    return (
        float(np.clip(row, -0.5, rows - 0.5)),
        float(np.clip(column, -0.5, columns - 0.5)),
    )
