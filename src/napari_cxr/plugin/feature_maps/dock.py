"""The dock that shows what each filter of a network's stage makes of a radiograph."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout

from napari_cxr.explain.feature_maps import FeatureMaps, dead_filters
from napari_cxr.plugin import classifying
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.feature_maps import jobs
from napari_cxr.plugin.feature_maps.filters_view import FiltersView
from napari_cxr.plugin.feature_maps.jobs import Stages
from napari_cxr.plugin.feature_maps.layer import feature_map_layer, show_feature_maps
from napari_cxr.plugin.feature_maps.stage_choice import StageChoice
from napari_cxr.plugin.image_dock import ImageDock
from napari_cxr.plugin.lungs.layer import lungs_of
from napari_cxr.plugin.scrolled import fill_dock

__all__ = ['FeatureMapsDock']

_READY = (
    'Choose a stage and click Show maps to see what each of its filters finds in the image. '
    'Early stages find edges, late ones whole patterns.'
)


class FeatureMapsDock(ImageDock):
    """Choose a layer, a model and a stage; look at the maps of its filters.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: The stages of the chosen model are listed, or why not is told.
    listed = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer, 'Show maps')
        self._maps: WeakKeyDictionary[Image, FeatureMaps] = WeakKeyDictionary()
        self._stacks: WeakKeyDictionary[Image, Image] = WeakKeyDictionary()
        self._build()
        self.choices.layer_changed.connect(self._turn)
        self.choices.setup_changed.connect(self._list_stages)
        self.choices.card_wanted.connect(self.show_card)
        self.asked.connect(self.compute)
        self.stage.activated.connect(self._stage_chosen)
        self.filters.chosen.connect(self._go_to)
        self.filters.order_changed.connect(self._reorder)
        self.viewer.dims.events.point.connect(self._follow_slider)
        self.viewer.layers.events.removed.connect(self._forget_removed)
        self._show()
        self._list_stages()

    def _build(self) -> None:
        self.choices.layer.setToolTip('The image layer whose feature maps are shown')
        self.choices.model.setToolTip('The model whose filters are shown')
        self.stage = StageChoice()
        form = self.choices.layout()
        if isinstance(form, QFormLayout):  # as it is; one form keeps the fields in line
            form.addRow('Stage', self.stage)
        self.start.setToolTip('Run the model on the chosen image up to this stage')
        self.filters = FiltersView(self.viewer.theme)
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
        worker = jobs.compute(
            layer,
            self.choices.current_model,
            self.choices.current_device,
            stage,
            self._begin(layer),
            lungs_of(layer, self.viewer.layers),
        )
        worker.returned.connect(self._take)
        self._follow(worker)

    def _take(self, maps: FeatureMaps | Failure | None) -> None:
        layer = self._running_on
        if isinstance(maps, Failure):
            self._tell_failure(maps, layer)
        if not isinstance(maps, FeatureMaps) or layer is None or layer not in self.viewer.layers:
            return
        if layer.data is not self._data:
            self._tell_problem('The image was changed meanwhile. Click Show maps again.', of=layer)
            return
        if layer not in self._stacks:
            layer.events.data.connect(self._forget_changed)
        self._maps[layer] = maps
        self._draw(layer)
        self._show()
        self._go_to(0)

    def _list_stages(self) -> None:
        """Load the chosen model and list its stages, before anyone clicks."""
        classifying.shared_torch()  # made in this thread, so that it is ended before Qt is
        self.message.clear()
        self.stage.show_stages(())
        self._update()
        worker = self._listing = jobs.list_stages(
            self.choices.current_model, self.choices.current_device
        )
        worker.returned.connect(self._stages_listed)
        worker.start()

    def _stages_listed(self, stages: Stages | Failure) -> None:
        if isinstance(stages, Failure):
            self.choices.show_device('')
            self._tell_failure(stages)
        elif stages.model == self.choices.current_model:
            self.choices.show_device(stages.device)
            self.stage.show_stages(stages.shapes)
        self._update()
        self.listed.emit()

    def _stage_chosen(self) -> None:
        if self.maps is not None:
            self.compute()

    # -- showing ------------------------------------------------------------------------

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

    def _show(self) -> None:
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
        if self.busy:
            return
        listed = self.stage.isEnabled()
        text = _READY if listed or not self.choices.current_model else 'Loading the model…'
        ready = self.choices.current_layer is not None and listed
        self._say(ready, '' if self.maps is not None else text)

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
        self._show()
        self._go_to(self.filters.place_of(number))

    def _forget_changed(self, event: Any) -> None:
        if self._maps.pop(event.source, None) is not None:
            stack = self._stacks.get(event.source)
            if stack is not None and stack in self.viewer.layers:
                self.viewer.layers.remove(stack)
        self._show()

    def _forget_removed(self, event: Any) -> None:
        """Forget maps whose stack the person has removed."""
        for layer, stack in list(self._stacks.items()):
            if stack is event.value:
                self._maps.pop(layer, None)
        self._show()

    def set_theme(self, theme: str) -> None:
        """Let the strip of filters take the colours of a theme."""
        self.filters.strip.set_theme(theme)
