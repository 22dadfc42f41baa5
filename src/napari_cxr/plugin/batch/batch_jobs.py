"""The scoring process of this napari, and the background jobs on a table of scores.

The process is separate from those that classify and train, and runs at a lower priority, so that
radiographs can be opened meanwhile. The jobs, for `run_job`, score a folder, read a table, save a
copy of it, and scan the input before scoring. A stopped run leaves a table of its finished rows.
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
from typing import Any

from napari_cxr.plugin.background import Job, JobCancelled, end_worker, failure
from napari_cxr.plugin.batch.scoring_messages import expected_rows, missing_path_problem
from napari_cxr.plugin.batch.scoring_request import (
    ImageCount,
    ScoreRequest,
    count_images,
    save_request,
)
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
from napari_cxr.scoring.journal import read_header
from napari_cxr.scoring.scoring_checks import InputSummary, check_save_as, summarise_inputs
from napari_cxr.workers.model_worker import worker_role
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
    """Create the folder of a table, and check that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoringError(
            f'{folder} cannot be created: {error.strerror}. Choose another folder for the table.'
        ) from None
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ScoringError(
            f'{folder} cannot be written to: {error.strerror}. Choose another folder for the '
            'table.'
        ) from None


def partial_table(out: Path) -> int | None:
    """Write a table of the finished rows; return how many there are.

    None while a process adds rows to the journal, or puts the finished table in its place.
    """
    journal = journal_of(out)
    if not journal.exists():
        return 0
    try:
        log = AppendLog(journal)
    except LogInUse:
        return None
    try:
        if not journal.stat().st_size:  # finished and removed at this very moment
            log.remove()
            return 0
        return write_partial_table(out)
    finally:
        log.close()


#: Seconds that the process may take to end; rows are on disk as soon as they are finished.
_GRACE = 1.0

#: Seconds for which a killed process may still hold its journal.
_KILLED_GRACE = 4.0

#: Seconds between two deliveries of rows.
_GATHER = 0.1

#: Number of rows, of a table that is read back, in one delivery, and the pause between two of
#: them in seconds, in which the table can show them.
_PARCEL = 2000

_BREATH = 0.02


@dataclass(frozen=True, eq=False)
class RowsArrived:
    """New rows."""

    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class TableSaved:
    """A copy of a table was saved.

    Parameters
    ----------
    path : str
        The copy.
    rows, total : int
        The number of its rows, and of those of the finished table; 0 if it is finished.
    """

    path: str
    rows: int
    total: int = 0


@cache
def shared_scorer(role: str) -> WorkerProcess:
    """Return the process that scores, of one role or the other; it starts with its first job."""
    worker = WorkerProcess(role, grace=_GRACE, background=True)
    atexit.register(end_worker, worker, _GRACE)
    return worker


def score_images(request: ScoreRequest, resume: bool, shown: Sequence[int]) -> Job[int]:
    """Score images; a job for `run_job`.

    It yields the events of scoring, with `RowsArrived` in place of single rows. A resumed run
    yields first its `ScoringRun` and the rows from before. If it is cancelled, it writes a
    table of the finished rows and returns their number.

    Parameters
    ----------
    request : ScoreRequest
        What to score.
    resume : bool
        Whether to resume an unfinished table.
    shown : sequence of int
        Numbers of the rows that are shown already.
    """
    out = Path(request.out)
    check_writable(out.parent)
    save_request(request)
    rows = _RowBuffer(out, shown)
    try:
        if resume and not shown and read_header(journal_of(out)):
            yield table_reader.read_rows(request.out)[0]
            yield from rows.missing(pause=True)
        arguments = request.arguments()
        how = arguments['settings']
        role = yield from worker_role(
            arguments['model'],
            arguments['device'],
            how.get('backend', ''),
            how.get('precision', 'auto'),
        )
        with closing(shared_scorer(role).run('score', resume=resume, **arguments)) as run:
            yield from _gather(run, rows)
    except JobCancelled:
        yield from rows.take()
        # Not in the process, which may be busy with its network, or be killed.
        deadline = time.monotonic() + _GRACE + _KILLED_GRACE
        while (done := partial_table(out)) is None and time.monotonic() < deadline:
            time.sleep(_BREATH)
            yield None
        if done:
            yield from rows.missing(done)
        return done or 0
    # Nothing is left to resume, so the paths need not be kept.
    save_request(replace(request, paths=(), labels=''))
    return 0


