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
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_cxr import __version__
from napari_cxr.inference import remembered
from napari_cxr.inference.classifier import is_out_of_memory
from napari_cxr.inference.engine_trial import trying
from napari_cxr.inference.running import EAGER, WAYS, run_by, why_not
from napari_cxr.inference.trial_images import trial_images

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.networks import StagedNetwork

__all__ = ['AGREEMENT', 'Measured', 'fastest', 'finding', 'measuring', 'trial_images']

log = logging.getLogger(__name__)

#: How far any probability may be from that of the plain way, by precision.
AGREEMENT = {'float32': 1e-3, 'bfloat16': 2e-2}
#: A way must take less than this share of the time of a simpler one.
_WORTH = 0.95
#: Finding the fastest way takes seconds: what is scored sooner than that is not kept waiting.
_SOON = 20.0
#: Batches that a way is timed with, and the seconds that this may take.
_ROUNDS, _LONGEST = 7, 2.0
#: Ways that take so many times as long as the best are not timed any longer.
_BEATEN = 1.5
#: A library that is not ready after so many seconds, and ten plain batches, hangs.
_HANGS = 15.0
_MANY = 1_000_000
_LIBRARIES = ('onnx', 'onnxruntime', 'openvino')


@dataclass(frozen=True)
class Measured:
    """What a way costs, and how well it agrees.

    Parameters
    ----------
    seconds : float
        A batch takes; the median.
    ready : float
        Seconds until the first batch can run.
    difference : float
        Of any probability from that of the plain way, the largest.
    """

    seconds: float
    ready: float
    difference: float


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
    names = [
        name
        for name, way in WAYS.items()
        if (reduced or way.precision == 'float32') and not why_not(name, classifier.device.name)
    ]
    if names == [EAGER.name]:
        return EAGER.name
    key = _key(classifier, batch, names)
    known = _known(remembered.get(key))
    try:
        if not known:
            if images < _MANY:
                yield EAGER.name
                seconds = _glance(classifier, batch)
                if seconds * images / batch < _SOON:
                    return EAGER.name
            found = yield from measuring(classifier, batch, names)
            known = {name: one for name, one in found.items() if isinstance(one, Measured)}
            if classifier.file_hash:
                remembered.put(key, {name: asdict(one) for name, one in known.items()})
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        log.info('out of memory while ways were compared: %s', error)
        return EAGER.name
    return _best(known, images / batch)


def measuring(
    classifier: Classifier, batch: int, names: Iterable[str]
) -> Generator[str, None, dict[str, Measured | str]]:
    """Time ways that answer alike; yields as `finding`.

    They take turns, so that other work on the machine meets all of them.

    Parameters
    ----------
    classifier : Classifier
        The model, on its device.
    batch : int
        Images that are run at once.
    names : iterable of str
        Of the ways.

    Returns
    -------
    dict of str to Measured or str
        Of each way what it costs, or why it is out of the question.

    Raises
    ------
    RuntimeError, MemoryError
        If memory runs out, see `napari_cxr.inference.classifier.is_out_of_memory`.
    """
    images = trial_images(classifier, batch)
    x = torch.from_numpy(classifier.preprocessing.normalise(images)).to(classifier.device.name)
    size = (classifier.preprocessing.height, classifier.preprocessing.width)
    begun = time.perf_counter()
    expected = classifier.probabilities(_answer(classifier.network, x))
    limit = _HANGS + 10 * (time.perf_counter() - begun)
    found: dict[str, Measured | str] = {}
    running: dict[str, StagedNetwork] = {}
    for name in names:
        yield name
        way = WAYS[name]
        try:
            onnx = classifier.onnx() if way.library else b''
            if way.library:
                threads = torch.get_num_threads()
                yield from trying(way.library, way.precision, onnx, threads, x.shape, limit)
            begun = time.perf_counter()
            network = run_by(name, classifier.network, classifier.device.name, size, onnx)
            given = classifier.probabilities(_answer(network, x))
        except Exception as error:  # each library has types of its own
            if is_out_of_memory(error):
                raise
            found[name] = (str(error).strip() or type(error).__name__).splitlines()[0]
        else:
            ready = time.perf_counter() - begun
            difference = float(np.abs(given - expected).max())
            # Written so that what is no number does not agree.
            if not difference <= AGREEMENT[WAYS[name].precision]:
                found[name] = f'Its probabilities differ by up to {difference:.2g}.'
            else:
                found[name] = Measured(0.0, ready, difference)
                running[name] = network
        if name not in running:
            log.info('%s is out of the question: %s', name, found[name])
    times = yield from _taking_turns(running, x)
    return {
        name: replace(one, seconds=median(times[name])) if isinstance(one, Measured) else one
        for name, one in found.items()
    }


def _taking_turns(
    running: Mapping[str, StagedNetwork], x: Tensor
) -> Generator[str, None, dict[str, list[float]]]:
    """Time networks on a batch, in seconds; those that are beaten drop out."""
    times: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(_ROUNDS):
        for name, network in running.items():
            taken = times[name]
            best = min((min(t) for t in times.values() if t), default=0.0)
            if taken and (min(taken) > _BEATEN * best or sum(taken) > _LONGEST):
                continue
            yield name
            begun = time.perf_counter()
            _answer(network, x)
            taken.append(time.perf_counter() - begun)
    return times


@torch.inference_mode()
def _answer(network: StagedNetwork, x: Tensor) -> np.ndarray:
    """Return the logits; a GPU is waited for."""
    logits: np.ndarray = network(x).float().cpu().numpy()
    return logits


def _glance(classifier: Classifier, batch: int) -> float:
    """Return about how many seconds a batch takes in the plain way."""
    size = (classifier.preprocessing.height, classifier.preprocessing.width)
    images = np.zeros((batch, *size), np.float32)
    x = torch.from_numpy(classifier.preprocessing.normalise(images)).to(classifier.device.name)
    _answer(classifier.network, x[:1])
    begun = time.perf_counter()
    _answer(classifier.network, x)
    return time.perf_counter() - begun


def _best(known: Mapping[str, Measured], batches: float) -> str:
    """Return what is done first with so many batches; a simpler way where it hardly matters."""
    name, least = EAGER.name, math.inf
    for way in WAYS:
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
        'device': [device.name, device.reason],
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
    """Return what was remembered; nothing where it is not what this version wrote."""
    try:
        known = {name: Measured(**one) for name, one in kept.items() if name in WAYS}
        whole = all(math.isfinite(number) for one in known.values() for number in astuple(one))
    except (AttributeError, TypeError):
        return {}
    return known if whole else {}
