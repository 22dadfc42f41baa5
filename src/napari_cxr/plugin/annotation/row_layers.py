"""The layers of the open row: one radiograph at a time, and what lies over it.

Layers are removed only after the canvas was painted: some graphics drivers end the program
otherwise.
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
from napari_cxr.plugin.layers import KEY, blank_heatmap, is_blank, is_heatmap, lying_on
from napari_cxr.plugin.lungs_layer import detach_lungs, edit_number, lungs_of
from napari_cxr.plugin.preferences import preferences

__all__ = ['PaintWatcher', 'RowLayers']

#: Milliseconds after which it is looked whether all were painted.
_PAINT_TIMEOUT = 300


class PaintWatcher(QObject):
    """Tells when all canvases on screen were painted, a while after it was asked.

    Where there is no canvas on screen, the while is all that passes.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: They were.
    done = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._unpainted: set[QObject] = set()
        self._watched: set[QOpenGLWidget] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAINT_TIMEOUT)
        self._timer.timeout.connect(self._look)

    def start(self) -> None:
        """Wait anew: what has been painted so far does not count."""
        self._watch(_on_screen())
        self._unpainted = set(self._watched)
        self._timer.start()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Note which canvas is about to be painted."""
        if event is not None and event.type() == QEvent.Type.Paint and watched is not None:
            self._unpainted.discard(watched)
        return False

    def _look(self) -> None:
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


#: What two pictures must agree in to be shown by one layer, one after the other.
_KIND = ('axis_labels', 'rgb')

#: Of an image layer, besides its data, what belongs to the picture.
_PLACE = ('name', 'scale', 'units', 'colormap')


class RowLayers:
    """Shows one row's layers in place of those of the row before.

    Layers of a person stay, and so does a radiograph on which a person has worked: pixels
    that were changed, or lungs that were drawn on. It is hidden then.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        # Through napari's proxy for plugins, some layers are others each time.
        self._viewer = getattr(viewer, '__wrapped__', viewer)
        self._base: Image | None = None
        self._picture: LoadedImage | None = None
        self._opacity: float | None = None
        self._visible = True
        self._hidden: list[Layer] = []
        self._emptied: list[Shapes] = []
        self._veiled: list[Layer] = []  # by `hide`
        self._painted = PaintWatcher()
        self._painted.done.connect(self._remove_hidden)

    @property
    def shown(self) -> bool:
        """Whether a row's radiograph is on screen."""
        base = self._base
        return base is not None and base in self._viewer.layers and bool(base.visible)

    def hide(self) -> None:
        """Hide the last row's layers: the next one could not be shown."""
        base, layers = self._base, self._viewer.layers
        if base is None or base not in layers:
            return
        lungs = lungs_of(base, layers)
        over = [*lying_on(base, layers), *([lungs] if lungs is not None else [])]
        for layer in (base, *over):
            if layer.visible and layer not in self._hidden:
                layer.visible = False
                self._veiled.append(layer)

    def show(self, picture: LoadedImage) -> Image:
        """Show a radiograph in place of the last row's, and fit it to the canvas."""
        for layer in self._veiled:
            layer.visible = True
        self._veiled.clear()
        before = self._base
        if before is not None and self._is_as_left(before) and self._fits(before, picture):
            base = before
            self._turn(base, picture)
        else:
            base = self._base = Image(picture.data, **_attributes(picture))
            if before is not None:
                self._put_away(before)
            self._viewer.add_layer(base)
        self._picture = picture
        self._fit()
        return base

    def lay_over(self, base: Image, answer: ExplainedPrediction, label: str) -> None:
        """Lay the heatmap of a class over a radiograph, unless that has gone.

        A Classify dock of this viewer shows the answer too, and its controls are those of
        the heatmap then.
        """
        layers = self._viewer.layers
        if base not in layers:
            return
        dock_signals().prediction_ready.emit(base, answer, label)
        heats = [layer for layer in lying_on(base, layers) if is_heatmap(layer)]
        if not heats or any(map(is_blank, heats)):  # no dock has drawn it
            opacity = self._opacity
            if opacity is None:
                opacity = preferences('classify').opacity
            HeatmapOverlay(self._viewer).show(base, answer, label, opacity, self._visible)
        layers.selection.active = base

    def _fit(self) -> None:
        """Fit the radiograph to the canvas; napari fits no layer beside one of more dimensions."""
        base, viewer = self._base, self._viewer
        assert base is not None
        viewer.fit_to_view(layers=[base] if base.ndim == viewer.dims.ndim else None)

    def _is_as_left(self, base: Image) -> bool:
        """Whether a radiograph's layer is there, and no person has worked on it."""
        layers = self._viewer.layers
        lungs = lungs_of(base, layers)
        drawn_on = lungs is not None and edit_number(lungs) != 0
        return (
            base in layers
            and base.data is base.metadata.get(KEY, {}).get('shown')
            and not drawn_on
        )

    def _fits(self, base: Image, picture: LoadedImage) -> bool:
        """Whether the layer can show another picture: much faster than layers that come and go."""
        assert self._picture is not None
        ours, others = self._picture.attributes, picture.attributes
        return all(ours.get(name) == others.get(name) for name in _KIND)

    def _turn(self, base: Image, picture: LoadedImage) -> None:
        """Let a layer show another picture; what lay over it goes, or shows nothing."""
        layers = self._viewer.layers
        lungs = lungs_of(base, layers)
        if lungs is not None:  # of the other picture
            detach_lungs(lungs)
            self._remove_soon([lungs])
        heats = [layer for layer in lying_on(base, layers) if is_heatmap(layer)]
        for layer in heats:
            blank_heatmap(layer)
        for layer in lying_on(base, layers):
            if isinstance(layer, Shapes):  # an outline; whoever drew it may fill it again
                layer.data = []
                layer.name = 'Outline'
                if layer not in self._emptied:
                    self._emptied.append(layer)
        self._painted.start()
        attributes = _attributes(picture)
        base.metadata = attributes['metadata']
        dock_signals().image_changing.emit(base)
        base.data = picture.data
        if 'contrast_limits' in attributes:
            base.contrast_limits_range = base.contrast_limits = attributes['contrast_limits']
            base.gamma = 1.0  # was as much about the other picture
        for name in _PLACE:
            if name in attributes:
                # Every change makes napari lay out the whole scene again.
                now = getattr(base, name)
                now = now.name if name == 'colormap' else now
                if not np.array_equal(now, attributes[name]):
                    setattr(base, name, attributes[name])
        for layer in heats:
            if layer.units != base.units:
                layer.units = base.units
        base.visible = True

    def _put_away(self, base: Image) -> None:
        """Take away a radiograph with all that we laid on it; hide what a person worked on."""
        layers = self._viewer.layers
        as_left = self._is_as_left(base)
        lungs = lungs_of(base, layers)
        ours = [layer for layer in (lungs, base) if layer is not None and layer in layers]
        over = lying_on(base, layers)
        for layer in over:
            if is_heatmap(layer):  # the next one is as a person has set this one
                self._opacity, self._visible = layer.opacity, layer.visible
        gone = [*over, *ours] if as_left else over
        self._remove_soon(gone)
        for layer in ours:
            layer.visible = False

    def _remove_soon(self, gone: Sequence[Layer]) -> None:
        """Hide layers now, and remove them when the canvas was painted without them."""
        for layer in gone:
            if self._base is not None and layer.ndim == self._base.ndim:
                layer.units = self._base.units  # napari warns where they differ
        for layer in gone:
            layer.visible = False
        self._hidden += gone
        self._painted.start()

    def _remove_hidden(self) -> None:
        gone = [*self._hidden, *(line for line in self._emptied if not line.data)]
        self._hidden, self._emptied = [], []
        for layer in gone:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)


def _attributes(picture: LoadedImage) -> dict[str, Any]:
    """Return the attributes of a layer; its metadata is its own."""
    metadata = {KEY: dict(picture.attributes['metadata'][KEY])}
    return picture.attributes | {'metadata': metadata}
