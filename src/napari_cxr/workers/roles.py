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
        from napari_cxr.workers import decoder, thumbnail

        decoder.limit_memory()
        return {
            'read': decoder.read,
            'describe': decoder.describe,
            'decode': decoder.decode,
            'prepare': decoder.prepare,
            'find_lungs': decoder.find_lungs,
            'listed': decoder.listed,
            'ready': decoder.ready,
            'thumbnail': thumbnail.thumbnail,
        }
    if role == 'torch':
        from napari_cxr.workers import classifier, feature_maps, scorer, trainer

        return {
            'device': classifier.device,
            'classify': classifier.classify,
            'feature_maps': feature_maps.feature_maps,
            'load': classifier.load,
            'measure': scorer.measure,
            'stages': feature_maps.stages,
            'network_names': trainer.network_names,
            'preview': trainer.preview,
            'score': scorer.score,
            'survey': trainer.survey,
            'train': trainer.train,
        }
    if role == 'downloader':
        from napari_cxr.workers import downloader

        return {'get': downloader.get}
    raise ValueError(f'there is no worker role {role!r}')
