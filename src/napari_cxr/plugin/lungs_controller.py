"""The lungs of a radiograph on screen: found, shown, edited, and heatmaps measured in them.

Two jobs find the lungs and measure heatmaps by them. `LungsController` keeps the lungs of the
radiograph that a dock shows in step with what a person does; `show_lung_field` is the command
that shows them without classifying.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakSet

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cxr.explain.heatmap_location import heatmap_location, uniform_lung_fraction
from napari_cxr.lungs import LungField
from napari_cxr.plugin.background import Failure, Job, JobOutcome, run_job
from napari_cxr.plugin.classify_job import ExplainedPrediction, HeatmapsByLungs
from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.layers import base_of, is_base_image, is_placeholder
from napari_cxr.plugin.lungs_layer import (
    align_lungs,
    detach_lungs,
    edit_number,
    found_field,
    lungs_layer,
    lungs_of,
    radiograph_of_lungs,
)
from napari_cxr.plugin.source_file import radiograph_behind, shows_other_pixels
from napari_cxr.workers.decoder_pool import shared_decoder

__all__ = [
    'FoundLungs',
    'LungsController',
    'chosen_radiograph',
    'find_lungs',
    'insert_lungs',
    'measure_in_lungs',
    'show_lung_field',
]

_OTHER_PIXELS = (
    "This layer was opened by napari's own reader and shows other pixels than its file holds: "
    'replace the layer with the button in the Classify dock, or open the file with '
    'File ▸ IO Utilities ▸ Chest X-ray: Open file….'
)


@dataclass(frozen=True, eq=False)
class FoundLungs:
    """The lungs of a radiograph.

    Parameters
    ----------
    radiograph : napari.layers.Image
        The radiograph's layer.
    lungs : napari.layers.Labels
        A layer for them that no viewer has yet. It is made here, because the first layer
        of this kind takes napari a quarter of a second.
    """

    radiograph: Image
    lungs: Labels


def find_lungs(layer: Image, field: LungField | None = None) -> Job[FoundLungs | Failure]:
    """Find the lungs on what a layer shows, and lay them on its pixels; a job for `run_job`.

    In the decoder process: it needs no torch, which may not run yet or be busy.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer.
    field : LungField, optional
        The lungs, where they are known already.
    """
    radiograph = None
    if field is None:
        radiograph = yield from radiograph_behind(layer)
        if radiograph.refusal:
            return Failure(f'{radiograph.refusal} It has no lung field.', '')
        if shows_other_pixels(layer):
            return Failure(_OTHER_PIXELS, '')
    found, labels = yield from shared_decoder().find_lungs(radiograph, field)
    return FoundLungs(layer, lungs_layer(found, labels, layer))


def measure_in_lungs(layer: Labels, answer: ExplainedPrediction) -> HeatmapsByLungs:
    """Measure an answer's heatmaps by lungs that may have been edited; a job for `run_job`.

    Parameters
    ----------
    layer : napari.layers.Labels
        What `lungs_layer` made.
    answer : ExplainedPrediction
        About the radiograph under it.
    """
    edit = edit_number(layer)
    if edit == answer.lungs.edit:
        return answer.lungs
    labels, shape = np.asarray(layer.data), answer.field.shape
    mask = np.isin(labels, (1, 2))  # as the model sees them: a third label is no lung
    return replace(
        answer.lungs,
        locations=tuple(heatmap_location(each, labels, shape) for each in answer.heatmaps),
        uniform=uniform_lung_fraction(answer.heatmaps[0], mask, shape),
        edit=edit,
    )


_FINDING = 'Finding the lungs'

#: How long the brush rests before heatmaps are measured again, in milliseconds.
_EDIT_PAUSE = 250


class LungsController(QObject):
    """Keeps the lungs of one radiograph at a time in step with what a person does.

    The layer itself says whose lungs it holds, so one that a command has made, or that
    was there before the dock, is taken up as well.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    parent : QObject
        Qt parent.
    """

    #: Where each heatmap lies by the lungs on show; a `HeatmapsByLungs`.
    measured = Signal(object)
    #: Lungs are on screen or not.
    shown = Signal(bool)
    #: Lungs could not be found, or heatmaps not measured in them; a `Failure`.
    failed = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._base: weakref.ref[Image] | None = None
        self._answer: ExplainedPrediction | None = None
        self._followed: weakref.ref[Labels] | None = None
        self._wanted: WeakSet[Image] = WeakSet()
        self._measuring = False
        self._measured_for: ExplainedPrediction | None = None
        self._resting = QTimer(self)
        self._resting.setSingleShot(True)
        self._resting.setInterval(_EDIT_PAUSE)
        self._resting.timeout.connect(self._measure)
        viewer.layers.events.inserted.connect(self._follow)
        viewer.layers.events.removed.connect(self._follow)

    @property
    def layer(self) -> Labels | None:
        """The layer with the lungs of the radiograph on show, if there is one."""
        base = self._radiograph
        return None if base is None else lungs_of(base, self._viewer.layers)

    def show_radiograph(self, base: Image | None, answer: ExplainedPrediction | None) -> None:
        """Follow another radiograph, or another result of it."""
        self._base = None if base is None else weakref.ref(base)
        self._answer = answer
        layer = self.layer
        if base is not None and layer is not None:
            align_lungs(layer, base)
        self._follow()
        self._measure()

    def show(self, wanted: bool) -> None:
        """Show the lungs, and find them first if need be; or hide them."""
        layer, base = self.layer, self._radiograph
        if base is None:
            return
        if layer is not None:
            layer.visible = wanted
        elif not wanted:
            self._wanted.discard(base)
        elif base not in self._wanted:
            self._wanted.add(base)
            answer = self._answer
            # Lungs that were edited before the click went with their layer: find them again.
            field = None if answer is None or answer.lungs.edit else answer.field
            run_job(
                self,
                find_lungs(base, field),
                _FINDING,
                done=partial(self._take, base, base.data),
            )

    def edit(self) -> None:
        """Select napari's brush on the layer with the lungs."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.selection.active = layer
            layer.visible = True
            layer.mode = 'paint'

    def forget(self, base: Image) -> None:
        """Remove lungs that were found on other pixels; edited ones stay as a layer."""
        self._wanted.discard(base)
        layer = lungs_of(base, self._viewer.layers)
        if layer is not None:
            detach_lungs(layer)
            if not edit_number(layer):
                self._viewer.layers.remove(layer)

    @property
    def _radiograph(self) -> Image | None:
        return self._base() if self._base is not None else None

    def _take(self, base: Image, data: Any, outcome: JobOutcome | Failure) -> None:
        if base.data is not data:  # it shows another radiograph by now
            return
        if isinstance(outcome, Failure):
            self._wanted.clear()
            self._emit_shown()
            self.failed.emit(outcome)
        elif base in self._wanted:
            self._wanted.discard(base)
            insert_lungs(self._viewer, outcome.result)

    def _follow(self, event: Any = None) -> None:
        """Connect to the layer with the lungs, which may have come or gone."""
        layer = self.layer
        before = self._followed() if self._followed is not None else None
        if layer is not before:
            if before is not None:
                for emitter in _edit_events(before):
                    emitter.disconnect(self._edited)
                before.events.visible.disconnect(self._emit_shown)
            self._followed = None if layer is None else weakref.ref(layer)
            if layer is not None:
                for emitter in _edit_events(layer):
                    emitter.connect(self._edited)
                layer.events.visible.connect(self._emit_shown)
            self._edited()
        self._emit_shown()

    def _emit_shown(self, event: Any = None) -> None:
        layer, base = self.layer, self._radiograph
        on_the_way = base is not None and base in self._wanted
        self.shown.emit(on_the_way if layer is None else layer.visible)

    def _edited(self, event: Any = None) -> None:
        self._resting.start()

    def _measure(self) -> None:
        layer, answer = self.layer, self._answer
        if answer is None:
            return
        if layer is None:
            self.measured.emit(answer.lungs)
        elif self._measuring:
            self._resting.start()
        else:
            self._measuring = True
            self._measured_for = answer
            run_job(
                self,
                partial(measure_in_lungs, layer, answer),
                'Measuring the heatmaps',
                done=self._take_locations,
            )

    def _take_locations(self, outcome: JobOutcome | Failure) -> None:
        self._measuring = False
        if isinstance(outcome, Failure):
            self.failed.emit(outcome)
        elif self._measured_for is self._answer:  # else another one is on show by now
            self.measured.emit(outcome.result)
        self._measured_for = None


