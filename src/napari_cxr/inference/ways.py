"""The fastest way to run a model on this machine: measured once, and remembered.

Only ways that answer as torch's plain one does are compared. Where an answer cannot be
remembered, it is measured again; nothing else changes.
"""

from __future__ import annotations

import json
import logging
import math
import platform
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, astuple
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_cxr import __version__
from napari_cxr.inference import remembered
from napari_cxr.inference.backends.backend import BACKENDS, EAGER, why_unavailable
from napari_cxr.inference.comparing import Measured, answer, comparing
from napari_cxr.inference.device import is_out_of_memory
from napari_cxr.inference.trial_images import trial_images

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['fastest', 'finding', 'forget', 'trial_images']

log = logging.getLogger(__name__)

#: A way must take less than this share of the time of a simpler one.
_WORTH = 0.95
#: Finding the fastest way takes seconds: what is scored sooner than that is not kept waiting.
_SOON = 20.0
#: What was only not ready in time, on a busy machine, is tried again after so many seconds.
_AGAIN = 24 * 3600.0
_MANY = 1_000_000
_LIBRARIES = ('onnx', 'onnxruntime', 'openvino')


def fastest(classifier: Classifier, batch: int, *, reduced: bool, images: int = _MANY) -> str:
    """Return the name of the fastest way to run a model here, for `Classifier.use`.

    Takes seconds the first time, and is then remembered in the user's cache folder for this
    model, batch, precision, processor, number of threads, and versions.

    Parameters
    ----------
    classifier : Classifier
        The model, on its device.
    batch : int
        Images that are run at once.
    reduced : bool
        Whether it may be one of reduced precision.
    images : int
        How many there are to score: where they are soon done, that is not put off by
        measuring, and a way that first needs to be converted must make up for it.
    """
    going = finding(classifier, batch, reduced=reduced, images=images)
    while True:
        try:
            next(going)
        except StopIteration as end:
            name: str = end.value
            return name


def finding(
    classifier: Classifier, batch: int, *, reduced: bool, images: int = _MANY
) -> Generator[str, None, str]:
    """Do as `fastest`, and yield between two steps the name of the way that is tried next.

    Closing the generator stops it. A step takes the time of one batch, or of a conversion.
    Where memory runs out it is the plain way, and nothing is remembered: that halves batches
    until they fit, and another time there may be more.
    """
    names = _names(classifier, reduced)
    if names == [EAGER.name]:
        return EAGER.name
    key = _key(classifier, batch, names)
    known = _known(remembered.get(key))
    try:
        if not known:
            if images < _MANY:
                yield EAGER.name
                if images * _glance(classifier, batch) < _SOON:
                    return EAGER.name
            found = yield from comparing(classifier, batch, names)
            known = {name: one for name, one in found.items() if isinstance(one, Measured)}
            passing = any(one.passing for one in found.values() if not isinstance(one, Measured))
            if classifier.file_hash:
                until = time.time() + _AGAIN if passing else None
                ways = {name: asdict(one) for name, one in known.items()}
                remembered.put(key, {'ways': ways, 'until': until})
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        log.info('out of memory while ways were compared: %s', error)
        return EAGER.name
    return _best(known, images / batch)


def forget(classifier: Classifier, batch: int, *, reduced: bool) -> None:
    """Let what `fastest` found be found anew: it does not run any more."""
    remembered.put(_key(classifier, batch, _names(classifier, reduced)), None)


def _names(classifier: Classifier, reduced: bool) -> list[str]:
    """Return the ways that may run here."""
    return [
        name
        for name, way in BACKENDS.items()
        if (reduced or way.precision == 'float32')
        and not why_unavailable(name, classifier.device.name)
    ]


def _glance(classifier: Classifier, batch: int) -> float:
    """Return about how many seconds an image takes in the plain way."""
    size = (classifier.preprocessing.height, classifier.preprocessing.width)
    count = 1 if classifier.device.name == 'cpu' else batch  # a GPU is hardly busy with one
    images = classifier.preprocessing.normalise(np.zeros((count, *size), np.float32))
    x = torch.from_numpy(images).to(classifier.device.name)
    answer(classifier.network, x)
    begun = time.perf_counter()
    answer(classifier.network, x)
    return (time.perf_counter() - begun) / count


def _best(known: Mapping[str, Measured], batches: float) -> str:
    """Return what is done first with so many batches; a simpler way where it hardly matters."""
    name, least = EAGER.name, math.inf
    for way in BACKENDS:
        if way in known:
            cost = known[way].ready + batches * known[way].seconds
            if cost < _WORTH * least:
                name, least = way, cost
    return name


def _key(classifier: Classifier, batch: int, names: Sequence[str]) -> str:
    """Return all that decides which way is the fastest, in words."""
    device = classifier.device
    abilities = dict(getattr(torch.cpu, 'get_capabilities', dict)())
    about = {
        'model': classifier.file_hash,
        'batch': batch,
        'device': [device.name, device.reason if device.name != 'cpu' else ''],
        'threads': torch.get_num_threads(),
        'processor': [platform.machine(), platform.processor(), abilities],
        'ways': list(names),
        'versions': [__version__, torch.__version__, *map(_version, _LIBRARIES)],
    }
    return json.dumps(about, sort_keys=True)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ''


def _known(kept: Any) -> dict[str, Measured]:
    """Return what was remembered; nothing where it is too old, or not what we wrote."""
    try:
        known = {name: Measured(**one) for name, one in kept['ways'].items() if name in BACKENDS}
        whole = all(math.isfinite(number) for one in known.values() for number in astuple(one))
        until = kept['until']
        fresh = until is None or 0 < until - time.time() <= _AGAIN
    except (AttributeError, KeyError, TypeError):
        return {}
    return known if whole and fresh else {}
