"""What runs on a worker of a Dask cluster: one piece of a listing after the other.

Dask calls these functions by their names in its worker processes. Each keeps the
model, and decoders as processes of their own, from piece to piece.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from napari_cxr import __version__
from napari_cxr.scoring.cluster.kept import Decoders, Job, Kept
from napari_cxr.scoring.events import Warned
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.lanes import one_core
from napari_cxr.scoring.listing import Item
from napari_cxr.scoring.preparing import Ready, Wanted
from napari_cxr.scoring.rows import rows_of

__all__ = ['find_way', 'probe', 'score_piece']


async def probe(question: str) -> str:
    """Say what there is on this worker; other work on it goes on meanwhile.

    Parameters
    ----------
    question : str
        JSON: the `version` of napari-cxr, the `model`, the `device`, the `way` to run the
        network, the images of a `batch`, a `sample` of paths, the `folder` where they begin,
        and the folder for `heatmaps` or null.

    Returns
    -------
    str
        JSON: `version` and `host`, which is all where the version is another; and where the
        model can run also `model_hash`, `device`, how many files of the sample are `seen`,
        and whether heatmaps can be `written`; else the `problem`.
    """
    return await asyncio.to_thread(_answer, json.loads(question))


def find_way(job: Job, images: int) -> str:
    """Return the fastest way to run the network on this worker; takes seconds the first time.

    Parameters
    ----------
    job : Job
        The run.
    images : int
        How many a task of its kind has to score.
    """
    from napari_cxr.inference.ways import fastest

    reduced = job.settings.precision == 'auto'
    with one_core(), _kept.model(job.model, job.device, job.way, 0) as classifier:
        return fastest(classifier, job.batch, reduced=reduced, images=images)


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
    items = {number: Item(path) for number, path in paths}
    warnings: list[str] = []
    lines: list[str] = []
    wanted = _is_wanted()
    with one_core(), _kept.lend(job, pool) as (classifier, decoders):

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
        with closing(rows):
            for arrived in rows:
                if not wanted():
                    raise ScoringError('Nobody waits for this piece any more.')
                if isinstance(arrived, Warned):
                    warnings.append(arrived.text)
                elif arrived:
                    lines += [row.to_json() for row in arrived]
    seen = any(os.path.exists(Path(job.folder, path)) for _, path in paths)
    about = {'host': socket.gethostname(), 'warnings': warnings, 'seen': seen}
    return '\n'.join([json.dumps(about), *lines])


_kept = Kept()


def _answer(question: dict[str, Any]) -> str:
    found: dict[str, Any] = {'version': __version__, 'host': socket.gethostname()}
    if question['version'] != __version__:
        return json.dumps(found)
    folder, heatmaps = question['folder'], question['heatmaps']
    try:
        asked = (question[name] for name in ('model', 'device', 'way', 'batch'))
        with one_core(), _kept.model(*asked) as classifier:
            found |= {'model_hash': classifier.file_hash, 'device': classifier.device.name}
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
