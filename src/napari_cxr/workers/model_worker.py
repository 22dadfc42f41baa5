"""Which worker runs a model: one without torch wherever that is possible.

Such a worker is there at once and small. Torch is needed for GPUs, for heads without a closed
form, and for networks that cannot be exported.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from napari_cxr.checkpoint import ModelFile, catalog, open_model
from napari_cxr.output_text import get_logger
from napari_cxr.workers.worker_process import JobFailed, WorkerDied, WorkerProcess

__all__ = ['export_model', 'worker_role']

log = get_logger(__name__)


def worker_role(
    model: str | Path, device: str = 'auto', backend: str = '', precision: str = 'float32'
) -> Generator[None, None, str]:
    """Choose the worker for a model; one that was not exported yet is exported first.

    Parameters
    ----------
    model : str or Path
        As in the catalog.
    device : str
        As `napari_cxr.inference.device.choose_device` takes it.
    backend, precision : str
        As `napari_cxr.inference.backends.selection.select_backend` takes them.

    Yields
    ------
    None
        While a network is being exported, so that closing it ends that.

    Returns
    -------
    str
        'inference' or 'torch'; the generator's return value.

    Raises
    ------
    napari_cxr.checkpoint.CheckpointError
        If there is no such model, or its file is not one.
    """
    from napari_cxr.inference.backends.selection import needs_torch

    path = Path(catalog.resolve(model))
    needed = needs_torch(_opened(path), device, backend, precision)
    if needed is None:
        yield from export_model(path)
        needed = needs_torch(_opened(path), device, backend, precision) is not False
    return 'torch' if needed else 'inference'


def export_model(path: str | Path) -> Generator[None, None, None]:
    """Export a model's network in a process that ends with it; what fails is logged."""
    with closing(WorkerProcess('torch')) as exporter:
        try:
            yield from exporter.run('export', model=str(path))
        except (JobFailed, WorkerDied) as error:
            log.info('%s was not exported: %s', path, error)


def _opened(path: Path) -> ModelFile:
    state = path.stat()
    return _open(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _open(path: Path, changed: int, size: int) -> ModelFile:
    return open_model(path)
