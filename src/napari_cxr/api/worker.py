"""The worker processes behind the API, and the bar that is drawn meanwhile."""

from __future__ import annotations

import atexit
import warnings
from collections.abc import Callable, Generator, Sequence
from functools import cache
from typing import Any

from napari_cxr.workers.worker_process import JobFailed, WorkerProcess

__all__ = ['ProgressBar', 'call', 'run', 'run_on_models', 'run_scoring', 'run_without_torch']

#: Seconds that a long job which is cancelled may take to write what it has.
_GRACE = 30.0


def call(job: str, **arguments: Any) -> Any:
    """Run a short job on a model to its end; return its result, or raise what it raises."""
    events = _on_model(job, arguments)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def run(job: str, **arguments: Any) -> Generator[Any, None, Any]:
    """Run a long job and yield its events, or None; raises what the job raises.

    Closing the generator cancels the job.
    """
    return _raising(_background_worker('torch'), job, arguments)


def run_without_torch(job: str, **arguments: Any) -> Generator[Any, None, Any]:
    """Run a long job that needs no network, as `run`."""
    return _raising(_background_worker('inference'), job, arguments)


def _on_model(job: str, arguments: dict[str, Any]) -> Generator[Any, None, Any]:
    """Run a job in the process that is right for its model."""
    from napari_cxr.explain.explanation_methods import DEFAULT_METHOD
    from napari_cxr.workers.model_worker import worker_role

    role = 'torch'  # which every other method needs
    plain = arguments.get('method', DEFAULT_METHOD) == DEFAULT_METHOD
    if job != 'check' and plain and not arguments.get('against'):
        role = yield from worker_role(arguments['model'], arguments['device'])
    return (yield from _raising(_worker(role), job, arguments))


def run_scoring(**arguments: Any) -> Generator[Any, None, Any]:
    """Score files as `run`, in the process that is right for the model."""
    from napari_cxr.workers.model_worker import worker_role

    how = arguments['settings']
    role = yield from worker_role(
        arguments['model'], arguments['device'], how['backend'], how['precision']
    )
    return (yield from _raising(_background_worker(role), 'score', arguments))


def run_on_models(
    job: str, *, models: Sequence[str], device: str, torch: bool = False, **arguments: Any
) -> Generator[Any, None, Any]:
    """Run a long job on several models as `run`, without torch where nothing needs it.

    `torch` tells that the job needs it whatever the models are.
    """
    from napari_cxr.workers.model_worker import worker_role

    roles = {'torch'} if torch else set()
    for model in models:
        roles.add((yield from worker_role(model, device)))
    role = 'torch' if 'torch' in roles else 'inference'
    arguments |= {'models': list(models), 'device': device}
    return (yield from _raising(_background_worker(role), job, arguments))


@cache
def _worker(role: str) -> WorkerProcess:
    """Return the process of a role that classifies single images."""
    worker = WorkerProcess(role)
    atexit.register(worker.close)
    return worker


@cache
def _background_worker(role: str) -> WorkerProcess:
    """Return the process that scores folders or trains, so that single images need not wait."""
    worker = WorkerProcess(role, grace=_GRACE)
    atexit.register(worker.close)
    return worker


def _raising(
    worker: WorkerProcess, job: str, arguments: dict[str, Any]
) -> Generator[Any, None, Any]:
    """Run a job; what it raises is raised here, as the type that it has there."""
    try:
        return (yield from worker.run(job, **arguments))
    except JobFailed as error:
        raise _errors().get(error.kind, RuntimeError)(str(error)) from None


@cache
def _errors() -> dict[str, Callable[[str], Exception]]:
    """Return the types of errors that a job may raise, by name."""
    from napari_cxr.checkpoint import CheckpointError
    from napari_cxr.inference.prediction import RefusedImage
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.scoring import DecisionError, ListingError, ScoringError
    from napari_cxr.training.dataset import DatasetError
    from napari_cxr.training.recipe import RecipeError
    from napari_cxr.training.run_folder import TrainingError

    kinds: tuple[type[Exception], ...] = (
        CheckpointError,
        DatasetError,
        DecisionError,
        ListingError,
        MemoryError,
        OSError,
        RecipeError,
        RefusedImage,
        ScoringError,
        TrainingError,
        UnreadableImage,
        ValueError,
    )
    return {kind.__name__: kind for kind in kinds}


class ProgressBar:
    """A progress bar of tqdm, which fits a terminal and a notebook."""

    def __init__(self, what: str, unit: str, shown: bool) -> None:
        with warnings.catch_warnings():
            # Without ipywidgets tqdm warns, and draws the same bar as text.
            warnings.simplefilter('ignore')
            from tqdm.auto import tqdm

        self._tqdm = tqdm
        self._bar = tqdm(desc=what, unit=f' {unit}', disable=None if shown else True, leave=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def say(self, text: str) -> None:
        """Show what is being done."""
        self._bar.set_postfix_str(text)

    def move(self, done: int, total: int, what: str = '') -> None:
        """Show how far it is."""
        if self._bar.total != total:
            self._bar.reset(total)
            self._bar.set_postfix_str('')
        if what:
            self._bar.set_description_str(what, refresh=False)
        self._bar.update(done - self._bar.n)

    def warn(self, text: str) -> None:
        """Warn as Python does, with the caller of the API as the place."""
        warnings.warn(text, stacklevel=3)
