"""Getting a model of the catalog, in a process that can be ended while a server says nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from napari_cxr.checkpoint import CheckpointError, catalog
from napari_cxr.checkpoint.downloading import Progress
from napari_cxr.checkpoint.getting import get as got

__all__ = ['get']


def get(name: str, file: str = '') -> Generator[Progress, None, str]:
    """Download a model, or take the file that a person has; check it and convert it.

    Parameters
    ----------
    name : str
        Of a download of the catalog.
    file : str
        Where a person has it already; empty to download it.

    Returns
    -------
    str
        Its file; the generator's return value.
    """
    for entry in catalog.entries():
        if entry.name == name and entry.where == 'download' and not entry.error:
            with closing(got(entry, file or None)) as progress:
                return str((yield from progress))
    raise CheckpointError(f'There is no model {name!r} to get.')
