"""The training process of this napari, and the one job at a time that a Train dock runs in it.

It is a different process from the one that classifies, so that radiographs can be classified
during training. It has a low priority.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject

from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.evaluation.data_audit import AuditProgress
from napari_cxr.plugin.background import Job, end_worker
from napari_cxr.plugin.job_session import JobSession
from napari_cxr.plugin.runs.training_history import RunHistory, RunPhase
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.training_events import ReadingProgress
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = ['TrainingSession', 'add_model', 'shared_trainer']

#: A stopped run writes its state, which takes a while with a large network; seconds.
_GRACE = 60.0

#: The same when napari itself is closing; seconds.
_EXIT_GRACE = 15.0

#: Completes napari's question whether to close its window: "Executing …".
_TRAINING = 'the training of a network. The model so far is kept, and the run can be resumed'


@cache
def shared_trainer() -> WorkerProcess:
    """Return the process that surveys folders and trains; it starts with its first job."""
    worker = WorkerProcess('torch', grace=_GRACE, background=True)
    atexit.register(end_worker, worker, _EXIT_GRACE)
    return worker


class TrainingSession(JobSession):
    """Starts jobs of the training process: 'survey', 'audit', 'preview', 'train' and 'networks'.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(shared_trainer(), parent)

    def list_networks(self) -> None:
        """Request the names of the networks."""
        self.start_job('networks', _trainer_job('network_names'), 'Listing the networks')

    def survey(self, source: str, recipe: Recipe) -> None:
        """Survey a labelled folder; the result is a `Survey`."""
        job = _trainer_job('survey', source=source, recipe=recipe.to_dict())
        self.start_job('survey', job, 'Reading the images', fraction_done=_fraction_read)

    def audit(self, source: str, recipe: Recipe, out: str) -> None:
        """Audit a labelled folder, and write what is found to `out`; the result is an `Audit`."""
        job = _trainer_job('audit', source=source, data=recipe.to_dict()['data'], out=out)
        self.start_job('audit', job, 'Auditing the images', fraction_done=_fraction_audited)

    def preview(self, paths: list[str], labels: list[str], recipe: Recipe) -> None:
        """Draw samples with and without augmentation; the result is an array."""
        job = _trainer_job('preview', paths=paths, labels=labels, recipe=recipe.to_dict())
        self.start_job('preview', job, 'Drawing samples')

    def train(
        self, source: str, plan: str, out: str, device: str, runs: int = 0, epochs: int = 0
    ) -> None:
        """Train by a recipe or a sweep.

        Parameters
        ----------
        source : str
            Folder or table of the images.
        plan : str
            The recipe or sweep in TOML; empty to resume what `out` holds.
        out : str
            Folder of the run.
        device : str
            See `TrainingSetup.current_device`.
        runs : int
            Number of runs, if known.
        epochs : int
            Epochs to which a run that is resumed goes on; 0 for those of its recipe.
        """
        more = {'epochs': epochs} if epochs else {}
        self.start_job(
            'train',
            _trainer_job('train', source=source, plan=plan, out=out, device=device, **more),
            'Training',
            description=_TRAINING,
            fraction_done=_fraction_trained(RunHistory(Path(out).name, runs)),
        )


def _trainer_job(name: str, **arguments: Any) -> Job[Any]:
    return (yield from shared_trainer().run(name, **arguments))


def _fraction_read(event: object) -> float | None:
    if isinstance(event, ReadingProgress) and event.total:
        return event.done / event.total
    return None


def _fraction_audited(event: object) -> float | None:
    return event.fraction if isinstance(event, AuditProgress) else None


def _fraction_trained(history: RunHistory) -> Callable[[Any], float | None]:
    """Return a function that takes the events of a run and returns its completed fraction."""

    def fraction_done(event: Any) -> float | None:
        history.add(event)
        # The bar never moves back, so it starts with the first epoch.
        return history.fraction if history.phase is not RunPhase.READING else None

    return fraction_done


def add_model(path: str, name: str) -> tuple[str, str]:
    """Copy the model of a run to where the Classify dock finds it; a job for `run_job`.

    Parameters
    ----------
    path : str
        The checkpoint of the run.
    name : str
        The requested name; empty to use the name on its card.

    Returns
    -------
    tuple of str
        `path`, and the name in the catalog.
    """
    return path, catalog.add(path, name or read_card(path).name)