def insert_lungs(viewer: ViewerModel, found: FoundLungs) -> Labels | None:
    """Lay lungs on their radiograph's layer; the person's selection stays.

    Returns
    -------
    napari.layers.Labels or None
        The new layer; None if the radiograph has gone, or has lungs by now.
    """
    layers = viewer.layers
    if found.radiograph not in layers or lungs_of(found.radiograph, layers) is not None:
        return None
    selected = layers.selection.active
    align_lungs(found.lungs, found.radiograph)  # which may have been moved meanwhile
    layers.insert(layers.index(found.radiograph) + 1, found.lungs)
    layers.selection.active = selected
    return found.lungs


def _edit_events(layer: Labels) -> tuple[Any, ...]:
    """Return the events of changed labels: a stroke, an undone one, other data."""
    events = layer.events
    return events.paint, events.set_data, events.data


def show_lung_field(viewer: ViewerModel) -> None:
    """Find the lungs of the chosen radiograph and lay them on it; returns at once.

    Lungs that are there already are shown and selected, never made again, because a
    person may have edited them.

    Parameters
    ----------
    viewer : ViewerModel
        Whose radiograph is meant.
    """
    viewer = unwrap_viewer(viewer)
    if any(map(is_placeholder, viewer.layers.selection)):
        show_info('This radiograph is still being opened. Wait until it is on screen.')
        return
    base = chosen_radiograph(viewer)
    if base is None:
        show_info('Open a chest radiograph first, then show its lung field.')
        return
    there = lungs_of(base, viewer.layers)
    if there is not None:
        there.visible = True
        viewer.layers.selection.active = there
        return

    def take(outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            show_error(outcome.text)
            return
        layer = insert_lungs(viewer, outcome.result)
        if layer is None:
            return
        viewer.layers.selection.active = layer
        field = found_field(layer)
        if field.source == 'atlas':
            show_warning(
                f'The lungs could not be found here ({field.implausible}): the layer shows '
                'where they are on average. Correct it with the brush before you use it.'
            )

    run_job(None, find_lungs(base), _FINDING, done=take)


def chosen_radiograph(viewer: ViewerModel) -> Image | None:
    """Return the selected radiograph's layer, or the topmost on show if none is selected."""
    active = viewer.layers.selection.active
    images = [layer for layer in viewer.layers if is_base_image(layer)]
    if active is not None and active not in images:
        active = base_of(active) or radiograph_of_lungs(active)
    visible = [layer for layer in images if layer.visible]
    return active if active is not None else next(reversed(visible or images), None)
