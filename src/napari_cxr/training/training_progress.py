"""Progress of a run, the time that it still needs, and the use of its device."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from napari_cxr.inference.cpu import available_cores

__all__ = ['RunProgress', 'TimeEstimate', 'TrainingStep', 'Utilisation']


@dataclass(frozen=True)
class TrainingStep:
    """One step: its batch from 1, loss, images a second, and seconds to the run's end."""

    batch: int
    loss: float
    speed: float
    seconds_left: float


@dataclass
class RunProgress:
    """Progress of a run: with weights and optimiser, all that a resumed run needs.

    Parameters
    ----------
    epoch, step : int
        Epochs and steps done.
    batch : int
        Steps done of the unfinished epoch.
    loss : float
        Sum over the images of that epoch so far.
    seconds : float
        Time of that epoch so far.
    logits : list of ndarray
        Logits of its batches.
    best : float
        Best selection metric so far, reached in `best_epoch`. Of epochs with the same metric
        it is the one with the lowest validation loss, `best_loss`.
    least, least_loss, waited
        The same for the stopping metric, and epochs since then.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    logits: list[np.ndarray] = field(default_factory=list)
    best: float = -math.inf
    best_epoch: int = 0
    least: float = -math.inf
    waited: int = 0
    best_loss: float = math.inf
    least_loss: float = math.inf


#: Weight of the average so far against the newest batch.
_SMOOTHING = 0.9

#: Time of a forward pass relative to a step, until a validation was timed.
_FORWARD = 1 / 3


@dataclass
class TimeEstimate:
    """Seconds that a step and a validation take.

    Parameters
    ----------
    batches : int
        Steps in an epoch.
    validation : float
        Number of validation images, relative to the training images.
    """

    batches: int
    validation: float
    _step: float = math.nan
    _validating: float = math.nan

    def stepped(self, seconds: float) -> None:
        """Record the time of a step."""
        known = seconds if math.isnan(self._step) else self._step
        self._step = _SMOOTHING * known + (1 - _SMOOTHING) * seconds

    def validated(self, seconds: float) -> None:
        """Record the time of a validation, with everything that ends an epoch."""
        self._validating = seconds

    def seconds_left(self, batch: int, epochs: int) -> float:
        """Return the time to the end, without early stopping.

        Parameters
        ----------
        batch : int
            Steps done of this epoch.
        epochs : int
            Epochs after this one.
        """
        validating = self._validating
        if math.isnan(validating):
            validating = self._step * self.batches * self.validation * _FORWARD
        steps = self.batches - batch + self.batches * epochs
        return steps * self._step + (1 + epochs) * validating


@dataclass
class Utilisation:
    """The fraction of a device's time that is used, from now on.

    On the CPU: this process' time on all cores that it may use. On a GPU: the driver's
    utilisation, averaged over the calls of `update`; NaN if it is not available.
    """

    device: torch.device
    _wall: float = field(default_factory=time.perf_counter)
    _used: float = field(default_factory=time.process_time)
    _samples: list[float] = field(default_factory=list)

    def update(self) -> None:
        """Sample the utilisation of a GPU."""
        if self.device.type != 'cuda':
            return
        try:
            self._samples.append(torch.cuda.utilization(self.device) / 100)
        except (ModuleNotFoundError, RuntimeError):  # its library does not come with torch
            return

    def fraction(self) -> float:
        """Return the fraction, in [0, 1], or NaN."""
        if self.device.type == 'cpu':
            wall = time.perf_counter() - self._wall
            used = time.process_time() - self._used
            return min(1.0, used / (wall * available_cores())) if wall > 0 else math.nan
        return sum(self._samples) / len(self._samples) if self._samples else math.nan
