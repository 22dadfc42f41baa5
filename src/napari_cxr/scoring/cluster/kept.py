"""What the process of a Dask worker keeps from piece to piece: the model, and decoders."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from napari_cxr import __version__
from napari_cxr.inference.cores import cores
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.preparing import Ready, Wanted
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['Decoders', 'Job', 'Kept']

T = TypeVar('T')
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
    way : str
        How they run the network, see `napari_cxr.inference.running.WAYS`.
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
    way: str = 'eager'

    @property
    def whole_batch(self) -> int:
        """How many images a batch has, but for the last one."""
        return min(self.batch, self.total)


class Kept:
    """What a worker's process keeps from piece to piece, until it has had none for a while.

    Each of its tasks has a model and decoders of its own: not all ways to run a network may
    be used by two threads at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        self._models: list[tuple[tuple[object, ...], Classifier]] = []
        self._decoders: list[tuple[tuple[object, ...], Decoders]] = []
        self._timer: threading.Timer | None = None

    @contextmanager
    def lend(
        self, job: Job, pool: Callable[[int], Decoders]
    ) -> Iterator[tuple[Classifier, Decoders]]:
        """Lend a model and decoders for one piece; raises ScoringError."""
        if job.version != __version__:
            raise ScoringError(
                f'{socket.gethostname()} has napari-cxr {__version__} instead of {job.version}: '
                'install the same version everywhere.'
            )
        with self.model(job.model, job.device, job.way, job.whole_batch) as classifier:
            if classifier.file_hash != job.model_hash:
                raise ScoringError(
                    f'{socket.gethostname()} has another file of the model {job.model}.'
                )
            count = job.decoders or _decoders_for(classifier.device.name)
            with self._lent(self._decoders, (pool, count), lambda: pool(count)) as decoders:
                yield classifier, decoders

    @contextmanager
    def model(self, source: str, device: str, way: str, batch: int) -> Iterator[Classifier]:
        """Lend a model that runs in this way, in batches of so many; raises ScoringError."""
        from napari_cxr.checkpoint import CheckpointError, catalog
        from napari_cxr.inference.classifier import Classifier, OutOfMemory
        from napari_cxr.inference.device import DeviceUnavailable
        from napari_cxr.inference.running import WayUnavailable

        try:
            path = catalog.resolve(source)
            at = path.stat()
            key = (path, at.st_size, at.st_mtime_ns, device)
            loaded = self._lent(self._models, key, lambda: Classifier.load(path, device))
            with self._in_use(), loaded as classifier:
                classifier.use(way, batch)  # at once, where it runs so already
                yield classifier
        except (CheckpointError, DeviceUnavailable, WayUnavailable, OutOfMemory) as error:
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
                    self._timer = threading.Timer(_KEPT, self._let_go)
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
    return math.ceil(min(cores(), _DECODERS_OF_A_GPU) / tasks)
