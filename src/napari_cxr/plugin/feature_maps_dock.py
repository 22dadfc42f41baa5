"""The dock that shows what each filter of a network's stage makes of a radiograph."""

from __future__ import annotations

from threading import Event
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_cxr.checkpoint import CheckpointError
from napari_cxr.explain.feature_maps import FeatureMaps, dead_filters
from napari_cxr.plugin import classifying, feature_map_jobs
from napari_cxr.plugin.card_dialog import CardDialog
from napari_cxr.plugin.choices import Choices
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.docks import TabsTogether
from napari_cxr.plugin.feature_map_jobs import Stages
from napari_cxr.plugin.feature_map_layer import feature_map_layer, show_feature_maps
from napari_cxr.plugin.filters_view import FiltersView
from napari_cxr.plugin.lungs_layer import lungs_of
from napari_cxr.plugin.message import Message
from napari_cxr.plugin.scrolled import fill_dock
from napari_cxr.plugin.stage_choice import StageChoice
from napari_cxr.plugin.text import quiet_label
from napari_cxr.plugin.theme import style_sheet

__all__ = ['FeatureMapsDock']

_EMPTY = (
    'Open a chest radiograph to begin: drop a DICOM, PNG, JPEG or TIFF file onto the viewer, '
    'or choose File ▸ Open Sample ▸ Chest radiographs.'
)
_READY = (
    'Choose a stage and click Show maps to see what each of its filters finds in the image. '
    'Early stages find edges, late ones whole patterns.'
)
#: A bar that comes and goes sooner than this only flickers; milliseconds.
_PATIENCE = 300


