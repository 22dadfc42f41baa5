"""The scoring process of this napari, and the jobs around a table of scores.

It is another process than those that classify and train, so a radiograph of the table can be
opened while others are scored. It gives way to whoever clicks.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from napari.qt.threading import thread_worker

from napari_cxr.plugin.batch.problems import total_of
from napari_cxr.plugin.batch.request import ScoreRequest, keep
from napari_cxr.plugin.batch.table_file import get_ready, so_far
from napari_cxr.plugin.classifying import Failure, end, failure
from napari_cxr.plugin.supervised import Done, supervised
from napari_cxr.plugin.threads import said
from napari_cxr.scoring import (
    Progress,
    Row,
    Scored,
    Started,
    journal_of,
    reopening,
    tables,
)
from napari_cxr.scoring.journal import read_header
from napari_cxr.scoring.saving import check_save_as
from napari_cxr.workers.process import WorkerProcess

__all__ = ['Arrived', 'Saved', 'measure', 'reopen', 'save_as', 'score', 'shared_scorer']

#: Rows are safe as soon as they are done, so a stopped run has nothing to write; seconds.
_GRACE = 1.0
#: How long a process that was killed may hold its journal; seconds.
_LAST = 4.0
#: Rows are handed on together, at most this often; seconds.
_GATHER = 0.1
#: Rows of a table that is read back which are handed on together, and the least time that
#: passes between two such parcels: the screen must keep up with them.
_PARCEL = 2000
_BREATH = 0.02


@dataclass(frozen=True, eq=False)
class Arrived:
    """Rows that have come since the last time."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Saved:
    """A table that was written again.

    Parameters
    ----------
    path : str
        Where.
    rows, total : int
        How many rows it has, and how many the table will have once all files are scored; 0
        where all are.
    """

    path: str
    rows: int
    total: int = 0


@cache
def shared_scorer() -> WorkerProcess:
    """Return the process that scores; it starts with its first job."""
    worker = WorkerProcess('torch', grace=_GRACE, background=True)
    atexit.register(end, worker, _GRACE)
    return worker


@thread_worker
@said('the scoring of a folder. All rows that are done are kept: resume when you like')
def score(
    request: ScoreRequest, resume: bool, shown: Sequence[int], cancelled: Event
) -> Generator[Any, None, Done | Failure]:
    """Score; yields events of scoring, `Arrived` in place of single rows, or None.

    Of a run that is resumed, what its rows have in common and the rows from before come first.
    When it is cancelled it leaves a table of the rows that are done.

    Parameters
    ----------
    request : ScoreRequest
        What to score.
    resume : bool
        Whether to go on with what was stopped.
    shown : sequence of int
        Numbers of the rows that are on show already, and need not come.
    cancelled : threading.Event
        Ends the job when set.

    Returns
    -------
    Done or Failure
        Of a cancelled job, with the number of these rows.
    """
    try:
        get_ready(Path(request.out).parent)
        keep(request)
        rows = _Gathered(request.out, shown)
        if resume and not shown and read_header(journal_of(Path(request.out))):
            yield reopening.reopen(request.out)[0]
            for parcel in rows.missing():
                yield parcel
                if cancelled.is_set():
                    break
                time.sleep(_BREATH)
        job = shared_scorer().run('score', resume=resume, **request.arguments())
        far: Progress | None = None
        with closing(job) as run:
            while not cancelled.is_set():
                try:
                    event = next(run)
                except StopIteration:
                    yield from rows.handed_on()
                    # Nothing is left to go on with, so nothing needs to say what was scored.
                    keep(replace(request, paths=(), labels=''))
                    return Done()
                if isinstance(event, Scored):
                    rows.add(event.row)
                    continue
                if isinstance(event, Progress):
                    far, event = event, None  # it goes on with the rows that it counts
                if rows.due or event is not None:
                    yield from rows.handed_on()
                    yield far
                    yield event
                    far = None
                if isinstance(event, Started):
                    for parcel in rows.missing():
                        yield parcel
                        if cancelled.is_set():
                            break
                        time.sleep(_BREATH)
        yield from rows.handed_on()
        # Not in the process, which may be busy with importing torch, or end.
        late = time.monotonic() + _GRACE + _LAST
        while (done := so_far(Path(request.out))) is None and time.monotonic() < late:
            time.sleep(_BREATH)
            yield None
        if done:
            yield from rows.missing(done)
        return Done(done, cancelled=True)
    except Exception as error:
        return failure(error, 'Scoring')


