"""The downloader's job: getting a model of the catalog.

It runs in a process of its own, which can be ended while a server sends nothing. That process
imports torch only to convert what it has downloaded.

Nothing is downloaded unless a person asked for it, and only models that the catalog names: see
`napari_cxr.checkpoint.catalog`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from napari_cxr.checkpoint import CheckpointError, catalog
from napari_cxr.checkpoint.catalog_entry import get_model
from napari_cxr.checkpoint.download import DownloadProgress

__all__ = ['download_model']


def download_model(name: str, file: str = '') -> Generator[DownloadProgress, None, str]:
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
        if entry.name == name and entry.origin == 'download' and not entry.error:
            with closing(get_model(entry, file or None)) as progress:
                return str((yield from progress))
    raise CheckpointError(f'There is no model {name!r} to get.')
