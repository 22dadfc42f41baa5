"""Scoring beyond one machine: a Dask cluster gets the listing in tasks, and rows come back.

Dask itself talks in pickles, between this process, the scheduler and its workers: whoever
can reach the scheduler can run code on all of them. What of ours crosses is paths and a few
settings one way, and rows as JSON the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cxr import __version__
from napari_cxr.scoring.cluster.task_dispatch import TaskDispatch, check_workers, connect
from napari_cxr.scoring.cluster.worker_tasks import ClusterJob, Decoders, find_backend
from napari_cxr.scoring.journal import ScoringError, journal_of, read_header
from napari_cxr.scoring.pipeline import (
    check_out,
    default_batch_size,
    device_kind,
    make_heatmap_folder,
)
from napari_cxr.scoring.row_writer import write_rows
from napari_cxr.scoring.scoring_events import ScoringEvent, ScoringPreparing
from napari_cxr.scoring.scoring_inputs import Item
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from distributed import Client

    from napari_cxr.inference.classifier import Classifier

__all__ = ['score_on_cluster']

#: How often to look whether a worker has found what it looks for, in seconds.
_PATIENCE = 0.1


def score_on_cluster(
    items: Sequence[Item],
    classifier: Classifier,
    out: str | Path,
    address: str,
    pool: Callable[[int], Decoders],
    settings: ScoringSettings | None = None,
    *,
    model: str | Path,
    device: str = 'auto',
    decoders: int = 0,
    resume: bool = False,
) -> Generator[ScoringEvent, None, None]:
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
        Makes so many decoders, on a worker: `napari_cxr.workers.decoder_pool.DecoderPool`.
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
    out, settings = Path(out), settings or ScoringSettings()
    check_out(out, resume=resume)
    if settings.heatmaps is not None:
        make_heatmap_folder(settings.heatmaps, out)
    there = read_header(journal_of(out))
    with closing(connect(address)) as client:
        job = ClusterJob(
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
        devices = yield from check_workers(client, address, job, items)
        batch = (
            settings.batch
            or there.get('batch')
            or min(default_batch_size(classifier, name) for name in devices)
        )
        job = replace(job, batch=batch)
        way = there.get('way') or (yield from _fastest(client, address, job, items, devices))
        run = TaskDispatch(client, replace(job, way=way), items, settings, pool)
        count = len(devices)
        where = f'{count} worker{"" if count == 1 else "s"} ({", ".join(sorted(set(devices)))})'
        kind = device_kind(devices)
        yield from write_rows(items, classifier, out, run.rows, settings, batch, where, kind, way)


def _fastest(
    client: Client, address: str, job: ClusterJob, items: Sequence[Item], devices: Sequence[str]
) -> Generator[ScoringEvent, None, str]:
    """Let one worker find the fastest way to run the network; return it if all have it."""
    if len(set(devices)) > 1:
        return job.way
    tasks = max(1, sum(client.nthreads().values()))
    future = client.submit(find_backend, job, -(-len(items) // tasks), pure=False)
    try:
        while not future.done():
            yield ScoringPreparing('Finding the fastest way to run the network on a worker')
            time.sleep(_PATIENCE)
        if future.status != 'finished':
            return job.way
        way = str(future.result())
        if way != job.way:
            yield from check_workers(client, address, replace(job, way=way), items)
    except ScoringError:  # some worker lacks what it needs
        return job.way
    finally:
        future.cancel()
    return way
