"""The training process of this napari, and the jobs that supervise it.

It is another process than the one that classifies, so a radiograph can be classified
while a network is trained. It gives way to whoever clicks.
"""

from __future__ import annotations

import atexit
from collections.abc import Generator
from functools import cache
from threading import Event
from typing import Any

from napari.qt.threading import thread_worker

from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.plugin.classifying import Failure, end, failure
from napari_cxr.plugin.runs.run_history import RunHistory
from napari_cxr.plugin.supervised import Done, supervised
from napari_cxr.training.recipe import Recipe
from napari_cxr.workers.process import WorkerProcess

__all__ = [
    'add_model',
    'list_networks',
    'preview',
    'read_run',
    'shared_trainer',
    'survey',
    'train',
]

#: A stopped run writes its state, which takes a while with a large network; seconds.
_GRACE = 60.0
#: The same, where napari itself is ending; seconds.
_LAST_GRACE = 15.0
_NAMES = {
    'network_names': 'Listing the networks',
    'preview': 'Drawing the samples',
    'survey': 'Looking at the images',
    'train': 'Training',
}


@cache
def shared_trainer() -> WorkerProcess:
    """Return the process that surveys folders and trains; it starts with its first job."""
    worker = WorkerProcess('torch', grace=_GRACE, background=True)
    atexit.register(end, worker, _LAST_GRACE)
    return worker


@thread_worker
def survey(source: str, recipe: Recipe, cancelled: Event) -> Generator[Any, None, Done | Failure]:
    """Look at a labelled folder; yields events, or None.

    Returns
    -------
    Done or Failure
        With the `Survey`.
    """
    return (yield from _supervised('survey', cancelled, source=source, recipe=recipe.to_dict()))


@thread_worker
def preview(
    paths: list[str], labels: list[str], recipe: Recipe, cancelled: Event
) -> Generator[Any, None, Done | Failure]:
    """Draw images as they are and as augmentation may change them.

    Returns
    -------
    Done or Failure
        With the array.
    """
    return (
        yield from _supervised(
            'preview', cancelled, paths=paths, labels=labels, recipe=recipe.to_dict()
        )
    )


@thread_worker
def train(
    source: str, plan: str, out: str, device: str, cancelled: Event
) -> Generator[Any, None, Done | Failure]:
    """Train by a recipe or a sweep in TOML; yields events, or None.

    An empty plan takes up again what `out` holds.

    Returns
    -------
    Done or Failure
    """
    return (
        yield from _supervised(
            'train', cancelled, source=source, plan=plan, out=out, device=device
        )
    )


@thread_worker
def list_networks(cancelled: Event) -> Generator[Any, None, Done | Failure]:
    """Ask for the names of the networks.

    Returns
    -------
    Done or Failure
        With a tuple of names.
    """
    return (yield from _supervised('network_names', cancelled))


@thread_worker
def read_run(folder: str) -> Done | Failure:
    """Read what a run left in its folder.

    Returns
    -------
    Done or Failure
        With the `RunHistory`.
    """
    try:
        return Done(RunHistory.from_folder(folder))
    except Exception as error:
        return failure(error, 'Reading the run')


@thread_worker
def add_model(path: str, name: str) -> Done | Failure:
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
        return Done((path, catalog.add(path, name or read_card(path).name)))
    except Exception as error:
        return failure(error, 'Keeping the model')


def _supervised(
    job: str, cancelled: Event, **arguments: Any
) -> Generator[Any, None, Done | Failure]:
    return supervised(shared_trainer(), job, _NAMES[job], cancelled, **arguments)
