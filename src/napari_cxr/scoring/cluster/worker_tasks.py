"""What runs on a worker of a Dask cluster: one task, a part of the listing, after the other.

Dask calls these functions by their names in its worker processes. Each keeps the model, and
decoders as processes of their own, from task to task.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from napari_cxr import __version__
from napari_cxr.inference.cpu import available_cores, one_core
from napari_cxr.scoring.batching import score_rows
from napari_cxr.scoring.image_preparation import PreparedImage, PrepareOptions
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.scoring_events import ScoringWarned
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['ClusterJob', 'Decoders', 'WorkerCache', 'probe', 'score_task']

T = TypeVar('T')

#: How long a worker keeps model and decoders after its last task, in seconds.
_IDLE_SECONDS = 60.0

#: Most decoders that feed one GPU, where nobody says how many.
_DECODERS_OF_A_GPU = 16


class Decoders(Protocol):
    """Decoder processes, such as a `napari_cxr.workers.decoder_pool.DecoderPool`."""

    def prepare(
        self, items: Iterable[tuple[int, Path]], wanted: PrepareOptions
    ) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
        """Prepare files, as `napari_cxr.scoring.ImagePreparer`."""

    def close(self) -> None:
        """End the processes."""


@dataclass(frozen=True, kw_only=True)
class ClusterJob:
    """What all tasks of a run have in common.

    Parameters
    ----------
    model, model_hash : str
        Its name in the catalogue, or its file as the workers see it; and the first 12 digits
        of its SHA-256.
    version : str
        Of napari-cxr.
    device : str
        'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
    backend, precision : str
        As of `napari_cxr.inference.backends.selection.select_backend`; once the run has
        started, `backend` names the one that all workers take.
    batch, total : int
        Images that the network takes at once, and paths in the whole listing.
    settings : Settings
        How; its folder of heatmaps as the workers see it.
    folder : str
        Where relative paths begin.
    decoders : int
        Processes beside each task that decode; 0 to choose by device.
    """

    model: str
    model_hash: str
    version: str
    device: str
    batch: int
    total: int
    settings: ScoringSettings
    folder: str
    decoders: int = 0
    backend: str = ''
    precision: str = 'auto'

    @property
    def whole_batch(self) -> int:
        """How many images a batch has, but for the last one."""
        return min(self.batch, self.total)


class WorkerCache:
    """What a worker's process keeps from task to task, until it has had none for a while.

    Each of its tasks has a model and decoders of its own: not all backends may be used by two
    threads at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        self._models: list[tuple[tuple[object, ...], Classifier]] = []
        self._decoders: list[tuple[tuple[object, ...], Decoders]] = []
        self._timer: threading.Timer | None = None

    @contextmanager
    def lend(
        self, job: ClusterJob, pool: Callable[[int], Decoders]
    ) -> Iterator[tuple[Classifier, Decoders]]:
        """Lend a model and decoders for one task; raises ScoringError."""
        if job.version != __version__:
            raise ScoringError(
                f'{socket.gethostname()} has napari-cxr {__version__} instead of {job.version}: '
                'install the same version everywhere.'
            )
        with self.model(
            job.model, job.device, job.backend, job.precision, job.whole_batch
        ) as classifier:
            if classifier.file_hash != job.model_hash:
                raise ScoringError(
                    f'{socket.gethostname()} has another file of the model {job.model}.'
                )
            count = job.decoders or _decoders_for(classifier.device.name)
            with self._lent(self._decoders, (pool, count), lambda: pool(count)) as decoders:
                yield classifier, decoders

    @contextmanager
    def model(
        self, source: str, device: str, backend: str, precision: str, batch: int
    ) -> Iterator[Classifier]:
        """Lend a model that runs on a backend, in batches of so many; raises ScoringError."""
        from napari_cxr.checkpoint import CheckpointError, catalog
        from napari_cxr.inference.backends.backend import BackendUnavailable
        from napari_cxr.inference.backends.selection import select_backend
        from napari_cxr.inference.classifier import Classifier, OutOfMemory
        from napari_cxr.inference.device import DeviceUnavailable

        try:
            path = catalog.resolve(source)
            at = path.stat()
            key = (path, at.st_size, at.st_mtime_ns, device)
            loaded = self._lent(self._models, key, lambda: Classifier.load(path, device))
            with self._in_use(), loaded as classifier:
                # At once, if it runs on it already.
                selected = select_backend(classifier, backend, precision, batch=batch)
                classifier.use(selected.backend, selected.network)
                yield classifier
        except (CheckpointError, DeviceUnavailable, BackendUnavailable, OutOfMemory) as error:
            raise ScoringError(f'{socket.gethostname()}: {error}') from None

    @contextmanager
    def _lent(
        self,
        free: list[tuple[tuple[object, ...], T]],
        key: tuple[object, ...],
        make: Callable[[], T],
    ) -> Iterator[T]:
        """Lend what is free of this kind, or make one; others of another kind go."""
        with self._lock:
            same = [i for i, (kind, _) in enumerate(free) if kind == key]
            one = free.pop(same[-1])[1] if same else None
            let_go = [] if same else list(free)
            if not same:
                free.clear()
        _close(let_go)
        if one is None:
            one = make()
        try:
            yield one
        finally:
            with self._lock:
                free.append((key, one))

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            self._busy += 1
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                if not self._busy:
                    self._timer = threading.Timer(_IDLE_SECONDS, self._let_go)
                    self._timer.daemon = True
                    self._timer.start()

    def _let_go(self) -> None:
        with self._lock:
            if self._busy:
                return
            let_go: list[tuple[object, Any]] = [*self._models, *self._decoders]
            self._models.clear()
            self._decoders.clear()
        _close(let_go)