@thread_worker
def reopen(table: str, cancelled: Event) -> Generator[Any, None, Done | Failure]:
    """Read a table back; yields its `Run` first, then `Arrived`.

    Returns
    -------
    Done or Failure
        With the number of rows.
    """
    try:
        run, rows = reopening.reopen(table)
        yield run
        number = 0
        while parcel := tuple(islice(rows, _PARCEL)):
            if cancelled.is_set():
                return Done(cancelled=True)
            number += len(parcel)
            yield Arrived(parcel)
            time.sleep(_BREATH)
    except Exception as error:
        return failure(error, 'Reading the table')
    return Done(number)


@thread_worker
def measure(
    table: str, truths: Mapping[str, str], cancelled: Event
) -> Generator[Any, None, Done | Failure]:
    """Measure a table that is there by the labels in it, or by those that a person gave.

    Returns
    -------
    Done or Failure
        With a `Measured`, see `napari_cxr.workers.scorer.measure`.
    """
    return (
        yield from supervised(
            shared_scorer(), 'measure', 'Measuring', cancelled, table=table, truths=dict(truths)
        )
    )


@thread_worker
def save_as(table: str, path: str) -> Done | Failure:
    """Write a table again, under another name and perhaps in another form.

    Returns
    -------
    Done or Failure
        With what was `Saved`.
    """
    written = 0

    def counted(rows: Iterator[Row]) -> Iterator[Row]:
        nonlocal written
        for row in rows:
            written += 1
            yield row

    try:
        same = all(map(os.path.exists, (table, path))) and os.path.samefile(table, path)
        if not same:
            check_save_as(path)
        total = total_of(table)
        run, rows = reopening.reopen(table)
        if same:
            for _ in counted(rows):
                pass
        else:
            tables.write(Path(path), counted(rows), run)
    except Exception as error:
        return failure(error, 'Saving the table')
    return Done(Saved(path, written, total if total > written else 0))


class _Gathered:
    """Rows of a run on their way to the screen, each once.

    Parameters
    ----------
    out : str
        The table.
    shown : sequence of int
        Numbers of rows that are there already.
    """

    def __init__(self, out: str, shown: Sequence[int]) -> None:
        self._out = Path(out)
        self._told = set(shown)
        self._rows: list[Row] = []
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to hand rows on."""
        return time.monotonic() - self._last > _GATHER

    def add(self, row: Row) -> None:
        """Take a row in, unless it came before."""
        if row.number not in self._told:
            self._told.add(row.number)
            self._rows.append(row)

    def handed_on(self) -> Generator[Arrived, None, None]:
        """Yield what was taken in since the last time."""
        self._last = time.monotonic()
        rows = tuple(self._rows)
        self._rows.clear()
        if rows:
            yield Arrived(rows)

    def missing(self, done: int = -1) -> Generator[Arrived, None, None]:
        """Yield rows that are done and did not come: from before, or lost on the way.

        Parameters
        ----------
        done : int
            How many are done; by default that is not known.
        """
        if done == len(self._told) or not read_header(journal_of(self._out)):
            return
        for row in reopening.reopen(self._out)[1]:
            self.add(row)
            if len(self._rows) >= _PARCEL:
                yield from self.handed_on()
        yield from self.handed_on()
