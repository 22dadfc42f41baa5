"""Classifying one radiograph: the job, and the result that docks show.

The job runs in the torch process that all docks of this napari share. Each function marked
`thread_worker` runs in a thread of napari's pool, where it may wait. Nothing in the GUI thread
ever does. What a dock shows of a result is here too: probabilities, heatmaps, how much of each
lies in the lungs, and what the model's card says about its performance.
"""

from __future__ import annotations

import atexit
import traceback
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias, TypeVar

from napari.layers import Image, Labels
from napari.qt.threading import thread_worker
from qtpy.QtCore import QThreadPool

from napari_cxr.checkpoint import Card, CheckpointError, catalog, read_card
from napari_cxr.checkpoint.card_page import headline
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.lung_fraction import lung_mask, uniform_lung_fraction
from napari_cxr.inference.prediction import Prediction
from napari_cxr.lungs import LungField
from napari_cxr.plugin.lungs_layer import edit_number, edited_field
from napari_cxr.plugin.source_file import radiograph_behind
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.workers.worker_process import JobFailed, WorkerDied, WorkerProcess

__all__ = [
    'ExplainedPrediction',
    'Failure',
    'LoadedModel',
    'LungFractions',
    'classify',
    'classify_radiograph',
    'end_worker',
    'failure',
    'model_performance',
    'performance_text',
    'prepare',
    'shared_torch',
]


def model_performance(model: str) -> tuple[str, bool]:
    """Return what a model's card says that it reaches, and whether it is a demonstration.

    Reads its file.

    Parameters
    ----------
    model : str
        Name in the catalog, or file.
    """
    try:
        card = read_card(Path(catalog.resolve(model)))
    except CheckpointError:  # that it could not be read was told where it was loaded
        return '', False
    return performance_text(card), bool(card.demonstration)


def performance_text(card: Card) -> str:
    """Return one sentence about how far to trust a model, by its card."""
    if card.demonstration:
        return card.demonstration
    best = headline(card)
    if not best:
        return 'How well this model does was not measured.'
    left_out = 'source' in str(card.metrics.get('measured_on', ''))
    # Recipes are chosen by figures on sources left out: elsewhere there may be less to expect.
    more = 'Expect no better in your hospital.'
    if not left_out:
        more = 'Expect less in hospitals that it has not seen.'
    return f'{best[0].upper()}{best[1:]}. {more}'


#: How long the end of Python waits for the threads of jobs, in milliseconds.
_EXIT_TIMEOUT = 5000

#: Errors of the torch worker whose message is already a sentence for people.
_READABLE_ERRORS = {
    'CheckpointError',
    'DatasetError',
    'DecisionError',
    'DeviceUnavailable',
    'DownloadFailed',
    'ForeignFileError',
    'ListingError',
    'OutOfMemory',
    'RecipeError',
    'RefusedImage',
    'ScoringError',
    'TrainingError',
    'UnreadableImage',
}


@dataclass(frozen=True)
class LungFractions:
    """How much of each heatmap lies in the lungs, and whose lungs those are.

    Parameters
    ----------
    shares : tuple of float or None
        One a class, in [0, 1]; None for an empty map.
    even : float
        What an even map would have: the lungs' share of what the model saw.
    source : {'network', 'atlas'}
        As of a `LungField`.
    implausible : str
        As of a `LungField`.
    edit : int
        A number that stands for the lungs as a person has edited them; 0 if nobody has.
    """

    shares: tuple[float | None, ...]
    even: float
    source: str
    implausible: str = ''
    edit: int = 0


@dataclass(frozen=True, eq=False)
class ExplainedPrediction:
    """What a click on Classify gives.

    Parameters
    ----------
    prediction : Prediction
        Probabilities and cautions.
    heatmaps : tuple of Heatmap
        One a class, in the order of the labels.
    frame_shares : tuple of float or None
        Share of each heatmap at the edge of what the model saw; None for an empty map.
    field : LungField
        The lungs as they were found, or edited before the click.
    lungs : LungShares
        How much of each heatmap lies in them.
    reach : str
        What the model's card says that it reaches, and where; may be empty.
    demonstration : bool
        Whether the model is one, so that `reach` says why it is not to be believed.
    """

    prediction: Prediction
    heatmaps: tuple[Heatmap, ...]
    frame_shares: tuple[float | None, ...]
    field: LungField
    lungs: LungFractions
    reach: str = ''
    demonstration: bool = False

    @property
    def doubts(self) -> set[str]:
        """Codes of what must be read before the result; empty for most images."""
        return {caution.code for caution in self.prediction.doubts}

    def heatmap(self, label: str) -> Heatmap:
        """Return the heatmap of a class."""
        return self.heatmaps[self.prediction.labels.index(label)]


@dataclass(frozen=True)
class Failure:
    """Why there is no answer.

    Jobs return it instead of raising: napari would report what they raise a second
    time, in a toast that fades and on the terminal, with the values of all variables.

    Parameters
    ----------
    text : str
        One sentence or two for a person.
    details : str
        A traceback, or what the worker last wrote.
    """

    text: str
    details: str