def _close(let_go: Iterable[tuple[object, Any]]) -> None:
    """End the processes of decoders that nobody needs any more."""
    for _, one in let_go:
        if hasattr(one, 'close'):
            one.close()


def _decoders_for(device: str) -> int:
    """Return how many decoders a task gets where nobody says it.

    A task on a processor has one core, on which network and decoder take turns. A GPU wants
    as many as there are cores.
    """
    if device == 'cpu':
        return 1
    from distributed import get_worker

    tasks = get_worker().state.nthreads
    return math.ceil(min(available_cores(), _DECODERS_OF_A_GPU) / tasks)


async def probe(question: str) -> str:
    """Say what there is on this worker; other work on it goes on meanwhile.

    Parameters
    ----------
    question : str
        JSON: the `version` of napari-cxr, the `model`, the `device`, the `backend` or an empty
        text, the `precision`, the images of a `batch`, a `sample` of paths, the `folder`
        where they begin, and the folder for `heatmaps` or null.

    Returns
    -------
    str
        JSON: `version` and `host`, which is all where the version is another; and where the
        model can run also `model_hash`, `device`, the `backend` that was selected, how many
        files of the sample are `seen`, and whether heatmaps can be `written`; else the
        `problem`.
    """
    return await asyncio.to_thread(_answer, json.loads(question))


def score_task(
    job: ClusterJob, paths: Sequence[tuple[int, str]], pool: Callable[[int], Decoders]
) -> str:
    """Score files of a listing.

    Parameters
    ----------
    job : Job
        The run.
    paths : sequence of (int, str)
        Numbers and paths of the files; of each batch, all that have no row yet.
    pool : callable
        Makes so many decoders.

    Returns
    -------
    str
        Lines of JSON: first an object with `host`, `warnings`, and whether any of the files
        is `seen`; then each row.

    Raises
    ------
    ScoringError
        If this worker cannot score at all, or the task was cancelled.
    """
    items = {number: Item(path) for number, path in paths}
    warnings: list[str] = []
    lines: list[str] = []
    is_wanted = _is_wanted()
    with one_core(), _cache.lend(job, pool) as (classifier, decoders):

        def read(
            todo: Iterable[tuple[int, Path]], what: PrepareOptions
        ) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
            return decoders.prepare(((n, Path(job.folder, path)) for n, path in todo), what)

        rows = score_rows(
            items,
            items.keys(),
            job.total,
            classifier.at_prevalence(job.settings.prior),
            read,
            job.settings,
            job.batch,
        )
        with closing(rows):
            for arrived in rows:
                if not is_wanted():
                    raise ScoringError('This task was cancelled.')
                if isinstance(arrived, ScoringWarned):
                    warnings.append(arrived.text)
                elif arrived:
                    lines += [row.to_json() for row in arrived]
    seen = any(os.path.exists(Path(job.folder, path)) for _, path in paths)
    about = {'host': socket.gethostname(), 'warnings': warnings, 'seen': seen}
    return '\n'.join([json.dumps(about), *lines])


_cache = WorkerCache()


def _answer(question: dict[str, Any]) -> str:
    found: dict[str, Any] = {'version': __version__, 'host': socket.gethostname()}
    if question['version'] != __version__:
        return json.dumps(found)
    folder, heatmaps = question['folder'], question['heatmaps']
    try:
        asked = (question[name] for name in ('model', 'device', 'backend', 'precision', 'batch'))
        with one_core(), _cache.model(*asked) as classifier:
            found |= {
                'model_hash': classifier.file_hash,
                'device': classifier.device.name,
                'backend': classifier.backend.journal_name,
            }
    except ScoringError as error:
        return json.dumps(found | {'problem': str(error)})
    found |= {
        'seen': sum(os.path.exists(Path(folder, path)) for path in question['sample']),
        'written': heatmaps is None or os.access(heatmaps, os.W_OK | os.X_OK),
    }
    return json.dumps(found)


def _is_wanted() -> Callable[[], bool]:
    """Return what tells whether anybody waits for the task that runs in this thread."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != 'cancelled'

    return is_wanted
