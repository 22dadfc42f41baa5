"""Ways to run a model, timed against each other; only those that answer alike count."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_cxr.inference.backends.backend import (
    BACKENDS,
    EAGER,
    BackendNetwork,
    network_on_backend,
)
from napari_cxr.inference.device import is_out_of_memory
from napari_cxr.inference.engine_trial import NotInTime, Trial
from napari_cxr.inference.trial_images import trial_images

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.networks import StagedNetwork

__all__ = ['AGREEMENT', 'Measured', 'OutOfTheQuestion', 'answer', 'comparing']

log = logging.getLogger(__name__)

#: How far any probability may be from that of the plain way, by precision.
AGREEMENT = {'float32': 1e-3, 'bfloat16': 2e-2}
#: Batches that a way is timed with, and the seconds that this may take.
_ROUNDS, _LONGEST = 7, 2.0
#: Ways that take so many times as long as the best are not timed any longer; those whose
#: very first batch does, in which some things are done once, are not timed at all.
_BEATEN, _HOPELESS = 1.5, 3.0
#: A library that is not ready after so many seconds, and ten plain batches, hangs.
_HANGS = 8.0
#: How often to look whether a process is done, in seconds.
_LOOK = 0.1


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


@dataclass(frozen=True)
class OutOfTheQuestion:
    """Why a way is not taken.

    Parameters
    ----------
    reason : str
        In words.
    passing : bool
        Whether it may be otherwise another time, since it was only not ready in time.
    """

    reason: str
    passing: bool = False


def comparing(
    classifier: Classifier, batch: int, names: Sequence[str]
) -> Generator[str, None, dict[str, Measured | OutOfTheQuestion]]:
    """Time ways, and yield between two steps the name of the way that is tried next.

    On a processor it is processor time that counts, which other work on the machine hardly
    touches. Libraries are tried in processes of their own, beside each other and beside torch.

    Parameters
    ----------
    classifier : Classifier
        The model, on its device.
    batch : int
        Images that are run at once.
    names : sequence of str
        Of the ways.

    Returns
    -------
    dict of str to Measured or OutOfTheQuestion
        Of each way what it costs, or why it is not taken.

    Raises
    ------
    RuntimeError, MemoryError
        If memory runs out, see `napari_cxr.inference.device.is_out_of_memory`.
    """
    asked = _Asked(classifier, batch)
    found: dict[str, Measured | OutOfTheQuestion] = {}
    running: dict[str, StagedNetwork] = {}
    libraries = [name for name in names if BACKENDS[name].library]
    with ExitStack() as ending:
        trials: dict[str, Trial] = {}
        for name in libraries:
            yield name
            try:
                trials[name] = ending.enter_context(closing(asked.elsewhere(name)))
            except Exception as error:  # each library has types of its own
                found[name] = _reason(error)
        for name in names:
            if name not in libraries:
                yield name
                try:
                    running[name], found[name] = asked.here(name)
                except Exception as error:
                    found[name] = _reason(error)
        for name, trial in trials.items():
            try:
                while not trial.ended(_LOOK):
                    yield name
                found[name] = asked.of(trial)
            except Exception as error:
                found[name] = _reason(error)
    running = {name: one for name, one in running.items() if isinstance(found[name], Measured)}
    times = yield from _taking_turns(running, asked, found)
    for name, one in found.items():
        if isinstance(one, OutOfTheQuestion):
            log.info('%s is out of the question: %s', name, one.reason)
        elif times.get(name):
            found[name] = replace(one, seconds=median(times[name]))
    return {name: found[name] for name in names}


class _Asked:
    """A batch that all ways are asked about, and the plain way's answer."""

    def __init__(self, classifier: Classifier, batch: int) -> None:
        self._classifier = classifier
        self.on_processor = classifier.device.name == 'cpu'
        self._clock = time.process_time if self.on_processor else time.perf_counter
        images = classifier.preprocessing.normalise(trial_images(classifier, batch))
        self.x = torch.from_numpy(images).to(classifier.device.name)
        self._expected, self._plain = self._asking(classifier.network)
        self._converting = 0.0

    def here(self, name: str) -> tuple[StagedNetwork, Measured | OutOfTheQuestion]:
        """Ask torch in one of its ways."""
        classifier = self._classifier
        if name == EAGER.name:
            return classifier.network, Measured(self._plain, 0.0, 0.0)
        begun = self._clock()
        size = (classifier.preprocessing.height, classifier.preprocessing.width)
        network = network_on_backend(name, classifier.network, classifier.device.name, size)
        ready = self._clock() - begun
        given, seconds = self._asking(network)
        return network, self._judged(name, given, Measured(seconds, ready, 0.0))

    def elsewhere(self, name: str) -> Trial:
        """Begin to ask a library."""
        way, limit = BACKENDS[name], _HANGS + 10 * self._plain
        begun = self._clock()
        onnx = self._classifier.onnx()
        self._converting = max(self._converting, self._clock() - begun)  # it is done once
        return Trial(way, onnx, torch.get_num_threads(), self.x.numpy(), limit)

    def of(self, trial: Trial) -> Measured | OutOfTheQuestion:
        """Return what came of it; raises as `Trial.result`."""
        tried = trial.result()
        outputs = tuple(torch.from_numpy(value) for value in tried.outputs)
        given, _ = self._asking(BackendNetwork(self._classifier.network, lambda _: outputs))
        ready = self._converting + tried.ready
        return self._judged(trial.way.name, given, Measured(tried.seconds, ready, 0.0))

    def time(self, network: StagedNetwork) -> float:
        """Return how long a batch takes, in seconds."""
        return self._asking(network)[1]

    def _asking(self, network: StagedNetwork) -> tuple[np.ndarray, float]:
        begun = self._clock()
        logits = answer(network, self.x)
        seconds = self._clock() - begun
        return self._classifier.probabilities(logits), seconds

    def _judged(self, name: str, given: np.ndarray, one: Measured) -> Measured | OutOfTheQuestion:
        difference = float(np.abs(given - self._expected).max())
        # Written so that what is no number does not agree.
        if not difference <= AGREEMENT[BACKENDS[name].precision]:
            return OutOfTheQuestion(f'Its probabilities differ by up to {difference:.2g}.')
        if difference == 0 and BACKENDS[name].precision != 'float32':
            # Stages that ask for single precision; rows must not say that they had less.
            return OutOfTheQuestion('Nothing in this network is computed in less precision.')
        return replace(one, difference=difference)


