"""The scoring process of this napari, and the background jobs on a table of scores.

It is a different process from those that classify and train, so a radiograph of the table can be
opened while others are scored; it gives way to whoever clicks. The jobs score, reopen, measure and
save a table, and look at the input before that. Before a model is loaded, the folder of the table
is tried for writing; a stopped run leaves a table of the rows that are done.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import Any

from napari.qt.threading import thread_worker

from napari_cxr.plugin.background import (
    Failure,
    JobOutcome,
    described,
    end_worker,
    failure,
    follow_job,
)
from napari_cxr.plugin.batch.input_scan import ImageCount, count_images
from napari_cxr.plugin.batch.scoring_messages import expected_rows, missing_path_problem
from napari_cxr.plugin.batch.scoring_request import ScoreRequest, save_request
from napari_cxr.scoring import (
    RowScored,
    ScoreRow,
    ScoringError,
    ScoringProgress,
    ScoringStarted,
    journal_of,
    table_reader,
    table_writer,
    write_partial_table,
)
from napari_cxr.scoring.append_log import AppendLog, LogInUse
from napari_cxr.scoring.input_summary import InputSummary, summarise_inputs
from napari_cxr.scoring.journal import read_header
from napari_cxr.scoring.table_writer import check_save_as
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = [
    'RowsArrived',
    'TableSaved',
    'check_writable',
    'measure_table',
    'partial_table',
    'reopen_table',
    'save_table_as',
    'scan_input',
    'score_images',
    'shared_scorer',
]


def check_writable(folder: Path) -> None:
    """Make the folder of a table, and try to write there before a model is loaded for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoringError(
            f'{folder} cannot be made: {error.strerror}. Choose another place for the table.'
        ) from None
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ScoringError(
            f'Nothing can be written to {folder}: {error.strerror}. Choose another place for the '
            'table.'
        ) from None


def partial_table(out: Path) -> int | None:
    """Write a table of the rows that are done; return how many.

    None while a process adds rows to its journal, or puts the finished table in its place.
    """
    journal = journal_of(out)
    if not journal.exists():
        return 0
    try:
        held = AppendLog(journal)
    except LogInUse:
        return None
    try:
        if not journal.stat().st_size:  # finished and removed at this very moment
            held.remove()
            return 0
        return write_partial_table(out)
    finally:
        held.close()


#: Rows are safe as soon as they are done, so a stopped run has nothing to write; seconds.
_GRACE = 1.0

#: How long a process that was killed may hold its journal; seconds.
_KILLED_GRACE = 4.0

#: Rows are handed on together, at most this often; seconds.
_GATHER = 0.1

#: Rows of a table that is read back which are handed on together, and the least time that
#: passes between two such parcels: the screen must keep up with them.
_PARCEL = 2000

_BREATH = 0.02


@dataclass(frozen=True, eq=False)
class RowsArrived:
    """Rows that have come since the last time."""

    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class TableSaved:
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
    atexit.register(end_worker, worker, _GRACE)
    return worker


@thread_worker
@described('the scoring of a folder. All rows that are done are kept: resume when you like')
def score_images(
    request: ScoreRequest, resume: bool, shown: Sequence[int], cancelled: Event
) -> Generator[Any, None, JobOutcome | Failure]:
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
        check_writable(Path(request.out).parent)
        save_request(request)
        rows = _RowBuffer(request.out, shown)
        if resume and not shown and read_header(journal_of(Path(request.out))):
            yield table_reader.read_rows(request.out)[0]
            for parcel in rows.missing():
                yield parcel
                if cancelled.is_set():
                    break
                time.sleep(_BREATH)
        job = shared_scorer().run('score', resume=resume, **request.arguments())
        far: ScoringProgress | None = None
        with closing(job) as run:
            while not cancelled.is_set():
                try:
                    event = next(run)
                except StopIteration:
                    yield from rows.take()
                    # Nothing is left to go on with, so nothing needs to say what was scored.
                    save_request(replace(request, paths=(), labels=''))
                    return JobOutcome()
                if isinstance(event, RowScored):
                    rows.add(event.row)
                    continue
                if isinstance(event, ScoringProgress):
                    far, event = event, None  # it goes on with the rows that it counts
                if rows.due or event is not None:
                    yield from rows.take()
                    yield far
                    yield event
                    far = None
                if isinstance(event, ScoringStarted):
                    for parcel in rows.missing():
                        yield parcel
                        if cancelled.is_set():
                            break
                        time.sleep(_BREATH)
        yield from rows.take()
        # Not in the process, which may be busy with importing torch, or end.
        late = time.monotonic() + _GRACE + _KILLED_GRACE
        while (done := partial_table(Path(request.out))) is None and time.monotonic() < late:
            time.sleep(_BREATH)
            yield None
        if done:
            yield from rows.missing(done)
        return JobOutcome(done, cancelled=True)
    except Exception as error:
        return failure(error, 'Scoring')


