"""A line in a dock about a layer that another reader opened, with the offer to replace it."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.qt.threading import thread_worker
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.classifying import Failure, Job, failure
from napari_cxr.plugin.layers import lying_on, overlay_layers_data, radiograph_layer_data
from napari_cxr.plugin.settings import preferences
from napari_cxr.plugin.source_file import file_behind, is_of_other_reader
from napari_cxr.plugin.text import quiet_label
from napari_cxr.radiograph import Radiograph
from napari_cxr.rasters import is_raster
from napari_cxr.workers.decoding import shared_decoder

__all__ = ['OtherReader', 'put_in_place']

_DICOM = (
    "napari's own reader opened this DICOM file: it may show another image of the folder, or "
    'wrong grey values. The model is shown the file itself, without a heatmap on this layer.'
)
_RASTER = (
    "napari's own reader does not show all that this file says, such as which way it is to be "
    'turned. The model is shown the file itself, without a heatmap on this layer.'
)


class OtherReader(QWidget):
    """Says who opened the chosen layer, if it was not our reader; hidden otherwise.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    parent : QWidget, optional
        Qt parent.
    """

    #: Another layer stands in the place of the one that was replaced.
    replaced = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Image | None = None
        self._worker: Any = None
        self.text = quiet_label()
        self.button = QPushButton('Replace the layer')
        self.button.setToolTip('Put what our reader makes of the file in the place of this layer')
        self.button.clicked.connect(self.replace)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.button)
        self.hide()

    def turn_to(self, layer: Image | None) -> None:
        """Say what there is to say of another layer, or of this one once more is known."""
        self._layer = layer
        path = file_behind(layer) if layer is not None else None
        shown = layer is not None and path is not None and is_of_other_reader(layer)
        if shown and path is not None:
            self.text.setText(_RASTER if is_raster(path) else _DICOM)
            self.button.setEnabled(self._worker is None)
            self.button.setVisible(path.is_file())
        self.setVisible(shown)

    def replace(self) -> None:
        """Read the file and put it in the layer's place; returns at once."""
        layer = self._layer
        path = file_behind(layer) if layer is not None else None
        if layer is None or path is None or self._worker is not None:
            return
        worker = self._worker = _reopen(str(path))
        self.button.setEnabled(False)
        stem = path.stem if preferences('layers').file_names else ''

        def take(found: Radiograph | Failure) -> None:
            if isinstance(found, Failure):
                self.text.setText(found.text)
            elif layer in self._viewer.layers:
                put_in_place(self._viewer, layer, found, stem)
                self.replaced.emit()

        def finish() -> None:
            self._worker = None
            self.button.setEnabled(True)

        worker.returned.connect(take)
        worker.finished.connect(finish)
        worker.start()


@thread_worker
def _reopen(path: str) -> Job[Radiograph]:
    try:
        return (yield from shared_decoder().reading(path))
    except Exception as error:
        return failure(error, 'Opening the file')


def put_in_place(
    viewer: ViewerModel, layer: Image, radiograph: Radiograph, name: str = ''
) -> Layer:
    """Put a radiograph's layers in the place of a layer that another reader made of its file.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    layer : napari.layers.Image
        What goes, with all that lies on it.
    radiograph : Radiograph
        What comes.
    name : str, optional
        Of the new layer; see `radiograph_layer_data`.
    """
    data = radiograph_layer_data(radiograph, name)
    at = viewer.layers.index(layer)
    new = Layer.create(*data)
    viewer.layers.insert(at, new)
    for number, overlay in enumerate(overlay_layers_data(radiograph, data[1]), 1):
        viewer.layers.insert(at + number, Layer.create(*overlay))
    for gone in (*lying_on(layer, viewer.layers), layer):
        viewer.layers.remove(gone)
    viewer.layers.selection.active = new
    return new
