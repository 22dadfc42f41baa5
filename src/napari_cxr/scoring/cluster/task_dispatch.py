"""The connection to a Dask cluster, and the tasks of a run as they go out and come back.

Before the first, the workers are asked whether they can do the job.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_cxr.scoring.background_thread import BackgroundThread, in_background
from napari_cxr.scoring.batching import RowStream, row_for_item
from napari_cxr.scoring.cluster.worker_tasks import ClusterJob, Decoders, probe, score_task
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.journal import Journal, ScoringError
from napari_cxr.scoring.score_row import ScoreRow
from napari_cxr.scoring.scoring_events import ScoringEvent, ScoringPreparing, ScoringWarned
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = [
    'TaskDispatch',
    'WorkerDevice',
    'check_address',
    'check_workers',
    'connect',
    'first_line',
    'unseen_files_error',
]

#: Seconds in which a scheduler must answer.
_CONNECT = 5.0

#: Seconds in which the workers must have loaded the model; on shared disks torch takes long.
_PROBE = 180.0

#: Files that the workers are asked for up front.
_SAMPLE = 16

#: With a port at its end, but for schedulers in this very process.
_ADDRESS = re.compile(r'inproc://.+|(\w+://)?[^/]+:\d+(/.*)?')


def check_address(address: str) -> None:
    """See whether something can be a scheduler's address or is a file; raises ScoringError."""
    if not (_ADDRESS.fullmatch(address) or os.path.isfile(address)):
        raise ScoringError(
            f'{address} is neither a scheduler file that is there nor the address of a Dask '
            'scheduler with its port, such as tcp://host:8786: correct it.'
        )


