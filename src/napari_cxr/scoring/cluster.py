"""Scoring beyond one machine: a Dask cluster gets the listing in pieces, and rows come back.

Dask itself talks in pickles, between this process, the scheduler and its workers: whoever
can reach the scheduler can run code on all of them. What of ours crosses is paths and a few
settings one way, and rows as JSON the other.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr import __version__
from napari_cxr.scoring.cluster_piece import Decoders, Job, probe, score_piece
from napari_cxr.scoring.events import Event, Warned
from napari_cxr.scoring.journal import Journal, ScoringError, read_header
from napari_cxr.scoring.listing import Item
from napari_cxr.scoring.network import row_of
from napari_cxr.scoring.row import Row
from napari_cxr.scoring.rows import Rows
from napari_cxr.scoring.score import batch_for, check_out, into_table, journal_of, make_folder
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from distributed import Client, Future

    from napari_cxr.inference.classifier import Classifier

__all__ = ['score_on_cluster']

#: Seconds in which a scheduler must answer.
_CONNECT = 5.0
#: Seconds in which the workers must have loaded the model; on shared disks torch takes long.
_PROBE = 180.0
#: Batches in a piece. More of them let decoders and network overlap, fewer come back sooner.
_BATCHES = 8
#: Pieces that are under way or wait on the scheduler, for each task that runs at once.
_AHEAD = 2
#: How often to look how many workers there are, in seconds, and for results.
_LOOK = 2.0
_PATIENCE = 0.05
#: Files that the workers are asked for up front.
_SAMPLE = 16


def score_on_cluster(
    items: Sequence[Item],
    classifier: Classifier,
    out: str | Path,
    address: str,
    pool: Callable[[int], Decoders],
    settings: Settings | None = None,
    *,
    model: str | Path,
    device: str = 'auto',
    decoders: int = 0,
    resume: bool = False,
) -> Generator[Event, None, None]:
    """Score files on the workers of a Dask cluster, and write the table that `score` writes.

    Workers that die are no harm: what they had is done again. A run may begin with `score`
    and be resumed here, or the other way round.

    Parameters
    ----------
    items : sequence of Item
        See `list_items`; the workers see the files at the same paths.
    classifier : Classifier
        The model, for what it is; it is not run here.
    out : str or Path
        The table; its ending says of what form.
    address : str
        The scheduler's, such as 'tcp://host:8786', or its scheduler file.
    pool : callable
        Makes so many decoders, on a worker: `napari_cxr.workers.decoding.DecoderPool`.
    settings : Settings, optional
        How; a folder of heatmaps is seen by the workers at the same path.
    model : str or Path
        The model's name, which the workers' catalogues have too, or its file, which they
        see at the same path.
    device : str
        Where the workers run it: 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
    decoders : int
        Processes beside each task that decode; 0 for one on a processor, and as many as
        there are cores, up to 16, for a GPU.
    resume : bool
        Whether to go on with what was cut off, if anything was.

    Yields
    ------
    Event
        As `score`. Closing the generator takes back what the workers have not done.

    Raises
    ------
    ScoringError
        As `score`; also if there is no such scheduler, it has no workers, or they have
        another version, another model, or do not see the files.
    """
    out, settings = Path(out), settings or Settings()
    check_out(out, resume=resume)
    if settings.heatmaps is not None:
        make_folder(settings.heatmaps)
    there = read_header(journal_of(out))
    with closing(_connect(address)) as client:
        job = Job(
            model=os.path.abspath(model) if os.path.isfile(model) else str(model),
            model_hash=classifier.file_hash,
            version=__version__,
            device=device,
            batch=0,
            total=len(items),
            settings=settings,
            folder=os.getcwd(),
            decoders=decoders,
        )
        if settings.heatmaps is not None:
            seen_there = replace(settings, heatmaps=Path(os.path.abspath(settings.heatmaps)))
            job = replace(job, settings=seen_there)
        devices = _agree(client, address, job, items)
        batch = (
            settings.batch
            or there.get('batch')
            or min(batch_for(classifier, name) for name in devices)
        )
        run = _Run(client, replace(job, batch=batch), items, settings, pool)
        count = len(devices)
        where = f'{count} worker{"" if count == 1 else "s"} ({", ".join(sorted(set(devices)))})'
        yield from into_table(items, classifier, out, run.rows, settings, batch, where)


def _connect(address: str) -> Client:
    """Return a connection to a scheduler; raises ScoringError."""
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
            f'No Dask scheduler answers at {address} ({_first_line(error)}): start one with '
            '"dask scheduler", or correct the address.'
        ) from None


def _agree(client: Client, address: str, job: Job, items: Sequence[Item]) -> list[str]:
    """See whether all workers can do the job; return the device of each."""
    from concurrent.futures import ThreadPoolExecutor

    step = max(1, len(items) // _SAMPLE)
    sample = [item.path for item in items[::step]][:_SAMPLE]
    heatmaps = job.settings.heatmaps
    question = json.dumps(
        {
            'model': job.model,
            'device': job.device,
            'sample': sample,
            'folder': job.folder,
            'heatmaps': None if heatmaps is None else str(heatmaps),
        }
    )
    asking = ThreadPoolExecutor(1)
    try:
        answers = asking.submit(client.run, probe, question, on_error='return').result(_PROBE)
    except TimeoutError:
        raise ScoringError(
            f'The workers of {address} did not load the model within {_PROBE:.0f} s; see what '
            'they say.'
        ) from None
    except OSError as error:
        raise ScoringError(f'The scheduler at {address} does not answer: {error}.') from None
    finally:
        asking.shutdown(wait=False, cancel_futures=True)
    if not answers:
        raise ScoringError(
            f'No worker has joined the scheduler at {address}: start some with '
            f'"dask worker {address}".'
        )
    return [_device_of(worker, answer, job, sample) for worker, answer in answers.items()]


def _device_of(worker: str, answer: Any, job: Job, sample: Sequence[str]) -> str:
    """Return where a worker runs the model, by its answer to `probe`; raises ScoringError."""
    if not isinstance(answer, str):
        if isinstance(answer, ImportError | AttributeError):
            raise ScoringError(
                f'The worker {worker} has no napari-cxr {job.version} ({_first_line(answer)}): '
                'install it where the workers are.'
            )
        raise ScoringError(f'The worker {worker} cannot score: {_first_line(answer)}.')
    told = json.loads(answer)
    host = told['host']
    if told['version'] != job.version:
        raise ScoringError(
            f'The worker on {host} has napari-cxr {told["version"]} instead of {job.version}: '
            'install the same version everywhere.'
        )
    if 'problem' in told:
        raise ScoringError(f'A worker cannot score. {told["problem"]}')
    if told['model_hash'] != job.model_hash:
        raise ScoringError(
            f'The worker on {host} has another file of the model {job.model} '
            f'({told["model_hash"]} instead of {job.model_hash}): copy the model there, or give '
            'the path of a file that all see.'
        )
    if not told['seen']:
        raise _unseen(host, job, sample[0])
    if not told['written']:
        raise ScoringError(
            f'The worker on {host} cannot write into {job.settings.heatmaps}: choose a folder '
            'that all workers share.'
        )
    return str(told['device'])


def _unseen(host: str, job: Job, path: str) -> ScoringError:
    return ScoringError(
        f'The worker on {host} does not see the files, {Path(job.folder, path)} for one: they '
        'must be at the same paths on all machines.'
    )


class _Run:
    """The pieces of one run, as they are handed out and come back."""

    def __init__(
        self,
        client: Client,
        job: Job,
        items: Sequence[Item],
        settings: Settings,
        pool: Callable[[int], Decoders],
    ) -> None:
        self._client, self._job, self._items = client, job, items
        self._settings, self._pool = settings, pool
        self._id = uuid.uuid4().hex[:12]
        self._submitted = 0
        self._again: deque[list[int]] = deque()
        self._under_way: dict[Future, list[int]] = {}
        self._tasks = self._tasks_at_once()
        self._looked = time.monotonic()
        self._any = False
        self._said: set[str] = set()

    def rows(self, journal: Journal) -> Rows:
        """Score what a journal does not hold."""
        from distributed import as_completed

        fresh = self._pieces(journal)
        arriving = as_completed(loop=self._client.loop, with_results=True, raise_errors=False)
        try:
            while True:
                while len(self._under_way) < max(2, _AHEAD * self._tasks):
                    piece = self._again.popleft() if self._again else next(fresh, None)
                    if piece is None:
                        break
                    arriving.add(self._submit(piece))
                if not self._under_way:
                    return
                done = arriving.next_batch(block=False)
                for future, result in done:
                    yield from self._take(future, result)
                if not done:
                    time.sleep(_PATIENCE)
                    yield None
                yield from self._look()
        finally:
            arriving.clear()
            if self._client.status == 'running':
                self._client.cancel(list(self._under_way), force=True)

    def _pieces(self, journal: Journal) -> Iterator[list[int]]:
        """Cut what has no row yet into pieces of whole batches, each when it is wanted."""
        total, batch = len(self._items), self._job.batch
        fair = -(-total // (4 * max(1, self._tasks) * batch))
        size = batch * max(1, min(_BATCHES, fair))
        for start in range(0, total, size):
            piece = [n for n in range(start, min(start + size, total)) if n not in journal]
            if piece:
                yield piece

    def _submit(self, piece: list[int]) -> Future:
        self._submitted += 1
        future = self._client.submit(
            score_piece,
            self._job,
            [(n, self._items[n].path) for n in piece],
            self._pool,
            key=f'napari-cxr-{self._id}-{self._submitted}',
            pure=False,
            retries=1,
        )
        self._under_way[future] = piece
        return future

    def _take(self, future: Future, result: Any) -> Rows:
        """Take in what became of a piece."""
        from distributed import KilledWorker

        piece = self._under_way.pop(future)
        if isinstance(result, str):
            yield from self._take_rows(piece, result)
            return
        if future.status == 'error':
            error = result[1]
            if isinstance(error, KilledWorker):
                yield self._bury(piece, error.allowed_failures + 1)
                return
            if isinstance(error, ScoringError):
                raise error
            raise ScoringError(
                f'A worker failed ({type(error).__name__}: {_first_line(error)}). All rows that '
                'are done are kept: see what the workers say, and resume.'
            )
        raise _lost()

    def _take_rows(self, piece: list[int], reply: str) -> Rows:
        first, *lines = reply.split('\n')
        about = json.loads(first)
        # Error rows of files that are there would be final: a worker without the shared disk
        # must not write them.
        if not about['seen'] and any(os.path.exists(self._items[n].path) for n in piece):
            raise _unseen(about['host'], self._job, self._items[piece[0]].path)
        for text in about['warnings']:
            if text not in self._said:
                self._said.add(text)
                yield Warned(f'{about["host"]}: {text}')
        self._any = True
        yield [self._completed(Row.from_json(line)) for line in lines]

    def _completed(self, row: Row) -> Row:
        """Return a row with what the workers are not told, and with the folder as it was given."""
        item, heatmap = self._items[row.number], row.heatmap
        if heatmap and self._settings.heatmaps is not None:
            heatmap = str(self._settings.heatmaps / Path(heatmap).name)
        return replace(
            row, truth=item.truth, source=item.source, patient=item.patient, heatmap=heatmap
        )

    def _bury(self, piece: list[int], deaths: int) -> list[Row]:
        """Go on after a piece at which one worker after the other died; return rows for it."""
        if not self._any:
            raise ScoringError(
                f'{deaths} workers died at their first piece, one after the other: see what they '
                'say. Often their memory is too small for the model.'
            )
        batches: dict[int, list[int]] = {}
        for number in piece:
            batches.setdefault(number // self._job.batch, []).append(number)
        if len(batches) > 1:
            self._again.extend(batches.values())
            return []
        why = (
            f'{deaths} workers of the cluster died, one after the other, while they scored the '
            'files beside which this one stands.'
        )
        return [row_of(n, self._items[n], status='error', error=why) for n in piece]

    def _look(self) -> Rows:
        """See now and then how many workers there are."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._tasks = self._tasks_at_once()
        self._looked = time.monotonic()
        if not self._tasks and 'none' not in self._said:
            self._said.add('none')
            yield Warned('The cluster has no worker left; waiting for one.')
        if self._tasks:
            self._said.discard('none')

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


def _first_line(error: BaseException) -> str:
    with suppress(IndexError):
        return str(error).strip().splitlines()[0].rstrip('.:')
    return type(error).__name__
