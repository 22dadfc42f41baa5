"""TorchXRayVision's DenseNet-121: what its weights mean, as a card of ours says it.

The library maps images to [-1024, 1024], takes the sigmoid, and moves each threshold to 0.5.
Here the sigmoid stays as it is, and the thresholds are the operating points 'library'.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint.foreign.pickle_contents import ForeignFileError
from napari_cxr.checkpoint.foreign.torch_file import read_state
from napari_cxr.checkpoint.foreign.weight_conversion import WeightsMeaning
from napari_cxr.checkpoint.model_file import digest

__all__ = ['FORM', 'PREFIX', 'meaning_of', 'meaning_with', 'names', 'offers', 'summary', 'table']

#: What the models are called in the catalog, before the library's name of the weights.
PREFIX = 'xrv-'
FORM = 'torchxrayvision'
#: Pixels in [0, 1] become (x - 0.5) * 2048, from -1024 to 1024.
_MEAN, _STD = (0.5,), (1 / 2048,)


@cache
def table() -> dict[str, Any]:
    """Return what is shipped of the library: texts for all, and the weights one by one."""
    text = resources.files(__package__) / 'torchxrayvision.toml'
    return tomllib.loads(text.read_text(encoding='utf-8'))


def names() -> tuple[str, ...]:
    """Return the library's names of its weights."""
    return tuple(weights['key'] for weights in table()['weights'])


def offers() -> list[dict[str, Any]]:
    """Return what the catalog says of the weights that can be got: those with a known hash."""
    return [
        {
            'name': PREFIX + weights['key'],
            'form': FORM,
            'weights': weights['key'],
            'url': weights['url'],
            'mirrors': tuple(weights.get('mirrors', ())),
            'sha256': weights['sha256'],
            'size': weights['size'],
            'summary': summary(weights['key']),
        }
        for weights in table()['weights']
        if 'sha256' in weights
    ]


def summary(key: str) -> dict[str, Any]:
    """Return what a person reads of weights before getting them."""
    meaning = meaning_of(key)
    return {
        'title': meaning.title,
        'labels': [label for label in meaning.labels if label],
        'architecture': meaning.architecture,
        'licence': meaning.licence,
        'learnt_from': _weights(key)['learnt_from'],
        'citation': list(table()['citation']),
        'not_to_believe': meaning.not_to_believe,
    }


def meaning_of(key: str) -> WeightsMeaning:
    """Return what weights mean that the library publishes under a name, such as 'all'.

    Raises
    ------
    ForeignFileError
        If there are none of this name.
    """
    known, weights = table(), _weights(key)
    labels = tuple(weights['labels'])
    count = sum(map(bool, labels))
    return meaning_with(
        labels,
        tuple(float(t) for t in weights['thresholds']),
        title=known['title'].format(count=count, short=weights['short']),
        learnt_from=weights['learnt_from'],
        source={'url': weights['url']} if 'url' in weights else {},
    )


def meaning_in(file: str | Path, labels: tuple[str, ...] = ()) -> WeightsMeaning:
    """Return what weights in a file mean that the library, or somebody with it, has saved.

    Parameters
    ----------
    file : str or Path
        As `read_state` takes it.
    labels : tuple of str, optional
        Of the outputs in their order, where a person says them. Without them the file is
        known by its SHA-256, or carries the labels of its network itself.

    Raises
    ------
    ForeignFileError
        If the file is not admitted, or nothing says what its outputs mean.
    """
    known = {weights.get('sha256'): weights['key'] for weights in table()['weights']}
    try:
        key = known.get(digest(file))
    except OSError as error:
        raise ForeignFileError(f'{Path(file).name} cannot be read: {error.strerror}.') from error
    if key and not labels:
        return meaning_of(key)
    found = read_state(file)
    for name in ('pathologies', 'targets'):
        said = found.attributes.get(name)
        if not labels and said and all(isinstance(label, str) for label in said):
            labels = tuple(said)
    if not labels:
        raise ForeignFileError(
            f'{Path(file).name} does not say what its outputs mean. Give --labels in their order, '
            f'or say which weights of the library they are: --like {FORM}:NAME, with NAME one of '
            f'{", ".join(names())}.'
        )
    thresholds = [array for name, array in found.tensors.items() if name.endswith('op_threshs')]
    shown = thresholds[0].tolist() if len(thresholds) == 1 else []
    return meaning_with(labels, tuple(shown) if len(shown) == len(labels) else ())


def _weights(key: str) -> dict[str, Any]:
    for weights in table()['weights']:
        if weights['key'] == key:
            return dict(weights)
    raise ForeignFileError(
        f'TorchXRayVision has no weights {key!r} of DenseNet-121; it has {", ".join(names())}.'
    )


def meaning_with(
    labels: tuple[str, ...],
    thresholds: tuple[float, ...] = (),
    title: str = '',
    learnt_from: str = '',
    source: dict[str, Any] | None = None,
) -> WeightsMeaning:
    """Return what weights mean that somebody made with the library, from its labels."""
    known = table()
    from_ = (f'Trained by others on {learnt_from}',) if learnt_from else ()
    return WeightsMeaning(
        architecture=known['network'],
        labels=labels,
        thresholds=thresholds,
        mean=_MEAN,
        std=_STD,
        multilabel=True,
        title=title or 'A DenseNet-121 that was made with TorchXRayVision',
        licence=known['licence'] if learnt_from else '',
        not_to_believe=known['not_to_believe'],
        attribution=(*from_, *known['citation']),
        not_measured=tuple(known['not_measured']) if learnt_from else (),
        source=source or {},
    )