class FeatureMapsDock(QWidget):
    """Choose a layer, a model and a stage; look at the maps of its filters.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: A job has ended: with maps, an error, or because it was cancelled.
    settled = Signal()
    #: The stages of the chosen model are listed, or why not is told.
    listed = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        TabsTogether(self)
        self._maps: WeakKeyDictionary[Image, FeatureMaps] = WeakKeyDictionary()
        self._stacks: WeakKeyDictionary[Image, Image] = WeakKeyDictionary()
        self._cancelled = Event()
        self._running_on: Image | None = None
        self._data: Any = None  # of that layer when the click came
        self._doing = ''
        self._build()
        self.choices.layer_changed.connect(self._show_maps)
        self.choices.setup_changed.connect(self._list_stages)
        self.choices.card_wanted.connect(self.show_card)
        self.stage.activated.connect(self._stage_chosen)
        self.start.clicked.connect(self._start_or_cancel)
        self.filters.chosen.connect(self._go_to)
        self.filters.order_changed.connect(self._reorder)
        self.viewer.dims.events.point.connect(self._follow_slider)
        self.viewer.layers.events.removed.connect(self._forget_removed)
        self.viewer.events.theme.connect(self._theme_changed)
        self._show_maps()
        self._list_stages()

    def _build(self) -> None:
        self.choices = Choices(self.viewer)
        self.choices.layer.setToolTip('The image layer whose feature maps are shown')
        self.choices.model.setToolTip('The model whose filters are shown')
        self.stage = StageChoice()
        form = self.choices.layout()
        if isinstance(form, QFormLayout):  # as it is; one form keeps the fields in line
            form.addRow('Stage', self.stage)
        self.start = QPushButton('Show maps')
        self.start.setToolTip('Run the model on the chosen image up to this stage')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.hide()
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(_PATIENCE)
        self._slow.timeout.connect(self._show_progress)
        self.status = quiet_label()
        self.message = Message()
        self.filters = FiltersView(self.viewer.theme)
        self.setStyleSheet(style_sheet(self.viewer.theme))
        fill_dock(
            self,
            self.choices,
            self.start,
            self.progress,
            self.status,
            self.message,
            self.filters,
        )

    # -- computing ----------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether maps are being computed."""
        return self._running_on is not None

    @property
    def maps(self) -> FeatureMaps | None:
        """The maps on show for the chosen layer, if there are any."""
        layer = self.choices.current_layer
        return None if layer is None else self._maps.get(layer)

    @property
    def stack(self) -> Image | None:
        """The layer with these maps."""
        layer = self.choices.current_layer
        return None if layer is None else self._stacks.get(layer)

    def compute(self) -> None:
        """Start computing the maps of the chosen stage; returns at once."""
        layer, stage = self.choices.current_layer, self.stage.current
        if layer is None or not stage or self.busy:
            return
        self.message.clear()
        self._running_on, self._data = layer, layer.data
        self._doing = 'Starting the network'
        self._cancelled = Event()
        worker = feature_map_jobs.compute(
            layer,
            self.choices.current_model,
            self.choices.current_device,
            stage,
            self._cancelled,
            lungs_of(layer, self.viewer.layers),
        )
        worker.yielded.connect(self._tell)
        worker.returned.connect(self._take)
        worker.finished.connect(self._finish)
        worker.start()
        self._slow.start()

    def cancel(self) -> None:
        """Stop what is under way."""
        if self.busy:
            self._cancelled.set()
            self._slow.stop()
            self.start.setText('Cancelling…')
            self.start.setEnabled(False)

    def _start_or_cancel(self) -> None:
        if not self.busy:
            self.compute()
        elif not self.progress.isHidden():
            self.cancel()

    def _tell(self, event: object) -> None:
        if isinstance(event, str):
            self._doing = event
            if not (self.progress.isHidden() or self._cancelled.is_set()):
                self._show_progress()

    def _show_progress(self) -> None:
        self.progress.show()
        self.start.setText('Cancel')
        self.status.setText(f'{self._doing}…')
        self.status.show()

    def _take(self, maps: FeatureMaps | Failure | None) -> None:
        if isinstance(maps, Failure):
            self.message.show_error(maps.text, maps.details)
        layer = self._running_on
        if not isinstance(maps, FeatureMaps) or layer is None or layer not in self.viewer.layers:
            return
        if layer.data is not self._data:
            self.message.show_error('The image was changed meanwhile. Click Show maps again.')
            return
        if layer not in self._stacks:
            layer.events.data.connect(self._forget_changed)
        self._maps[layer] = maps
        self._draw(layer)
        self._show_maps()
        self._go_to(0)

    def _finish(self) -> None:
        self._running_on = self._data = None
        self._slow.stop()
        self.progress.hide()
        self._show_maps()
        self.settled.emit()

    def _list_stages(self) -> None:
        """Load the chosen model and list its stages, before anyone clicks."""
        classifying.shared_torch()  # made in this thread, so that it is ended before Qt is
        self.message.clear()
        self.stage.show_stages(())
        self._update()
        worker = feature_map_jobs.list_stages(
            self.choices.current_model, self.choices.current_device
        )
        worker.returned.connect(self._stages_listed)
        worker.start()

    def _stages_listed(self, stages: Stages | Failure) -> None:
        if isinstance(stages, Failure):
            self.choices.show_device('')
            self.message.show_error(stages.text, stages.details)
        elif stages.model == self.choices.current_model:
            self.choices.show_device(stages.device)
            self.stage.show_stages(stages.shapes)
        self._update()
        self.listed.emit()

    def _stage_chosen(self) -> None:
        if self.maps is not None:
            self.compute()

    # -- showing ------------------------------------------------------------------------

    def show_card(self) -> CardDialog | None:
        """Open the card of the chosen model in a window of its own."""
        self.message.clear()
        try:
            dialog = CardDialog(self.choices.current_card(), self)
        except CheckpointError as error:
            self.message.show_error(str(error))
            return None
        dialog.show()
        return dialog

    def _draw(self, layer: Image) -> None:
        """Put the maps of a layer into its stack, in the order that the person wants."""
        maps = self._maps[layer]
        order, dead = self.filters.order(maps), dead_filters([maps.values])
        stack = self._stacks.get(layer)
        if stack is not None and stack in self.viewer.layers:
            show_feature_maps(stack, maps, order, dead, layer)
        else:
            self._stacks[layer] = feature_map_layer(maps, order, dead, layer)
            above = self.viewer.layers.index(layer) + 1
            self.viewer.layers.insert(above, self._stacks[layer])

    def _show_maps(self) -> None:
        """Show what belongs to the chosen layer, or what to do."""
        maps = self.maps
        self.filters.setVisible(maps is not None)
        if maps is not None:
            alike = [
                other.values
                for other in self._maps.values()
                if (other.model, other.stage) == (maps.model, maps.stage)
            ]
            everywhere = int(dead_filters(alike).sum())
            self.filters.show_maps(maps, dead_filters([maps.values]), everywhere, len(alike))
            self._follow_slider()
        self._update()

    def _update(self) -> None:
        """Make button and status say what is going on."""
        if self.busy:
            return
        empty = self.choices.current_layer is None
        loading = not self.stage.isEnabled() and bool(self.choices.current_model)
        self.start.setText('Show maps')
        self.start.setEnabled(not empty and self.stage.isEnabled())
        text = _EMPTY if empty else 'Loading the model…' if loading else _READY
        self.status.setText('' if self.maps is not None else text)
        self.status.setVisible(bool(self.status.text()) and not self.message.text)

    def _axis(self) -> int:
        """Return the viewer's axis along which a stack's filters lie."""
        return int(self.viewer.dims.ndim) - 3

    def _go_to(self, place: int) -> None:
        """Show the map at a place of the stack."""
        if self.stack is not None and self._axis() >= 0:
            self.viewer.dims.set_point(self._axis(), place)

    def _follow_slider(self) -> None:
        if self.maps is not None and self._axis() >= 0:
            self.filters.set_current(round(self.viewer.dims.point[self._axis()]))

    def _reorder(self) -> None:
        """Order the stack anew; the filter on screen stays on screen."""
        layer = self.choices.current_layer
        if layer is None or self.maps is None or self._axis() < 0:
            return
        place = round(self.viewer.dims.point[self._axis()])
        number = self.filters.number_at(place) if place < len(self.maps.values) else 0
        self._draw(layer)
        self._show_maps()
        self._go_to(self.filters.place_of(number))

    def _forget_changed(self, event: Any) -> None:
        if self._maps.pop(event.source, None) is not None:
            stack = self._stacks.get(event.source)
            if stack is not None and stack in self.viewer.layers:
                self.viewer.layers.remove(stack)
        self._show_maps()

    def _forget_removed(self, event: Any) -> None:
        """Forget maps whose stack the person has removed."""
        for layer, stack in list(self._stacks.items()):
            if stack is event.value:
                self._maps.pop(layer, None)
        self._show_maps()

    def _theme_changed(self, event: Any) -> None:
        self.setStyleSheet(style_sheet(event.value))
        self.filters.strip.set_theme(event.value)