def _taking_turns(
    running: Mapping[str, StagedNetwork],
    asked: _Asked,
    found: Mapping[str, Measured | OutOfTheQuestion],
) -> Generator[str, None, dict[str, list[float]]]:
    """Time networks on the batch, in seconds; those that are beaten drop out."""
    first = {name: one.seconds for name, one in found.items() if isinstance(one, Measured)}
    best = min(first.values(), default=0.0)
    hopeful = [n for n in running if not asked.on_processor or first[n] <= _HOPELESS * best]
    times: dict[str, list[float]] = {name: [] for name in hopeful}
    for _ in range(_ROUNDS):
        for name in hopeful:
            taken = times[name]
            best = min([best, *(min(t) for t in times.values() if t)])
            if taken and (min(taken) > _BEATEN * best or sum(taken) > _LONGEST):
                continue
            yield name
            taken.append(asked.time(running[name]))
    return times


@torch.inference_mode()
def answer(network: StagedNetwork, x: torch.Tensor) -> np.ndarray:
    """Return the logits; a GPU is waited for."""
    logits: np.ndarray = network(x).float().cpu().numpy()
    return logits


def _reason(error: Exception) -> OutOfTheQuestion:
    """Return why a way that failed is not taken; raises what tells of a full memory."""
    if is_out_of_memory(error):
        raise error
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return OutOfTheQuestion(said, passing=isinstance(error, NotInTime | OSError))