Result = TypeVar('Result')

#: What a supervised job is: it yields progress or None, and returns a result or a failure.
Job: TypeAlias = Generator[Any, None, Result | Failure]


@cache
def shared_torch() -> WorkerProcess:
    """Return the torch process of this napari; it starts with its first job."""
    worker = WorkerProcess('torch')
    atexit.register(end_worker, worker)
    return worker


def end_worker(worker: WorkerProcess, grace: float = 0.0) -> None:
    """Let the threads of jobs end before Qt does: a signal without its object aborts Python."""
    worker.retire(grace)
    pool = QThreadPool.globalInstance()
    if pool is not None:
        pool.waitForDone(_EXIT_TIMEOUT)


@dataclass(frozen=True)
class LoadedModel:
    """A model that is loaded, and where it will run.

    Parameters
    ----------
    model : str
        Name or path, as asked for.
    device : str
        A few words: which device, and why if it is the CPU.
    """

    model: str
    device: str


@thread_worker
def prepare(model: str, device: str) -> Job[LoadedModel]:
    """Start the torch process and load a model ahead of the first click.

    Returns
    -------
    Ready or Failure
    """
    try:
        _, reason = yield from shared_torch().run('device', name=device)
        if model:
            yield from shared_torch().run('load', model=model, device=device)
    except Exception as error:
        return failure(error, 'Classifying')
    return LoadedModel(model, reason)


@thread_worker
def classify(
    layer: Image, model: str, device: str, cancelled: Event, lungs: Labels | None = None
) -> Job[ExplainedPrediction | None]:
    """Classify what a layer shows; yields words about progress, or None.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer.
    model, device : str
        As in the catalog; as `napari_cxr.inference.device` takes it.
    cancelled : threading.Event
        Ends the job when set. napari's own `quit` drops a generator without closing
        it, and the torch process would go on.
    lungs : napari.layers.Labels, optional
        The layer with its lungs. What a person has edited there is what counts.

    Returns
    -------
    Answer or Failure
        None if it was cancelled.
    """
    try:
        edit = edit_number(lungs) if lungs is not None else 0
        field = edited_field(lungs) if lungs is not None and edit else None
        radiograph = yield from radiograph_behind(layer, cancelled)
        if radiograph is None:
            return None
        return (yield from classify_radiograph(radiograph, model, device, cancelled, field, edit))
    except Exception as error:
        return failure(error, 'Classifying')


def classify_radiograph(
    radiograph: Radiograph,
    model: str,
    device: str,
    cancelled: Event,
    field: LungField | None = None,
    edit: int = 0,
) -> Generator[str | None, None, ExplainedPrediction | None]:
    """Ask a model about a radiograph, in a thread that may wait; see `classify`.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    model, device, cancelled
        As of `classify`.
    field : LungField, optional
        Its lungs, where a person has edited them.
    edit : int
        See `LungShares`.

    Returns
    -------
    Answer or None
        None if it was cancelled; raises what the torch process does.
    """
    run = shared_torch().run(
        'classify', radiograph=radiograph, model=model, device=device, field=field
    )
    with closing(run):
        while not cancelled.is_set():
            try:
                yield next(run)
            except StopIteration as end:
                return _explained(end.value, edit, *model_performance(model))
    return None


def _explained(
    classified: Any, edit: int, reached: str, demonstration: bool
) -> ExplainedPrediction:
    """Put together what the job returned, with what an even map would have in the lungs."""
    prediction, heatmaps, frame_shares, field, lung_shares = classified
    even = uniform_lung_fraction(heatmaps[0], lung_mask(field), field.shape)
    lungs = LungFractions(tuple(lung_shares), even, field.source, field.implausible, edit)
    maps, at_edge = tuple(heatmaps), tuple(frame_shares)
    return ExplainedPrediction(prediction, maps, at_edge, field, lungs, reached, demonstration)


def failure(error: Exception, doing: str) -> Failure:
    """Put an error of a job into words for a person, with what to do next.

    Parameters
    ----------
    error : Exception
        What a worker, or the handing over to it, has raised.
    doing : str
        The job as people call it, such as 'Classifying'.
    """
    if isinstance(error, JobFailed):
        if error.kind in _READABLE_ERRORS:
            return Failure(str(error), error.details)
        return Failure(
            f'{doing} failed because of an error in the program. '
            'The details below help its developers.',
            error.details,
        )
    if isinstance(error, WorkerDied):
        return Failure(
            f'{doing} failed because its process ended unexpectedly. napari is not affected: '
            'start again to get a new one.',
            f'{error}\n{error.details}',
        )
    details = ''.join(traceback.format_exception(error))
    known = isinstance(error, ValueError | UnreadableImage | CheckpointError)
    if known or type(error).__name__ in _READABLE_ERRORS:
        return Failure(str(error), details)
    if isinstance(error, MemoryError | OSError):
        return Failure(
            f'{doing} failed because there is not enough memory, or no process could be '
            'started. Close other programs or layers and try again.',
            details,
        )
    return Failure(f'{doing} failed because of an error in the program.', details)