@thread_worker
def reopen_table(table: str, cancelled: Event) -> Generator[Any, None, JobOutcome | Failure]:
    """Read a table back; yields its `Run` first, then `Arrived`.

    Returns
    -------
    Done or Failure
        With the number of rows.
    """
    try:
        run, rows = table_reader.read_rows(table)
        yield run
        number = 0
        while parcel := tuple(islice(rows, _PARCEL)):
            if cancelled.is_set():
                return JobOutcome(cancelled=True)
            number += len(parcel)
            yield RowsArrived(parcel)
            time.sleep(_BREATH)
    except Exception as error:
        return failure(error, 'Reading the table')
    return JobOutcome(number)


@thread_worker
def measure_table(
    table: str, labels: Mapping[str, str], cancelled: Event
) -> Generator[Any, None, JobOutcome | Failure]:
    """Measure a table that is there by the labels in it, or by those that a person gave.

    Returns
    -------
    Done or Failure
        With a `Measured`, see `napari_cxr.workers.scoring_jobs.measure`.
    """
    return (
        yield from follow_job(
            shared_scorer(), 'measure', 'Measuring', cancelled, table=table, truths=dict(labels)
        )
    )


@thread_worker
def save_table_as(table: str, path: str) -> JobOutcome | Failure:
    """Write a table again, under another name and perhaps in another form.

    Returns
    -------
    Done or Failure
        With what was `Saved`.
    """
    written = 0

    def counted(rows: Iterator[ScoreRow]) -> Iterator[ScoreRow]:
        nonlocal written
        for row in rows:
            written += 1
            yield row

    try:
        same = all(map(os.path.exists, (table, path))) and os.path.samefile(table, path)
        if not same:
            check_save_as(path)
        total = expected_rows(table)
        run, rows = table_reader.read_rows(table)
        if same:
            for _ in counted(rows):
                pass
        else:
            table_writer.write_table(Path(path), counted(rows), run)
    except Exception as error:
        return failure(error, 'Saving the table')
    return JobOutcome(TableSaved(path, written, total if total > written else 0))


class _RowBuffer:
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
        self._shown = set(shown)
        self._rows: list[ScoreRow] = []
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to hand rows on."""
        return time.monotonic() - self._last > _GATHER

    def add(self, row: ScoreRow) -> None:
        """Take a row in, unless it came before."""
        if row.number not in self._shown:
            self._shown.add(row.number)
            self._rows.append(row)

    def take(self) -> Generator[RowsArrived, None, None]:
        """Yield what was taken in since the last time."""
        self._last = time.monotonic()
        rows = tuple(self._rows)
        self._rows.clear()
        if rows:
            yield RowsArrived(rows)

    def missing(self, done: int = -1) -> Generator[RowsArrived, None, None]:
        """Yield rows that are done and did not come: from before, or lost on the way.

        Parameters
        ----------
        done : int
            How many are done; by default that is not known.
        """
        if done == len(self._shown) or not read_header(journal_of(self._out)):
            return
        for row in table_reader.read_rows(self._out)[1]:
            self.add(row)
            if len(self._rows) >= _PARCEL:
                yield from self.take()
        yield from self.take()


@thread_worker
def scan_input(
    paths: tuple[str, ...], out: str, count: bool, cancelled: Event
) -> Generator[InputSummary | ImageCount, None, None]:
    """See what there is to score; see `look_at`. Yields `Looked` first, then `Counted`.

    Parameters
    ----------
    paths : tuple of str
        Images, folders or lists of them.
    out : str
        The table that they shall be scored into.
    count : bool
        Whether the images of a folder shall be counted.
    cancelled : threading.Event
        Ends the counting when set.
    """
    try:
        found = summarise_inputs(paths, out)
        # Many files on a slow disk are not asked for in the GUI's thread.
        found = replace(found, error=found.error or missing_path_problem(paths))
    except Exception as error:
        found = InputSummary(paths, out, error=failure(error, 'Scanning the images').text)
    yield found
    if count and not found.error and len(paths) == 1 and Path(paths[0]).is_dir():
        with suppress(OSError):  # it goes on without a number
            yield from count_images(paths[0], cancelled)
