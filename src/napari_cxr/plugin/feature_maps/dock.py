"""The dock that shows what each filter of a network's stage makes of a radiograph.

The jobs behind it run in the torch process that docks share; the maps become one napari layer, a
stack that lies on its radiograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout

from napari_cxr.explain.feature_maps import FeatureMaps, dead_filters
from napari_cxr.plugin.background import Failure, Job, JobOutcome, run_job, shared_torch
from napari_cxr.plugin.base_dock import ImageDock
from napari_cxr.plugin.feature_maps.filters_view import FiltersView, StageComboBox
from napari_cxr.plugin.layers import KEY
from napari_cxr.plugin.lungs_layer import edit_number, edited_field, lungs_of
from napari_cxr.plugin.source_file import radiograph_behind
from napari_cxr.plugin.widgets.sections import fill_dock

__all__ = [
    'FeatureMapsDock',
    'ModelStages',
    'compute_feature_maps',
    'feature_map_layer',
    'list_stages',
    'show_feature_maps',
]


@dataclass(frozen=True)
class ModelStages:
    """The stages of a model, once it is loaded, and where it will run.

    Parameters
    ----------
    model : str
        Name or path, as asked for.
    device : str
        A few words: which device, and why if it is the CPU.
    shapes : tuple of (str, int, int, int)
        Name, filters, rows and columns of each stage that returns maps.
    """

    model: str
    device: str
    shapes: tuple[tuple[str, int, int, int], ...]


def list_stages(model: str, device: str) -> Job[ModelStages]:
    """Load a model and list its stages; a job for `run_job`."""
    _, reason = yield from shared_torch().run('device', name=device)
    shapes = []
    if model:
        shapes = yield from shared_torch().run('stages', model=model, device=device)
    return ModelStages(model, reason, tuple(tuple(row) for row in shapes))


def compute_feature_maps(
    layer: Image, model: str, device: str, stage: str, lungs: Labels | None = None
) -> Job[FeatureMaps]:
    """Run a model on what a layer shows, up to a stage; a job for `run_job`.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer.
    model, device, stage : str
        As in the catalog; as `napari_cxr.inference.device` takes it; of the model.
    lungs : napari.layers.Labels, optional
        The layer with its lungs. What a person has edited there is what counts.
    """
    radiograph = yield from radiograph_behind(layer)
    edited = edited_field(lungs) if lungs is not None and edit_number(lungs) else None
    maps: FeatureMaps = yield from shared_torch().run(
        'feature_maps',
        radiograph=radiograph,
        model=model,
        device=device,
        stage=stage,
        field=edited,
    )
    return maps


def feature_map_layer(
    maps: FeatureMaps, order: np.ndarray, dead: np.ndarray, base: Image
) -> Image:
    """Return a layer with a map a filter along its first axis; see `show_feature_maps`."""
    layer = Image(
        np.ascontiguousarray(maps.values[order]),
        colormap='inferno',
        blending='translucent_no_depth',
        opacity=0.75,
        interpolation2d='nearest',
        axis_labels=('filter', *base.axis_labels[-2:]),
        units=('pixel', *base.units[-2:]),
    )
    show_feature_maps(layer, maps, order, dead, base)
    return layer


def show_feature_maps(
    layer: Image, maps: FeatureMaps, order: np.ndarray, dead: np.ndarray, base: Image
) -> None:
    """Put maps into an existing layer, each in place on the radiograph's layer.

    The maps keep the few cells that the network produced. All filters share their
    contrast limits, so that a weak map looks weak.

    Parameters
    ----------
    layer : napari.layers.Image
        A layer that `feature_map_layer` made.
    maps : FeatureMaps
        What to show.
    order : ndarray of int, shape (C,)
        The filter at each place of the stack.
    dead : ndarray of bool, shape (C,)
        Which filters are dead, by their own numbers.
    base : napari.layers.Image
        The radiograph's layer, with rows and columns.
    """
    layer.data = np.ascontiguousarray(maps.values[order])
    for name, value in _placement(maps, base).items():
        if not np.array_equal(np.asarray(getattr(layer, name)), value):
            setattr(layer, name, value)
    low, high = float(maps.values.min()), float(maps.values.max())
    low = min(low, 0.0)
    # A few cells are often far above all others; they may be drawn alike.
    top = max(float(np.quantile(maps.values, 0.999)), low + 1e-12)
    layer.contrast_limits_range = (low, max(high, top))
    layer.contrast_limits = (low, top)
    layer.name = f'Feature maps · {maps.stage} · {maps.model}'
    layer.metadata = {
        KEY: {
            'method': 'feature maps',
            'stage': maps.stage,
            'model': maps.model,
            'filters': order.tolist(),
            'dead': np.flatnonzero(dead).tolist(),
            'place': maps.untraceable or 'by the receptive fields of the cells',
            'base': base.name,
        }
    }


def _placement(maps: FeatureMaps, base: Image) -> dict[str, Any]:
    """Return where napari must draw the stack so that cells lie where they look."""
    origin = np.asarray(base.data_to_world((0, 0)))
    axes = [np.asarray(base.data_to_world(point)) - origin for point in ((1, 0), (0, 1))]
    to_world = np.eye(3)
    to_world[:2] = np.column_stack([*axes, origin])
    matrix = to_world @ maps.to_radiograph
    affine = np.eye(4)
    if np.allclose(matrix[[0, 1], [1, 0]], 0):
        scale = (1.0, matrix[0, 0], matrix[1, 1])
        return {'affine': affine, 'scale': scale, 'translate': (0.0, *matrix[:2, 2])}
    affine[1:, 1:] = matrix  # the radiograph's layer is turned or sheared
    return {'affine': affine, 'scale': (1.0,) * 3, 'translate': (0.0,) * 3}


_READY = (
    'Choose a stage and click Show maps to see what each of its filters responds to. '
    'Early stages find edges, late ones whole patterns.'
)


class FeatureMapsDock(ImageDock):
    """Choose a layer, a model and a stage; look at the maps of its filters.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: The stages of the chosen model are listed, or an error is shown.
    listed = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer, 'Show maps')
        self._maps: WeakKeyDictionary[Image, FeatureMaps] = WeakKeyDictionary()
        self._stacks: WeakKeyDictionary[Image, Image] = WeakKeyDictionary()
        self._build()
        self.inputs.layer_changed.connect(self._image_changed)
        self.inputs.setup_changed.connect(self._list_stages)
        self.inputs.card_wanted.connect(self.show_card)
        self.start_requested.connect(self.compute)
        self.stage.activated.connect(self._stage_chosen)
        self.filters.chosen.connect(self._go_to)
        self.filters.order_changed.connect(self._reorder)
        self.viewer.dims.events.point.connect(self._follow_slider)
        self.viewer.layers.events.removed.connect(self._forget_removed)
        self._show()
        self._list_stages()

    def _build(self) -> None:
        self.inputs.layer.setToolTip('The image layer whose feature maps are shown')
        self.inputs.model.setToolTip('The model whose filters are shown')
        self.stage = StageComboBox()
        form = self.inputs.layout()
        if isinstance(form, QFormLayout):  # as it is; one form keeps the fields in line
            form.addRow('Stage', self.stage)
        self.start.setToolTip('Run the model on the chosen image up to this stage')
        self.filters = FiltersView(self.viewer.theme)
        fill_dock(
            self,
            self.inputs,
            self.start,
            self.progress,
            self.status,
            self.inputs.other_reader,
            self.message,
            self.filters,
        )

    # -- computing ----------------------------------------------------------------------

    @property
    def maps(self) -> FeatureMaps | None:
        """The maps on show for the chosen layer, if there are any."""
        layer = self.inputs.current_layer
        return None if layer is None else self._maps.get(layer)

    @property
    def stack(self) -> Image | None:
        """The layer with these maps."""
        layer = self.inputs.current_layer
        return None if layer is None else self._stacks.get(layer)

    def compute(self) -> None:
        """Start computing the maps of the chosen stage; returns at once."""
        layer, stage = self.inputs.current_layer, self.stage.current
        if layer is None or not stage or self.busy:
            return
        job = compute_feature_maps(
            layer,
            self.inputs.current_model,
            self.inputs.current_device,
            stage,
            lungs_of(layer, self.viewer.layers),
        )
        self._start_job(layer, job, 'Showing the feature maps', self._take)

    def _take(self, outcome: JobOutcome | Failure) -> None:
        layer = self._running_on
        if isinstance(outcome, Failure):
            self._show_failure(outcome, layer)
            return
        maps = outcome.result
        if maps is None or layer is None or layer not in self.viewer.layers:
            return
        if layer.data is not self._data:
            self._show_problem('The image has changed since. Click Show maps again.', of=layer)
            return
        if layer not in self._stacks:
            layer.events.data.connect(self._forget_changed)
        self._maps[layer] = maps
        self._draw(layer)
        self._show()
        self._go_to(0)

    def _list_stages(self) -> None:
        """Load the chosen model and list its stages, before anyone clicks."""
        shared_torch()  # made in this thread, so that it is ended before Qt is
        self.message.clear()
        self.stage.show_stages(())
        self._update()
        job = list_stages(self.inputs.current_model, self.inputs.current_device)
        # Nobody's: the process and its model are there for the other docks as well.
        run_job(None, job, 'Loading the model', done=self._stages_listed)

    def _stages_listed(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.inputs.show_device('')
            self._show_failure(outcome)
        elif outcome.result.model == self.inputs.current_model:
            self.inputs.show_device(outcome.result.device)
            self.stage.show_stages(outcome.result.shapes)
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
            layers = self.viewer.layers
            selected = layers.selection.active
            layers.insert(layers.index(layer) + 1, self._stacks[layer])
            if selected is not None:
                layers.selection.active = selected

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
        text = _READY if listed or not self.inputs.current_model else 'Loading the model…'
        ready = self.inputs.current_layer is not None and listed
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
        """Reorder the stack; the filter on screen stays on screen."""
        layer = self.inputs.current_layer
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