def _gather(run: Iterator[Any], rows: _RowBuffer) -> Generator[Any, None, None]:
    """Yield the events of a run, with its rows in parcels and progress after its rows."""
    progress: ScoringProgress | None = None
    for event in run:
        if isinstance(event, RowScored):
            rows.add(event.row)
            event = None
        elif isinstance(event, ScoringProgress):
            progress, event = event, None
        if rows.due or event is not None:
            yield from rows.take()
            yield progress
            yield event
            progress = None
        if isinstance(event, ScoringStarted):
            yield from rows.missing(pause=True)
    yield from rows.take()


def reopen_table(table: str) -> Job[int]:
    """Read a table; a job for `run_job`.

    It yields the `ScoringRun`, then `RowsArrived`, and returns the number of rows.
    """
    run, rows = table_reader.read_rows(table)
    yield run
    number = 0
    while parcel := tuple(islice(rows, _PARCEL)):
        number += len(parcel)
        yield RowsArrived(parcel)
        time.sleep(_BREATH)
    return number


def measure_table(table: str, labels: Mapping[str, str], include_doubtful: bool) -> Job[Any]:
    """Compute metrics of a table by its own labels, or by these; a job for `run_job`.

    It returns a `ScoringMeasured`, see `napari_cxr.workers.background_jobs.measure`.
    """
    return (
        yield from shared_scorer('inference').run(
            'measure', table=table, truths=dict(labels), include_doubtful=include_doubtful
        )
    )


def save_table_as(table: str, path: str) -> TableSaved:
    """Save a copy of a table, possibly in another format; a function for `run_job`."""
    written = 0

    def counted(rows: Iterator[ScoreRow]) -> Iterator[ScoreRow]:
        nonlocal written
        for row in rows:
            written += 1
            yield row

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
    return TableSaved(path, written, total if total > written else 0)


class _RowBuffer:
    """Collects the rows of a run for the table, each of them once.

    Parameters
    ----------
    out : Path
        The table.
    shown : sequence of int
        Numbers of the rows that are shown already.
    """

    def __init__(self, out: Path, shown: Sequence[int]) -> None:
        self._out = out
        self._shown = set(shown)
        self._rows: list[ScoreRow] = []
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to deliver rows."""
        return time.monotonic() - self._last > _GATHER

    def add(self, row: ScoreRow) -> None:
        """Add a row, unless it was added before."""
        if row.number not in self._shown:
            self._shown.add(row.number)
            self._rows.append(row)

    def take(self) -> Generator[RowsArrived, None, None]:
        """Yield the rows that were added since the last time."""
        self._last = time.monotonic()
        rows = tuple(self._rows)
        self._rows.clear()
        if rows:
            yield RowsArrived(rows)

    def missing(self, done: int = -1, *, pause: bool = False) -> Generator[Any, None, None]:
        """Yield the rows of the journal that were not added yet.

        Parameters
        ----------
        done : int
            The number of rows in the journal; -1 if it is unknown.
        pause : bool
            Whether to pause after each parcel, so that the table can show it.
        """
        if done == len(self._shown) or not read_header(journal_of(self._out)):
            return
        for row in table_reader.read_rows(self._out)[1]:
            self.add(row)
            if len(self._rows) >= _PARCEL:
                yield from self.take()
                if pause:
                    time.sleep(_BREATH)
        yield from self.take()


def scan_input(
    paths: tuple[str, ...], out: str, count: bool
) -> Generator[InputSummary | ImageCount, None, None]:
    """Scan the input of a run; a job for `run_job`.

    It yields an `InputSummary`, then an `ImageCount` now and then.

    Parameters
    ----------
    paths : tuple of str
        Images, folders or lists of them.
    out : str
        The table to write.
    count : bool
        Whether to count the images of a folder.
    """
    try:
        found = summarise_inputs(paths, out)
        # Many paths on a slow disk are not checked in the GUI thread.
        found = replace(found, error=found.error or missing_path_problem(paths))
    except Exception as error:
        found = InputSummary(paths, out, error=failure(error, 'Scanning the images').text)
    yield found
    if count and not found.error and len(paths) == 1 and Path(paths[0]).is_dir():
        with suppress(OSError):  # there is no count then
            yield from count_images(paths[0])
