"""The layers of the open row: one radiograph at a time, with its overlays.

Layers are removed only after the canvas was painted without them: otherwise napari crashes with
some graphics drivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication

from napari_cxr.plugin.annotation.row_loader import LoadedImage
from napari_cxr.plugin.classify_job import ExplainedPrediction
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.heatmap_overlay import HeatmapOverlay
from napari_cxr.plugin.layers import (
    KEY,
    blank_heatmap,
    has_drawings,
    is_blank,
    is_heatmap,
    lying_on,
)
from napari_cxr.plugin.lungs_layer import detach_lungs, edit_number, lungs_of
from napari_cxr.plugin.preferences import preferences
from napari_cxr.plugin.radiographs_on_show import is_radiograph, watch_viewer

__all__ = ['PaintWatcher', 'RowLayers']

#: Milliseconds between two checks whether all canvases were painted.
_PAINT_TIMEOUT = 300


class PaintWatcher(QObject):
    """Signals when all visible canvases have been painted, or after a while if there are none.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: All of them have been painted.
    done = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._unpainted: set[QObject] = set()
        self._watched: set[QOpenGLWidget] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAINT_TIMEOUT)
        self._timer.timeout.connect(self._check)

    def start(self) -> None:
        """Start waiting; what was painted before does not count."""
        self._watch(_on_screen())
        self._unpainted = set(self._watched)
        self._timer.start()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Note which canvas is about to be painted."""
        if event is not None and event.type() == QEvent.Type.Paint and watched is not None:
            self._unpainted.discard(watched)
        return False

    def _check(self) -> None:
        left = _on_screen() & self._unpainted
        for canvas in left:
            canvas.update()
        if left:
            self._timer.start()
            return
        self._watch(set())
        self.done.emit()

    def _watch(self, canvases: set[QOpenGLWidget]) -> None:
        for canvas in self._watched - canvases:
            with suppress(RuntimeError):  # gone with its window
                canvas.removeEventFilter(self)
        for canvas in canvases - self._watched:
            canvas.installEventFilter(self)
        self._watched = canvases


def _on_screen() -> set[QOpenGLWidget]:
    return {
        canvas
        for window in QApplication.topLevelWidgets()
        for canvas in window.findChildren(QOpenGLWidget)
        if canvas.isVisible()
    }


#: Attributes that two images must share to be shown by the same layer.
_KIND = ('axis_labels', 'rgb')

#: Attributes of a layer that belong to its image, besides the data.
_IMAGE_ATTRIBUTES = ('name', 'scale', 'units', 'colormap')


class RowLayers:
    """Shows the layers of one row in place of those of the previous row.

    Layers of the user stay. A radiograph that the user has edited stays too, but hidden: one
    with changed pixels, with lungs that were drawn on, or with measurements.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        # The proxy that napari gives to plugins returns some layers as new objects each time.
        self._viewer = getattr(viewer, '__wrapped__', viewer)
        self._base: Image | None = None
        self._image: LoadedImage | None = None
        self._opacity: float | None = None
        self._visible = True
        self._to_remove: list[Layer] = []
        self._emptied: list[Shapes] = []
        self._hidden_for_now: list[Layer] = []  # by `hide`
        self._painted = PaintWatcher()
        self._painted.done.connect(self._remove_layers)

    @property
    def shown(self) -> bool:
        """Whether the radiograph of a row is visible."""
        base = self._base
        return base is not None and base in self._viewer.layers and bool(base.visible)

    def hide(self) -> None:
        """Hide the layers of the last row."""
        base, layers = self._base, self._viewer.layers
        if base is None or base not in layers:
            return
        lungs = lungs_of(base, layers)
        over = [*lying_on(base, layers), *([lungs] if lungs is not None else [])]
        for layer in (base, *over):
            if layer.visible and layer not in self._to_remove:
                layer.visible = False
                self._hidden_for_now.append(layer)

    def show(self, image: LoadedImage) -> Image:
        """Show a radiograph in place of the last one, and fit it to the canvas."""
        for layer in self._hidden_for_now:
            layer.visible = True
        self._hidden_for_now.clear()
        before = self._base
        if before is not None and self._is_unedited(before) and self._can_show(before, image):
            base = before
            self._replace_image(base, image)
        else:
            row = (image.data, _attributes(image), 'image')
            ((_, attributes, _),) = watch_viewer(self._viewer).arriving([row])
            base = self._base = Image(image.data, **attributes)
            if before is not None:
                self._put_away(before)
            self._viewer.add_layer(base)
        self._image = image
        watch_viewer(self._viewer).show_alone(base, fit=False)
        self._fit()
        return base

    def show_heatmap(self, base: Image, answer: ExplainedPrediction, label: str) -> None:
        """Show the heatmap of a class over a radiograph, unless its layer was removed.

        A Classify dock of this viewer shows the prediction too, and controls the heatmap.
        """
        layers = self._viewer.layers
        if base not in layers:
            return
        dock_signals().prediction_ready.emit(base, answer, label)
        heats = [layer for layer in lying_on(base, layers) if is_heatmap(layer)]
        if not heats or any(map(is_blank, heats)):  # there is no Classify dock
            opacity = self._opacity
            if opacity is None:
                opacity = preferences('classify').opacity
            HeatmapOverlay(self._viewer).show(base, answer, label, opacity, self._visible)
        layers.selection.active = base

    def _fit(self) -> None:
        """Fit the radiograph to the canvas; napari cannot beside layers with more dimensions."""
        base, viewer = self._base, self._viewer
        assert base is not None
        viewer.fit_to_view(layers=[base] if base.ndim == viewer.dims.ndim else None)

    def _is_unedited(self, base: Image) -> bool:
        """Return whether the layer of a radiograph exists, and the user has not edited it."""
        layers = self._viewer.layers
        lungs = lungs_of(base, layers)
        drawn_on = lungs is not None and edit_number(lungs) != 0
        return (
            base in layers
            and base.data is base.metadata.get(KEY, {}).get('shown')
            and not drawn_on
            and not any(map(has_drawings, lying_on(base, layers)))
        )

    def _can_show(self, base: Image, image: LoadedImage) -> bool:
        """Return whether the layer can show another image, which is faster than a new layer."""
        assert self._image is not None
        before, after = self._image.attributes, image.attributes
        return all(before.get(name) == after.get(name) for name in _KIND)

    def _replace_image(self, base: Image, image: LoadedImage) -> None:
        """Show another image in a layer; its overlays are removed or emptied."""
        layers = self._viewer.layers
        lungs = lungs_of(base, layers)
        if lungs is not None:  # of the previous image
            detach_lungs(lungs)
            self._remove_soon([lungs])
        heats = [layer for layer in lying_on(base, layers) if is_heatmap(layer)]
        for layer in heats:
            blank_heatmap(layer)
        for layer in lying_on(base, layers):
            if isinstance(layer, Shapes):  # an outline; the Classify dock may draw it again
                layer.data = []
                layer.name = 'Outline'
                if layer not in self._emptied:
                    self._emptied.append(layer)
        self._painted.start()
        attributes = _attributes(image)
        base.metadata = attributes['metadata']
        dock_signals().image_changing.emit(base)
        base.data = image.data
        if 'contrast_limits' in attributes:
            base.contrast_limits_range = base.contrast_limits = attributes['contrast_limits']
            base.gamma = 1.0  # it was set for the previous image
        for name in _IMAGE_ATTRIBUTES:
            if name in attributes:
                # Every change makes napari update the whole scene.
                value = getattr(base, name)
                value = value.name if name == 'colormap' else value
                if not np.array_equal(value, attributes[name]):
                    setattr(base, name, attributes[name])
        for layer in heats:
            if layer.units != base.units:
                layer.units = base.units
        base.visible = True

    def _put_away(self, base: Image) -> None:
        """Remove a radiograph with its overlays; hide it if the user has edited it."""
        layers = self._viewer.layers
        unedited = self._is_unedited(base)
        lungs = lungs_of(base, layers)
        ours = [layer for layer in (lungs, base) if layer is not None and layer in layers]
        over = [layer for layer in lying_on(base, layers) if not has_drawings(layer)]
        drawings = [layer for layer in lying_on(base, layers) if has_drawings(layer)]
        for layer in over:
            if is_heatmap(layer):  # kept for the next heatmap
                self._opacity, self._visible = layer.opacity, layer.visible
        gone = [*over, *ours] if unedited else over
        self._remove_soon(gone)
        for layer in (*ours, *drawings):
            layer.visible = False

    def _remove_soon(self, gone: Sequence[Layer]) -> None:
        """Hide layers, and remove them after the canvas was painted without them."""
        for layer in gone:
            ndim = None if self._base is None or is_radiograph(layer) else self._base.ndim
            if self._base is not None and layer.ndim == ndim:
                layer.units = self._base.units  # napari warns where they differ
        for layer in gone:
            layer.visible = False
        self._to_remove += gone
        self._painted.start()

    def _remove_layers(self) -> None:
        gone = [*self._to_remove, *(line for line in self._emptied if not line.data)]
        self._to_remove, self._emptied = [], []
        for layer in gone:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)


def _attributes(image: LoadedImage) -> dict[str, Any]:
    """Return the attributes of a layer, with a copy of the metadata."""
    metadata = {KEY: dict(image.attributes['metadata'][KEY])}
    return image.attributes | {'metadata': metadata}