def connect(address: str) -> Client:
    """Return a connection to a scheduler; raises ScoringError."""
    check_address(address)
    try:
        import distributed
    except ImportError:
        raise ScoringError(
            'A cluster needs Dask: pip install "napari-cxr[dask]", here and where the workers are.'
        ) from None
    where = {'scheduler_file': address} if os.path.isfile(address) else {'address': address}
    try:
        return distributed.Client(
            **where, timeout=_CONNECT, set_as_default=False, name='napari-cxr'
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ScoringError(
            f'No Dask scheduler answers at {address} ({first_line(error)}): start one with '
            '"dask scheduler", or correct the address.'
        ) from None


class WorkerDevice(NamedTuple):
    """What a worker runs the model on: device and backend, the latter as a journal names it."""

    device: str
    backend: str


def check_workers(
    client: Client, address: str, job: ClusterJob, items: Sequence[Item]
) -> Generator[ScoringEvent, None, list[WorkerDevice]]:
    """Check that all workers can do the job; return what each runs it on. Raises ScoringError."""
    step = max(1, len(items) // _SAMPLE)
    sample = [item.path for item in items[::step]][:_SAMPLE]
    heatmaps = job.settings.heatmaps
    question = json.dumps(
        {
            'version': job.version,
            'model': job.model,
            'device': job.device,
            'backend': job.backend,
            'precision': job.precision,
            'batch': job.whole_batch,
            'sample': sample,
            'folder': job.folder,
            'heatmaps': None if heatmaps is None else str(heatmaps),
        }
    )
    answers: dict[str, Any] = {}
    deadline = time.monotonic() + _PROBE
    try:
        with closing(
            in_background(lambda _: client.run(probe, question, on_error='return'))
        ) as asking:
            while True:
                try:
                    next(asking)
                except StopIteration as end:
                    answers = end.value
                    break
                if time.monotonic() > deadline:
                    raise ScoringError(
                        f'The workers of {address} did not load the model within {_PROBE:.0f} s; '
                        'see what they say.'
                    )
                yield ScoringPreparing('Asking the workers')
    except (OSError, RuntimeError) as error:
        raise ScoringError(
            f'The scheduler at {address} does not answer: {first_line(error)}.'
        ) from None
    if not answers:
        raise ScoringError(
            f'No worker has joined the scheduler at {address}: start some with '
            f'"dask worker {address}".'
        )
    return [_device_of(worker, answer, job, sample) for worker, answer in answers.items()]


def _device_of(worker: str, answer: Any, job: ClusterJob, sample: Sequence[str]) -> WorkerDevice:
    """Return what a worker runs the model on, by its answer to `probe`; raises ScoringError."""
    if not isinstance(answer, str):
        if isinstance(answer, ImportError | AttributeError):
            raise ScoringError(
                f'The worker {worker} has no napari-cxr {job.version} ({first_line(answer)}): '
                'install it where the workers are.'
            )
        raise ScoringError(f'The worker {worker} cannot score: {first_line(answer)}.')
    found = json.loads(answer)
    host = found['host']
    if found['version'] != job.version:
        raise ScoringError(
            f'The worker on {host} has napari-cxr {found["version"]} instead of {job.version}: '
            'install the same version everywhere.'
        )
    if 'problem' in found:
        raise ScoringError(f'A worker cannot score. {found["problem"]}')
    if found['model_hash'] != job.model_hash:
        raise ScoringError(
            f'The worker on {host} has another file of the model {job.model} '
            f'({found["model_hash"]} instead of {job.model_hash}): copy the model there, or give '
            'the path of a file that all see.'
        )
    if not found['seen']:
        raise unseen_files_error(host, job, sample[0])
    if not found['written']:
        raise ScoringError(
            f'The worker on {host} cannot write into {job.settings.heatmaps}: choose a folder '
            'that all workers share.'
        )
    return WorkerDevice(str(found['device']), str(found['backend']))


def unseen_files_error(host: str, job: ClusterJob, path: str) -> ScoringError:
    """Return the error for a worker that sees no file of the listing."""
    return ScoringError(
        f'The worker on {host} does not see the files, {Path(job.folder, path)} for one: they '
        'must be at the same paths on all machines.'
    )


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line and without a full stop."""
    with suppress(IndexError):
        return str(error).strip().splitlines()[0].rstrip('.:')
    return type(error).__name__


#: Batches in a task. More of them let decoders and network overlap, fewer come back sooner.
_BATCHES = 8

#: Tasks that run or wait on the scheduler, for each that runs at once.
_AHEAD = 2

#: How often to look how many workers there are, in seconds, and for results.
_POLL_SECONDS = 2.0

_PATIENCE = 0.05


class TaskDispatch:
    """The tasks of one run, as they are submitted and come back."""

    def __init__(
        self,
        client: Client,
        job: ClusterJob,
        items: Sequence[Item],
        settings: ScoringSettings,
        pool: Callable[[int], Decoders],
    ) -> None:
        self._client, self._job, self._items = client, job, items
        self._settings, self._pool = settings, pool
        self._id = uuid.uuid4().hex[:12]
        self._submitted = 0
        #: Batches at which workers died, or beside which: each is tried again alone, at the end.
        self._suspects: deque[list[int]] = deque()
        self._alone: list[int] = []
        self._running: dict[Future, list[int]] = {}
        self._tasks = self._tasks_at_once()
        self._polled = time.monotonic()
        #: The scheduler is asked beside: one that hangs must not keep anybody from stopping.
        self._asking: BackgroundThread[int] | None = None
        self._any = False
        self._reported: set[str] = set()

    def rows(self, journal: Journal) -> RowStream:
        """Score what a journal does not hold."""
        from distributed import as_completed

        fresh = self._task_files(journal)
        arriving = as_completed(loop=self._client.loop, with_results=True, raise_errors=False)
        try:
            while True:
                while len(self._running) < max(2, _AHEAD * self._tasks):
                    numbers = next(fresh, None)
                    if numbers is None:
                        break
                    arriving.add(self._submit(numbers))
                if not self._running:
                    if not self._suspects:
                        return
                    self._alone = self._suspects.popleft()
                    arriving.add(self._submit(self._alone))
                done = arriving.next_batch(block=False)
                for future, result in done:
                    yield from self._take(future, result)
                if not done:
                    time.sleep(_PATIENCE)
                    yield None
                yield from self._poll_workers()
        finally:
            arriving.clear()
            if self._client.status == 'running':
                self._client.cancel(list(self._running), force=True)

    def _task_files(self, journal: Journal) -> Iterator[list[int]]:
        """Yield the files of each task, whole batches, without those that have a row already."""
        total, batch = len(self._items), self._job.batch
        fair = -(-total // (4 * max(1, self._tasks) * batch))
        size = batch * max(1, min(_BATCHES, fair))
        for start in range(0, total, size):
            numbers = [n for n in range(start, min(start + size, total)) if n not in journal]
            if numbers:
                yield numbers

    def _submit(self, numbers: list[int]) -> Future:
        self._submitted += 1
        future = self._client.submit(
            score_task,
            self._job,
            [(n, self._items[n].path) for n in numbers],
            self._pool,
            key=f'napari-cxr-{self._id}-{self._submitted}',
            pure=False,
            retries=1,
        )
        self._running[future] = numbers
        return future

    def _take(self, future: Future, result: Any) -> RowStream:
        """Take the result of a task."""
        from distributed import KilledWorker

        numbers = self._running.pop(future)
        if isinstance(result, str):
            yield from self._take_rows(numbers, result)
            return
        if future.status == 'error':
            error = result[1]
            if isinstance(error, KilledWorker):
                yield self._give_up_on(numbers, error.allowed_failures + 1)
                return
            if isinstance(error, ScoringError):
                raise error
            raise ScoringError(
                f'A worker failed ({type(error).__name__}: {first_line(error)}). All rows that '
                'are done are kept: see what the workers say, and resume.'
            )
        raise _lost()

    def _take_rows(self, numbers: list[int], reply: str) -> RowStream:
        first, *lines = reply.split('\n')
        about = json.loads(first)
        # Error rows of files that are there would be final: a worker without the shared disk
        # must not write them.
        if not about['seen'] and any(os.path.exists(self._items[n].path) for n in numbers):
            raise unseen_files_error(about['host'], self._job, self._items[numbers[0]].path)
        for text in about['warnings']:
            if text not in self._reported:
                self._reported.add(text)
                yield ScoringWarned(f'{about["host"]}: {text}')
        rows = [ScoreRow.from_json(line) for line in lines]
        if sorted(row.number for row in rows) != numbers:
            raise ScoringError(
                f'The worker on {about["host"]} sent other rows than it was asked for. All rows '
                'that are done are kept: see what it says, and resume.'
            )
        self._any = True
        yield [self._completed(row) for row in rows]

    def _completed(self, row: ScoreRow) -> ScoreRow:
        """Return a row with what the workers do not know, and with the folder as it was given."""
        item, heatmap = self._items[row.number], row.heatmap
        if heatmap and self._settings.heatmaps is not None:
            heatmap = str(self._settings.heatmaps / Path(heatmap).name)
        return replace(
            row,
            truth=item.truth,
            source=item.source,
            patient=item.patient,
            split=item.split,
            heatmap=heatmap,
            error=(item.problem or row.error) if row.status == 'error' else '',
        )

    def _give_up_on(self, numbers: list[int], deaths: int) -> list[ScoreRow]:
        """Continue after a task that killed one worker after the other; return rows for it."""
        if not self._any:
            raise ScoringError(
                f'{deaths} workers died at their first task, one after the other: see what they '
                'say. Often their memory is too small for the model.'
            )
        if numbers is not self._alone:
            batches: dict[int, list[int]] = {}
            for number in numbers:
                batches.setdefault(number // self._job.batch, []).append(number)
            self._suspects.extend(batches.values())
            return []
        why = (
            f'{deaths} workers of the cluster died, one after the other, while they scored the '
            'batch that this file is in.'
        )
        return [row_for_item(n, self._items[n], status='error', error=why) for n in numbers]

    def _poll_workers(self) -> RowStream:
        """See now and then how many workers there are."""
        if self._asking is None and time.monotonic() - self._polled >= _POLL_SECONDS:
            self._asking = BackgroundThread(lambda _: self._tasks_at_once())
        if self._asking is None or not self._asking.ended():
            return
        asked, self._asking = self._asking, None
        self._tasks = asked.result()
        self._polled = time.monotonic()
        if not self._tasks and 'none' not in self._reported:
            self._reported.add('none')
            yield ScoringWarned('The cluster has no worker left; waiting for one.')
        if self._tasks:
            self._reported.discard('none')

    def _tasks_at_once(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError, RuntimeError, AttributeError):
            raise _lost() from None


def _lost() -> ScoringError:
    return ScoringError(
        'The connection to the Dask scheduler was lost. All rows that are done are kept: resume '
        'when it is there again.'
    )
