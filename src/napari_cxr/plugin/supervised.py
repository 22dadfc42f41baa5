"""Jobs in another process, followed from a thread until they end or are cancelled."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import Any

from napari_cxr.plugin.classifying import Failure, failure
from napari_cxr.workers.process import WorkerProcess

__all__ = ['Done', 'supervised']


@dataclass(frozen=True, eq=False)
class Done:
    """What a job came to.

    Parameters
    ----------
    result : object
        The job's own; of a cancelled one, what is left of it, or None.
    cancelled : bool
        Whether it was.
    """

    result: Any = None
    cancelled: bool = False


def supervised(
    process: WorkerProcess, job: str, doing: str, cancelled: Event, **arguments: Any
) -> Generator[Any, None, Done | Failure]:
    """Pass on a job's events until it ends or is cancelled; for functions that may wait.

    Parameters
    ----------
    process : WorkerProcess
        Where it runs.
    job : str
        Its name there.
    doing : str
        What a person calls it, such as 'Training', for words about a failure.
    cancelled : threading.Event
        Ends the job when set.
    **arguments
        The job's.
    """
    try:
        with closing(process.run(job, **arguments)) as run:
            while not cancelled.is_set():
                try:
                    yield next(run)
                except StopIteration as stop:
                    return Done(stop.value)
    except Exception as error:
        return failure(error, doing)
    return Done(cancelled=True)
