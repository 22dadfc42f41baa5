"""The training process of this napari, its jobs, and the one job at a time that a dock runs.

It is another process than the one that classifies, so a radiograph can be classified while
a network is trained. It has a low priority.
"""

from __future__ import annotations

import atexit
from collections.abc import Generator
from functools import cache
from threading import Event
from typing import Any

from napari.qt.threading import thread_worker
from qtpy.QtCore import QObject

from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.plugin.background import (
    Failure,
    JobOutcome,
    JobSession,
    end_worker,
    failure,
    follow_job,
)
from napari_cxr.plugin.runs.run_files import read_run_history
from napari_cxr.training.recipe import Recipe
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = [
    'TrainingSession',
    'add_model_job',
    'list_networks_job',
    'preview_job',
    'read_run_job',
    'shared_trainer',
    'survey_job',
    'training_job',
]

#: A stopped run writes its state, which takes a while with a large network; seconds.
_GRACE = 60.0

#: The same, where napari itself is ending; seconds.
_LAST_GRACE = 15.0

_JOB_NAMES = {
    'network_names': 'Listing the networks',
    'preview': 'Drawing the samples',
    'survey': 'Looking at the images',
    'train': 'Training',
}


@cache
def shared_trainer() -> WorkerProcess:
    """Return the process that surveys folders and trains; it starts with its first job."""
    worker = WorkerProcess('torch', grace=_GRACE, background=True)
    atexit.register(end_worker, worker, _LAST_GRACE)
    return worker


@thread_worker
def survey_job(
    source: str, recipe: Recipe, cancelled: Event
) -> Generator[Any, None, JobOutcome | Failure]:
    """Look at a labelled folder; yields events, or None.

    Returns
    -------
    Done or Failure
        With the `Survey`.
    """
    return (
        yield from _follow_trainer_job('survey', cancelled, source=source, recipe=recipe.to_dict())
    )


@thread_worker
def preview_job(
    paths: list[str], labels: list[str], recipe: Recipe, cancelled: Event
) -> Generator[Any, None, JobOutcome | Failure]:
    """Draw images as they are and as augmentation may change them.

    Returns
    -------
    Done or Failure
        With the array.
    """
    return (
        yield from _follow_trainer_job(
            'preview', cancelled, paths=paths, labels=labels, recipe=recipe.to_dict()
        )
    )


@thread_worker
def training_job(
    source: str, plan: str, out: str, device: str, cancelled: Event
) -> Generator[Any, None, JobOutcome | Failure]:
    """Train by a recipe or a sweep in TOML; yields events, or None.

    An empty plan takes up again what `out` holds.

    Returns
    -------
    Done or Failure
    """
    return (
        yield from _follow_trainer_job(
            'train', cancelled, source=source, plan=plan, out=out, device=device
        )
    )


@thread_worker
def list_networks_job(cancelled: Event) -> Generator[Any, None, JobOutcome | Failure]:
    """Ask for the names of the networks.

    Returns
    -------
    Done or Failure
        With a tuple of names.
    """
    return (yield from _follow_trainer_job('network_names', cancelled))


@thread_worker
def read_run_job(folder: str) -> JobOutcome | Failure:
    """Read what a run left in its folder.

    Returns
    -------
    Done or Failure
        With the `RunHistory`.
    """
    try:
        return JobOutcome(read_run_history(folder))
    except Exception as error:
        return failure(error, 'Reading the run')


@thread_worker
def add_model_job(path: str, name: str) -> JobOutcome | Failure:
    """Copy a run's model to where the Classify dock finds it.

    Parameters
    ----------
    path : str
        The run's checkpoint.
    name : str
        What it shall be called; empty to take the name on its card.

    Returns
    -------
    Done or Failure
        With its path in the run, and the name that it got.
    """
    try:
        return JobOutcome((path, catalog.add(path, name or read_card(path).name)))
    except Exception as error:
        return failure(error, 'Keeping the model')


def _follow_trainer_job(
    job: str, cancelled: Event, **arguments: Any
) -> Generator[Any, None, JobOutcome | Failure]:
    return follow_job(shared_trainer(), job, _JOB_NAMES[job], cancelled, **arguments)


class TrainingSession(JobSession):
    """Starts jobs of the training process: 'survey', 'preview', 'train' and 'networks'.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(shared_trainer(), parent)

    def list_networks(self) -> None:
        """Ask for the names of the networks."""
        self._start('networks', list_networks_job(self._new()))

    def survey(self, source: str, recipe: Recipe) -> None:
        """Look at a labelled folder."""
        self._start('survey', survey_job(source, recipe, self._new()))

    def preview(self, paths: list[str], labels: list[str], recipe: Recipe) -> None:
        """Draw samples with and without augmentation."""
        self._start('preview', preview_job(paths, labels, recipe, self._new()))

    def train(self, source: str, plan: str, out: str, device: str) -> None:
        """Train by a recipe or a sweep in TOML; an empty one takes up what `out` holds."""
        self._start('train', training_job(source, plan, out, device, self._new()))
