"""The connection to a Dask cluster, and whether its workers can do what is wanted."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.scoring.beside import beside
from napari_cxr.scoring.cluster.kept import Job
from napari_cxr.scoring.cluster.piece import probe
from napari_cxr.scoring.events import Event, Preparing
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.listing import Item

if TYPE_CHECKING:
    from distributed import Client

__all__ = ['agree', 'check_address', 'connect', 'first_line', 'unseen']

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


def agree(
    client: Client, address: str, job: Job, items: Sequence[Item]
) -> Generator[Event, None, list[str]]:
    """See whether all workers can do the job; return the device of each. Raises ScoringError."""
    step = max(1, len(items) // _SAMPLE)
    sample = [item.path for item in items[::step]][:_SAMPLE]
    heatmaps = job.settings.heatmaps
    question = json.dumps(
        {
            'version': job.version,
            'model': job.model,
            'device': job.device,
            'way': job.way,
            'batch': job.whole_batch,
            'sample': sample,
            'folder': job.folder,
            'heatmaps': None if heatmaps is None else str(heatmaps),
        }
    )
    answers: dict[str, Any] = {}
    deadline = time.monotonic() + _PROBE
    try:
        with closing(beside(lambda _: client.run(probe, question, on_error='return'))) as asking:
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
                yield Preparing('Asking the workers')
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


def _device_of(worker: str, answer: Any, job: Job, sample: Sequence[str]) -> str:
    """Return where a worker runs the model, by its answer to `probe`; raises ScoringError."""
    if not isinstance(answer, str):
        if isinstance(answer, ImportError | AttributeError):
            raise ScoringError(
                f'The worker {worker} has no napari-cxr {job.version} ({first_line(answer)}): '
                'install it where the workers are.'
            )
        raise ScoringError(f'The worker {worker} cannot score: {first_line(answer)}.')
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
        raise unseen(host, job, sample[0])
    if not told['written']:
        raise ScoringError(
            f'The worker on {host} cannot write into {job.settings.heatmaps}: choose a folder '
            'that all workers share.'
        )
    return str(told['device'])


def unseen(host: str, job: Job, path: str) -> ScoringError:
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
