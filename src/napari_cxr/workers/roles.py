"""What each kind of worker can do: a job is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from napari_cxr.checkpoint import CheckpointError, catalog
from napari_cxr.checkpoint.catalog_entry import get_model
from napari_cxr.checkpoint.download import DownloadProgress

__all__ = ['download_model', 'jobs_of']


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


Job = Callable[..., Any]


def jobs_of(role: str) -> dict[str, Job]:
    """Return the jobs of a role by name; importing them is what the process is for.

    Parameters
    ----------
    role : {'decoder', 'torch', 'downloader'}
        A decoder never imports torch; a torch worker never sees a compressed stream. A
        downloader imports torch only to convert what it has got.
    """
    if role == 'decoder':
        from napari_cxr.workers import decoder_jobs

        decoder_jobs.limit_memory()
        return {
            'read': decoder_jobs.read,
            'describe': decoder_jobs.describe,
            'decode': decoder_jobs.decode,
            'prepare': decoder_jobs.prepare,
            'find_lungs': decoder_jobs.find_lungs,
            'listed': decoder_jobs.listed,
            'ready': decoder_jobs.ready,
            'thumbnail': decoder_jobs.thumbnail,
        }
    if role == 'torch':
        from napari_cxr.workers import background_jobs, classifier_jobs

        return {
            'device': classifier_jobs.device,
            'classify': classifier_jobs.classify,
            'explain': classifier_jobs.explain,
            'feature_maps': classifier_jobs.feature_maps,
            'load': classifier_jobs.load,
            'measure': background_jobs.measure,
            'stages': classifier_jobs.stages,
            'network_names': background_jobs.network_names,
            'predict': classifier_jobs.predict,
            'preview': background_jobs.preview,
            'score': background_jobs.score,
            'survey': background_jobs.survey,
            'train': background_jobs.train,
        }
    if role == 'downloader':
        return {'get': download_model}
    raise ValueError(f'there is no worker role {role!r}')
