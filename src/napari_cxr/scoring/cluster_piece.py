"""What runs on a worker of a Dask cluster: one piece of a listing after the other.

Dask calls `probe` and `score_piece` by their names in its worker processes. Each keeps the
model, and decoders as processes of their own, from piece to piece.
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
from typing import TYPE_CHECKING, Any, Protocol

from napari_cxr import __version__
from napari_cxr.scoring.events import Warned
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.listing import Item
from napari_cxr.scoring.preparing import Ready, Wanted
from napari_cxr.scoring.rows import rows_of
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['Decoders', 'Job', 'probe', 'score_piece']

#: How long a worker keeps model and decoders after its last piece, in seconds.
_KEPT = 60.0
#: Most decoders that feed one GPU, where nobody says how many.
_DECODERS_OF_A_GPU = 16


class Decoders(Protocol):
    """Decoder processes, such as a `napari_cxr.workers.decoding.DecoderPool`."""

    def prepare(
        self, items: Iterable[tuple[int, Path]], wanted: Wanted
    ) -> Generator[tuple[int, Ready | str] | None, None, None]:
        """Prepare files, as `napari_cxr.scoring.Reader`."""

    def close(self) -> None:
        """End the processes."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all pieces of a run have in common.

    Parameters
    ----------
    model, model_hash : str
        Its name in the catalogue, or its file as the workers see it; and the first 12 digits
        of its SHA-256.
    version : str
        Of napari-cxr.
    device : str
        'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
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
    settings: Settings
    folder: str
    decoders: int = 0


async def probe(question: str) -> str:
    """Say what there is on this worker; other work on it goes on meanwhile.

    Parameters
    ----------
    question : str
        JSON: the `model` and the `device`, a `sample` of paths, the `folder` where they
        begin, and the folder for `heatmaps` or null.

    Returns
    -------
    str
        JSON: `version`, `host`; and where the model can run also `model_hash`, `device`, how
        many files of the sample are `seen`, and whether heatmaps can be `written`; else the
        `problem`. Other versions of napari-cxr must understand both.
    """
    return await asyncio.to_thread(_answer, json.loads(question))


def score_piece(
    job: Job, paths: Sequence[tuple[int, str]], pool: Callable[[int], Decoders]
) -> str:
    """Score files of a listing.

    Parameters
    ----------
    job : Job
        The run.
    paths : sequence of (int, str)
        Numbers and paths of the files; of a batch that is begun, all that have no row yet.
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
        If this worker cannot score at all, or nobody waits for the piece any more.
    """
    from napari_cxr.inference.classifier import OutOfMemory

    items = {number: Item(path) for number, path in paths}
    warnings: list[str] = []
    lines: list[str] = []
    wanted = _is_wanted()
    with _kept.lend(job, pool) as (classifier, decoders):

        def read(
            todo: Iterable[tuple[int, Path]], what: Wanted
        ) -> Generator[tuple[int, Ready | str] | None, None, None]:
            return decoders.prepare(((n, Path(job.folder, path)) for n, path in todo), what)

        rows = rows_of(
            items,
            list(items),
            items.__contains__,
            job.total,
            classifier,
            read,
            job.settings,
            job.batch,
        )
        try:
            with closing(rows):
                for arrived in rows:
                    if not wanted():
                        raise ScoringError('Nobody waits for this piece any more.')
                    if isinstance(arrived, Warned):
                        warnings.append(arrived.text)
                    elif arrived:
                        lines += [row.to_json() for row in arrived]
        except OutOfMemory as error:
            raise ScoringError(f'{socket.gethostname()}: {error}') from None
    seen = any(os.path.exists(Path(job.folder, path)) for _, path in paths)
    about = {'host': socket.gethostname(), 'warnings': warnings, 'seen': seen}
    return '\n'.join([json.dumps(about), *lines])


class _Kept:
    """What a worker's process keeps from piece to piece, until it has had none for a while.

    All its threads run one model; each has decoders of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        self._key: tuple[str, ...] = ()
        self._classifier: Classifier | None = None
        self._free: list[tuple[int, Decoders]] = []
        self._timer: threading.Timer | None = None

    @contextmanager
    def lend(
        self, job: Job, pool: Callable[[int], Decoders]
    ) -> Iterator[tuple[Classifier, Decoders]]:
        """Lend the model and decoders for one piece; raises ScoringError."""
        with self._in_use():
            if job.version != __version__:
                raise ScoringError(_other_version(__version__, job.version))
            classifier = self.classifier(job.model, job.device)
            if classifier.file_hash != job.model_hash:
                raise ScoringError(
                    f'{socket.gethostname()} has another file of the model {job.model}.'
                )
            count = job.decoders or _decoders_for(classifier.device.name)
            decoders = self._decoders(count) or pool(count)
            try:
                yield classifier, decoders
            finally:
                with self._lock:
                    self._free.append((count, decoders))

    def classifier(self, model: str, device: str) -> Classifier:
        """Return the model, loaded once; raises ScoringError."""
        from napari_cxr.checkpoint import CheckpointError, catalog
        from napari_cxr.inference.classifier import Classifier, OutOfMemory
        from napari_cxr.inference.device import DeviceUnavailable

        with self._in_use(), self._lock:
            try:
                path = catalog.resolve(model)
                at = path.stat()
                key = (str(path), str(at.st_size), str(at.st_mtime_ns), device)
                if self._classifier is None or self._key != key:
                    self._classifier, self._key = Classifier.load(path, device), key
            except (CheckpointError, DeviceUnavailable, OutOfMemory) as error:
                raise ScoringError(f'{socket.gethostname()}: {error}') from None
            return self._classifier

    def _decoders(self, count: int) -> Decoders | None:
        with self._lock:
            for i, (there, decoders) in enumerate(self._free):
                if there == count:
                    del self._free[i]
                    return decoders
        return None

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
                    self._timer = threading.Timer(_KEPT, self._let_go)
                    self._timer.daemon = True
                    self._timer.start()

    def _let_go(self) -> None:
        with self._lock:
            if self._busy:
                return
            free, self._free, self._classifier = self._free, [], None
        for _, decoders in free:
            decoders.close()


_kept = _Kept()


def _answer(question: dict[str, Any]) -> str:
    found: dict[str, Any] = {'version': __version__, 'host': socket.gethostname()}
    try:
        classifier = _kept.classifier(question['model'], question['device'])
    except ScoringError as error:
        return json.dumps(found | {'problem': str(error)})
    folder, heatmaps = question['folder'], question['heatmaps']
    found |= {
        'model_hash': classifier.file_hash,
        'device': classifier.device.name,
        'seen': sum(os.path.exists(Path(folder, path)) for path in question['sample']),
        'written': heatmaps is None or os.access(heatmaps, os.W_OK | os.X_OK),
    }
    return json.dumps(found)


def _other_version(there: str, here: str) -> str:
    return (
        f'{socket.gethostname()} has napari-cxr {there} instead of {here}: install the same '
        'version everywhere.'
    )


def _decoders_for(device: str) -> int:
    """Return how many decoders a task gets where nobody says it.

    A task on a processor has one core, by which network and decoder take turns. A GPU wants
    as many as there are cores.
    """
    if device == 'cpu':
        return 1
    from distributed import get_worker

    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    tasks = get_worker().state.nthreads
    return math.ceil(min(cores or 1, _DECODERS_OF_A_GPU) / tasks)


def _is_wanted() -> Callable[[], bool]:
    """Return what tells whether anybody waits for the task that runs in this thread."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != 'cancelled'

    return is_wanted
