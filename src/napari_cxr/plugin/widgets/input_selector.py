"""Which image, with which model, on which device: the upper part of docks about one image.

If another reader opened the chosen layer, a line says so and offers to replace it by ours.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cxr.checkpoint import Card
from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.docks import dock_signals, is_same_viewer
from napari_cxr.plugin.layers import (
    KEY,
    appearance,
    is_base_image,
    is_placeholder,
    lying_on,
    overlay_layers_data,
    radiograph_layer_data,
)
from napari_cxr.plugin.opening import show_job
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.source_file import file_behind, is_of_other_reader, read_in_decoder
from napari_cxr.plugin.standard_windows import NamedWindow
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.model_selector import ModelComboBox, fill_device_list
from napari_cxr.plugin.widgets.text import ElidedComboBox, ElidedLine, PlainLabel
from napari_cxr.radiograph import Radiograph
from napari_cxr.rasters import is_raster

__all__ = ['InputSelector', 'OtherReaderNotice', 'replace_layer']

_DICOM_NOTICE = (
    "napari's own reader opened this DICOM file: it may show another image of the folder, or "
    'wrong grey values. The model is shown the file itself, without a heatmap on this layer.'
)

_RASTER_NOTICE = (
    "napari's own reader does not show all that this file says, such as which way it is to be "
    'turned. The model is shown the file itself, without a heatmap on this layer.'
)


class OtherReaderNotice(QWidget):
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
        self._running = False
        self.text = quiet_label()
        self.button = QPushButton('Replace the layer')
        self.button.setToolTip('Put what our reader makes of the file in the place of this layer')
        self.button.clicked.connect(self.replace)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.button)
        self.hide()

    def show_layer(self, layer: Image | None) -> None:
        """Show the notice of another layer, or of this one once more is known."""
        self._layer = layer
        path = file_behind(layer) if layer is not None else None
        shown = layer is not None and path is not None and is_of_other_reader(layer)
        if shown and path is not None:
            self.text.setText(_RASTER_NOTICE if is_raster(path) else _DICOM_NOTICE)
            self.button.setEnabled(not self._running)
            self.button.setVisible(path.is_file())
        self.setVisible(shown)

    def replace(self) -> None:
        """Read the file and put it in the layer's place; returns at once."""
        layer = self._layer
        path = file_behind(layer) if layer is not None else None
        if layer is None or path is None or self._running:
            return
        self._running = True
        self.button.setEnabled(False)
        stem = path.stem if preferences('layers').file_names else ''
        job = run_job(
            self,
            read_in_decoder(path),
            'Opening the file',
            done=partial(self._take, layer, stem),
            ended=self._finish,
        )
        show_job(self._viewer, job, f'Opening {path.name}')

    def _take(self, layer: Image, stem: str, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.text.setText(outcome.text)
        elif outcome.result is not None and layer in self._viewer.layers:
            replace_layer(self._viewer, layer, outcome.result, stem)
            self.replaced.emit()

    def _finish(self) -> None:
        self._running = False
        self.button.setEnabled(True)


def replace_layer(
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
    new = Layer.create(*watch_viewer(viewer).arriving([data])[0])
    viewer.layers.insert(at, new)
    for number, overlay in enumerate(overlay_layers_data(radiograph, data[1]), 1):
        viewer.layers.insert(at + number, Layer.create(*overlay))
    for gone in (*lying_on(layer, viewer.layers), layer):
        viewer.layers.remove(gone)
    viewer.layers.selection.active = new
    return new


class InputSelector(QWidget):
    """Image, window, model and device.

    Parameters
    ----------
    viewer : ViewerModel
        Whose image layers are offered.
    offers : bool
        Whether models that have to be downloaded first are listed too.
    parent : QWidget, optional
        Qt parent.
    """

    #: Another layer was chosen, by the person or because layers came and went.
    layer_changed = Signal()
    #: Another model or device was chosen.
    setup_changed = Signal()
    #: The person wants to read the model's card.
    card_wanted = Signal()

    def __init__(
        self, viewer: ViewerModel, offers: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._offers = offers
        self._listed: list[Image] = []
        self._was_opening = False
        self._build()
        layers = viewer.layers
        layers.events.inserted.connect(self._list_layers)
        layers.events.removed.connect(self._list_layers)
        layers.selection.events.active.connect(self._follow_selection)
        self.layer.currentIndexChanged.connect(self._layer_chosen)
        self.preset.currentIndexChanged.connect(self._show_preset)
        self.model.chosen.connect(self.setup_changed)
        self.device.activated.connect(self._device_chosen)
        self.card.clicked.connect(self.card_wanted)
        dock_signals().model_requested.connect(self._choose_model)
        dock_signals().image_changing.connect(self._image_changing)
        self._list_layers()
        self._layer_chosen()

    def _build(self) -> None:
        self.layer = ElidedComboBox('The image layer to classify')
        #: For the dock to show below its button: it may come after a click.
        self.other_reader = OtherReaderNotice(self._viewer)
        self.preset = ElidedComboBox(
            'How the radiograph is shown on screen. The model always sees the first entry.'
        )
        self.model = ModelComboBox('The model that classifies', 'classify', self._offers)
        self.card = QPushButton('Card')
        self.card.setToolTip('What this model is, what it was measured on, and what not')
        self.device = ElidedComboBox('Where the network runs')
        fill_device_list(self.device, preferences('classify').device)
        self.device_reason = ElidedLine()
        self.device_reason.setObjectName('quiet')
        self._preset_label = PlainLabel('Window')
        beside = QHBoxLayout()
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.model, 1)
        beside.addWidget(self.card)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow('Image', self.layer)
        form.addRow(self._preset_label, self.preset)
        form.addRow('Model', beside)
        form.addRow('Device', self.device)
        form.addRow(self.device_reason)

    @property
    def current_layer(self) -> Image | None:
        """The layer that Classify would take."""
        at = self.layer.currentIndex()
        return self._listed[at] if 0 <= at < len(self._listed) else None

    @property
    def is_opening(self) -> bool:
        """Whether a radiograph is being opened, which is then no layer to choose yet."""
        return any(map(is_placeholder, self._viewer.layers))

    @property
    def current_model(self) -> str:
        """Name in the catalog or path of the chosen model; empty if there is none."""
        return self.model.current

    @property
    def current_device(self) -> str:
        """The chosen device: 'auto', 'cpu', 'cuda' or 'mps'."""
        return cast(str, self.device.currentData())

    def current_card(self) -> Card:
        """Return the card of the chosen model.

        Raises
        ------
        CheckpointError
            If its file cannot be read.
        """
        return self.model.current_card()

    def show_device(self, reason: str) -> None:
        """Show which device was found and why; an empty string leaves the line blank.

        It comes by itself, seconds after a model was chosen: the line is always there, so that
        what is below does not move.
        """
        self.device_reason.show_text(reason)

    def choose_model_file(self, path: str) -> None:
        """Add a model file to the list and choose it."""
        self.model.choose_file(path)

    def _choose_model(self, viewer: ViewerModel, name_or_path: str) -> None:
        if is_same_viewer(viewer, self._viewer):
            self.model.choose(name_or_path)

    def _list_layers(self) -> None:
        """List the image layers that are not heatmaps of ours."""
        before = self.current_layer
        for layer in self._listed:
            layer.events.name.disconnect(self._rename)
        self._listed = [layer for layer in self._viewer.layers if is_base_image(layer)]
        with QSignalBlocker(self.layer):
            self.layer.clear()
            for layer in self._listed:
                self.layer.addItem(layer.name)
                layer.events.name.connect(self._rename)
            chosen = before if before in self._listed else self._on_show()
            self.layer.setCurrentIndex(self._listed.index(chosen) if chosen is not None else -1)
        self.layer.setEnabled(bool(self._listed))
        if self.current_layer is not before or self.is_opening != self._was_opening:
            self._was_opening = self.is_opening
            self._layer_chosen()

    def _on_show(self) -> Image | None:
        """Return the layer that a person most likely means: selected, visible, or the newest."""
        active = self._viewer.layers.selection.active
        if active in self._listed:
            return cast(Image, active)
        visible = [layer for layer in self._listed if layer.visible]
        return next(reversed(visible or self._listed), None)

    def _rename(self) -> None:
        for i, layer in enumerate(self._listed):
            self.layer.setItemText(i, layer.name)

    def _follow_selection(self) -> None:
        """Take the layer that the person selected in napari's list."""
        active = self._viewer.layers.selection.active
        if active in self._listed:
            self.layer.setCurrentIndex(self._listed.index(active))

    def _image_changing(self, layer: Image) -> None:
        """Follow a layer that will show another radiograph."""
        if layer is self.current_layer:
            self._layer_chosen()

    def _layer_chosen(self) -> None:
        radiograph = self._radiograph()
        presets = radiograph.presets if radiograph is not None else ()
        with QSignalBlocker(self.preset):
            self.preset.clear()
            for i, preset in enumerate(presets, 1):
                self.preset.addItem(preset.explanation.capitalize() or f'Window {i}')
        for widget in (self.preset, self._preset_label):
            widget.setVisible(len(presets) > 1)
        self.other_reader.show_layer(self.current_layer)
        self.layer_changed.emit()

    def _radiograph(self) -> Radiograph | None:
        """Return the radiograph of the current layer, if our reader opened it."""
        layer = self.current_layer
        found = layer.metadata.get(KEY, {}).get('radiograph') if layer is not None else None
        return found if isinstance(found, Radiograph) and not found.is_colour else None

    def _show_preset(self, index: int) -> None:
        layer, radiograph = self.current_layer, self._radiograph()
        if layer is not None and radiograph is not None and index >= 0:
            look = appearance(radiograph, index)
            window = NamedWindow('', look['contrast_limits'], look['colormap'], True)
            views_of(self._viewer).show_window(layer, window)

    def _device_chosen(self) -> None:
        save_preferences('classify', device=self.current_device)
        self.setup_changed.emit()
