"""The jobs behind the Feature maps dock; they run in the torch process that docks share."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from threading import Event

from napari.layers import Image, Labels
from napari.qt.threading import thread_worker

from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.plugin.classifying import Job, failure, shared_torch
from napari_cxr.plugin.lungs.layer import edit_of, edited_field
from napari_cxr.plugin.source_file import radiograph_behind

__all__ = ['Stages', 'compute', 'list_stages']


@dataclass(frozen=True)
class Stages:
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


@thread_worker
def list_stages(model: str, device: str) -> Job[Stages]:
    """Load a model and ask for its stages.

    Returns
    -------
    Stages or Failure
    """
    try:
        _, reason = yield from shared_torch().run('device', name=device)
        shapes = []
        if model:
            shapes = yield from shared_torch().run('stages', model=model, device=device)
    except Exception as error:
        return failure(error, 'Loading the model')
    return Stages(model, reason, tuple(tuple(row) for row in shapes))


@thread_worker
def compute(
    layer: Image,
    model: str,
    device: str,
    stage: str,
    cancelled: Event,
    lungs: Labels | None = None,
) -> Job[FeatureMaps | None]:
    """Run a model on what a layer shows, up to a stage; yields words about progress, or None.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer.
    model, device, stage : str
        As in the catalog; as `napari_cxr.inference.device` takes it; of the model.
    cancelled : threading.Event
        Ends the job when set.
    lungs : napari.layers.Labels, optional
        The layer with its lungs. What a person has edited there is what counts.

    Returns
    -------
    FeatureMaps or Failure
        None if it was cancelled.
    """
    try:
        radiograph = yield from radiograph_behind(layer, cancelled)
        if radiograph is None:
            return None
        run = shared_torch().run(
            'feature_maps',
            radiograph=radiograph,
            model=model,
            device=device,
            stage=stage,
            field=edited_field(lungs) if lungs is not None and edit_of(lungs) else None,
        )
        with closing(run):
            while not cancelled.is_set():
                try:
                    yield next(run)
                except StopIteration as end:
                    maps: FeatureMaps = end.value
                    return maps
    except Exception as error:
        return failure(error, 'Showing the feature maps')
    return None
