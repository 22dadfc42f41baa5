"""How far a run is, how long it will still take, and how much of the device it uses."""

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
    """How far a run is: with weights and optimiser, all that a resumed run must get back.

    Parameters
    ----------
    epoch, step : int
        Passes and steps that are done.
    batch : int
        Steps of the unfinished epoch that are done.
    loss : float
        Sum over the images of that epoch.
    seconds : float
        That it took so far.
    logits : list of ndarray
        Of its batches.
    best : float
        Highest figure of selection so far, and `best_epoch` when that was. Of epochs with the
        same figure it is that with the least loss on the validation images, `best_loss`.
    least, least_loss, waited
        Highest figure of stopping so far, likewise, and epochs since then.
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


#: Weight of what is known so far against the newest batch.
_SMOOTHING = 0.9

#: A forward pass against a step, until a validation was timed.
_FORWARD = 1 / 3


@dataclass
class TimeEstimate:
    """Seconds that a step and a validation take.

    Parameters
    ----------
    batches : int
        Steps an epoch.
    validation : float
        Images that are validated, as a share of those that are learnt from.
    """

    batches: int
    validation: float
    _step: float = math.nan
    _validating: float = math.nan

    def stepped(self, seconds: float) -> None:
        """Take note of a step."""
        known = seconds if math.isnan(self._step) else self._step
        self._step = _SMOOTHING * known + (1 - _SMOOTHING) * seconds

    def validated(self, seconds: float) -> None:
        """Take note of a validation, with all that ends an epoch."""
        self._validating = seconds

    def seconds_left(self, batch: int, epochs: int) -> float:
        """Return the time to the end, if no epoch is left out.

        Parameters
        ----------
        batch : int
            Steps of this epoch that are done.
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
    """The share of a device's time that is used, from here on.

    On the CPU: this process' time on all cores that it may use. On a GPU: what the
    driver tells, the mean over the times that `update` is called; NaN where it tells
    nothing.
    """

    device: torch.device
    _wall: float = field(default_factory=time.perf_counter)
    _used: float = field(default_factory=time.process_time)
    _samples: list[float] = field(default_factory=list)

    def update(self) -> None:
        """Ask the driver of a GPU."""
        if self.device.type != 'cuda':
            return
        try:
            self._samples.append(torch.cuda.utilization(self.device) / 100)
        except (ModuleNotFoundError, RuntimeError):  # its library is no part of torch
            return

    def fraction(self) -> float:
        """Return the share, in [0, 1], or NaN."""
        if self.device.type == 'cpu':
            wall = time.perf_counter() - self._wall
            used = time.process_time() - self._used
            return min(1.0, used / (wall * available_cores())) if wall > 0 else math.nan
        return sum(self._samples) / len(self._samples) if self._samples else math.nan
