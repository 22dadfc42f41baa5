"""How far a run is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

__all__ = ['Progress', 'Step']


@dataclass(frozen=True)
class Step:
    """One step: its batch from 1, loss, images a second, and seconds to the run's end."""

    batch: int
    loss: float
    speed: float
    seconds_left: float


@dataclass
class Progress:
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
