"""TorchXRayVision's DenseNet-121: what its weights mean, as a card of ours says it.

The library maps images to [-1024, 1024], takes the sigmoid, and moves each threshold to 0.5.
Here the sigmoid stays as it is, and the thresholds are the operating points 'library'.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from napari_cxr.checkpoint.foreign.converting import Meaning
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError

__all__ = ['PREFIX', 'keys', 'meaning_of', 'meaning_with', 'table']

#: What the models are called in the catalog, before the library's name of the weights.
PREFIX = 'torchxrayvision-'
#: Pixels in [0, 1] become (x - 0.5) * 2048, from -1024 to 1024.
_MEAN, _STD = (0.5,), (1 / 2048,)


@cache
def table() -> dict[str, Any]:
    """Return what is shipped of the library: texts for all, and the weights one by one."""
    text = resources.files(__package__) / 'torchxrayvision.toml'
    return tomllib.loads(text.read_text(encoding='utf-8'))


def keys() -> tuple[str, ...]:
    """Return the library's names of its weights."""
    return tuple(weights['key'] for weights in table()['weights'])


def meaning_of(key: str) -> Meaning:
    """Return what weights mean that the library publishes under a name, such as 'all'.

    Raises
    ------
    ForeignFileError
        If there are none of this name.
    """
    known = table()
    for weights in known['weights']:
        if weights['key'] == key:
            break
    else:
        raise ForeignFileError(
            f'TorchXRayVision has no weights {key!r} of DenseNet-121; it has {", ".join(keys())}.'
        )
    labels = tuple(weights['labels'])
    count = sum(map(bool, labels))
    return meaning_with(
        labels,
        tuple(float(t) for t in weights['thresholds']),
        title=known['title'].format(count=count, short=weights['short']),
        learnt_from=weights['learnt_from'],
        source={'url': weights['url']} if 'url' in weights else {},
    )


def meaning_with(
    labels: tuple[str, ...],
    thresholds: tuple[float, ...] = (),
    title: str = '',
    learnt_from: str = '',
    source: dict[str, Any] | None = None,
) -> Meaning:
    """Return what weights mean that somebody made with the library, from its labels."""
    known = table()
    from_ = (f'Learnt by others from {learnt_from}',) if learnt_from else ()
    return Meaning(
        architecture=known['network'],
        labels=labels,
        thresholds=thresholds,
        mean=_MEAN,
        std=_STD,
        several=True,
        title=title or 'A DenseNet-121 that was made with TorchXRayVision',
        licence=known['licence'] if learnt_from else '',
        not_to_believe=known['not_to_believe'],
        attribution=(*from_, *known['citation']),
        not_measured=tuple(known['not_measured']) if learnt_from else (),
        source=source or {},
    )
