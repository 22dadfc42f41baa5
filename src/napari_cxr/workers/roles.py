"""What each kind of worker can do: a job is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ['jobs_of']

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
        from napari_cxr.workers import classifier_jobs, scoring_jobs, training_jobs

        return {
            'device': classifier_jobs.device,
            'classify': classifier_jobs.classify,
            'explain': classifier_jobs.explain,
            'feature_maps': classifier_jobs.feature_maps,
            'load': classifier_jobs.load,
            'measure': scoring_jobs.measure,
            'stages': classifier_jobs.stages,
            'network_names': training_jobs.network_names,
            'predict': classifier_jobs.predict,
            'preview': training_jobs.preview,
            'score': scoring_jobs.score,
            'survey': training_jobs.survey,
            'train': training_jobs.train,
        }
    if role == 'downloader':
        from napari_cxr.workers import download_jobs

        return {'get': download_jobs.download_model}
    raise ValueError(f'there is no worker role {role!r}')
