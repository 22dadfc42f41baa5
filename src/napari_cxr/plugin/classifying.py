"""The torch process that all docks of this napari share, and the jobs that supervise it.

Each function marked `thread_worker` runs in a thread of napari's pool, where it may
wait. Nothing in the GUI thread ever does.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from typing import Any

from napari.layers import Image
from napari.qt.threading import thread_worker

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.inference.prediction import Prediction
from napari_cxr.plugin.layers import radiograph_of
from napari_cxr.workers.process import JobFailed, WorkerDied, WorkerProcess

__all__ = ['Answer', 'classify', 'explain_error', 'prepare', 'shared_torch']

#: Errors of the torch worker whose message is already a sentence for people.
_CLEAR = {
    'CheckpointError',
    'DeviceUnavailable',
    'OutOfMemory',
    'RefusedImage',
    'UnreadableImage',
}


@dataclass(frozen=True, eq=False)
class Answer:
    """What a click on Classify gives.

    Parameters
    ----------
    prediction : Prediction
        Probabilities and cautions.
    heatmaps : tuple of Heatmap
        One a class.
    """

    prediction: Prediction
    heatmaps: tuple[Heatmap, ...]

    def heatmap(self, label: str) -> Heatmap:
        """Return the heatmap of a class."""
        return next(h for h in self.heatmaps if h.label == label)


@cache
def shared_torch() -> WorkerProcess:
    """Return the torch process of this napari; it starts with its first job."""
    return WorkerProcess('torch')


@thread_worker
def prepare(model: str, device: str) -> Generator[Any, None, tuple[str, str]]:
    """Start the torch process and load a model ahead of the first click.

    Returns
    -------
    tuple of str
        The device and the reason for it.
    """
    chosen: tuple[str, str] = yield from shared_torch().run('device', name=device)
    if model:
        yield from shared_torch().run('load', model=model, device=device)
    return chosen


@thread_worker
def classify(layer: Image, model: str, device: str) -> Generator[Any, None, Answer]:
    """Classify what a layer shows; yields words about progress, or None."""
    radiograph = radiograph_of(layer)
    prediction, heatmaps = yield from shared_torch().run(
        'classify', radiograph=radiograph, model=model, device=device
    )
    return Answer(prediction, tuple(heatmaps))


def explain_error(error: BaseException) -> tuple[str, str]:
    """Return a sentence for a person and the details behind it."""
    if isinstance(error, JobFailed):
        if error.kind in _CLEAR:
            return str(error), error.details
        return (
            (
                'Classifying failed because of an error in the program. '
                'The details below help its developers.'
            ),
            error.details,
        )
    if isinstance(error, WorkerDied):
        return (
            (
                'The process that runs the network ended unexpectedly. napari is not affected: '
                'click Classify to start it again.'
            ),
            error.details or str(error),
        )
    if isinstance(error, ValueError | MemoryError):
        return str(error) or 'There is not enough memory for this image.', repr(error)
    return 'Classifying failed because of an error in the program.', repr(error)
