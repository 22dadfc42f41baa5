"""Scoring beyond one machine: a Dask cluster gets the listing in tasks, and rows come back.

Dask itself talks in pickles, between this process, the scheduler and its workers: whoever
can reach the scheduler can run code on all of them. What of ours crosses is paths and a few
settings one way, and rows as JSON the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cxr import __version__
from napari_cxr.inference.backends.backend import BACKENDS, TORCH, find_backend
from napari_cxr.scoring.cluster.task_dispatch import (
    TaskDispatch,
    WorkerDevice,
    check_workers,
    connect,
)
from napari_cxr.scoring.cluster.worker_tasks import ClusterJob, Decoders
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.journal import ScoringError, journal_of, read_header
from napari_cxr.scoring.pipeline import (
    backend_to_resume,
    classifier_at_prevalence,
    default_batch_size,
    device_kind,
)
from napari_cxr.scoring.row_writer import lacks_decoded, open_table, write_rows
from napari_cxr.scoring.scoring_checks import check_out, make_heatmap_folder
from napari_cxr.scoring.scoring_events import ScoringEvent
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from distributed import Client

    from napari_cxr.inference.classifier import Classifier

__all__ = ['score_on_cluster']


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
    classifier = classifier_at_prevalence(classifier, settings)
    if settings.heatmaps is not None:
        make_heatmap_folder(settings.heatmaps, out)
    there = read_header(journal_of(out))
    if lacks_decoded(out):  # its other rows were made so
        settings = replace(settings, full_resolution=True)
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
        name, precision = backend_to_resume(settings, there)
        job = replace(job, backend=name, precision=precision)
        workers = yield from check_workers(client, address, job, items)
        devices = [one.device for one in workers]
        batch = (
            settings.batch
            or there.get('batch')
            or min(default_batch_size(classifier, name) for name in devices)
        )
        job = replace(job, batch=batch)
        job = yield from _common_backend(client, address, job, items, workers)
        dispatch = TaskDispatch(client, job, items, settings, pool)
        backend = find_backend(job.backend)
        count = len(devices)
        where = f'{count} worker{"" if count == 1 else "s"} ({", ".join(sorted(set(devices)))})'
        kind = device_kind(devices)
        with open_table(items, classifier, out, settings, batch, kind, backend) as table:
            yield table.started(where, batch, backend)
            yield from write_rows(dispatch.rows(table.journal), table)


def _common_backend(
    client: Client,
    address: str,
    job: ClusterJob,
    items: Sequence[Item],
    workers: Sequence[WorkerDevice],
) -> Generator[ScoringEvent, None, ClusterJob]:
    """Return the job with a backend that all workers have.

    Each has named the one that it prefers. Where these differ, the least preferred is tried on
    all; where one of them lacks it, and where devices are of several kinds, it is torch.
    """
    found = {find_backend(one.backend) for one in workers}
    mixed = device_kind([one.device for one in workers]) == 'mixed'
    reduced = job.precision == 'bfloat16'
    backend = max(found, key=lambda one: (one.precision == 'float32', BACKENDS.index(one)))
    if mixed and not (job.backend or reduced):
        backend = TORCH
    job = replace(job, backend=backend.journal_name, precision='auto')
    if found != {backend}:
        try:
            yield from check_workers(client, address, job, items)
        except ScoringError:
            if reduced:
                raise
            return replace(job, backend=TORCH.journal_name)
    return job
