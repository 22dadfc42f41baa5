"""Events of a training run, the time that it still needs, and the use of its device.

Events are small and frozen. Importing this needs no torch.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr.inference.cpu import available_cores
from napari_cxr.messages import message_type

if TYPE_CHECKING:
    import torch

__all__ = [
    'BatchDone',
    'EpochDone',
    'ImageSkipped',
    'ReadingProgress',
    'RunProgress',
    'RunsDone',
    'TimeEstimate',
    'TrainingEvent',
    'TrainingFinished',
    'TrainingStarted',
    'TrainingStep',
    'Utilisation',
    'WarningRaised',
]


@dataclass(frozen=True)
class TrainingEvent:
    """Anything that happened in a run.

    Parameters
    ----------
    run : str
        Name of the run's folder.
    """

    run: str


@message_type
@dataclass(frozen=True)
class ReadingProgress(TrainingEvent):
    """Images are being read: `done` of `total`."""

    done: int
    total: int


@message_type
@dataclass(frozen=True)
class ImageSkipped(TrainingEvent):
    """An image that cannot be used, with the reason; the run continues without it.

    Parameters
    ----------
    path, reason : str
        For a person.
    logged : str
        The reason for the log of the run, where `reason` names folders.
    """

    path: str
    reason: str
    logged: str = ''


@message_type
@dataclass(frozen=True)
class WarningRaised(TrainingEvent):
    """Something that a person should know, in one sentence; the run continues."""

    text: str


@message_type
@dataclass(frozen=True)
class TrainingStarted(TrainingEvent):
    """The first step is about to be taken.

    Parameters
    ----------
    labels : tuple of str
        The classes.
    network : str
        Name of the network.
    counts : dict
        Images by split, then by class.
    split_kind : str
        'by patient' or 'by image'.
    parameters, trainable : int
        Of the network, and those that are not frozen.
    epochs, batches : int
        In all, and batches in each.
    epoch : int
        Epochs that are done already, in a run that is resumed.
    device, precision : str
        Where and in what it computes.
    """

    labels: tuple[str, ...]
    network: str
    counts: dict[str, dict[str, int]]
    split_kind: str
    parameters: int
    trainable: int
    epochs: int
    batches: int
    epoch: int
    device: str
    precision: str


@message_type
@dataclass(frozen=True)
class BatchDone(TrainingEvent):
    """One step: `batch` of `batches` in `epoch` (both from 1), its loss, and the speed.

    `seconds_left` is an estimate for all epochs that may come.
    """

    epoch: int
    batch: int
    batches: int
    loss: float
    images_per_second: float
    seconds_left: float


@message_type
@dataclass(frozen=True)
class EpochDone(TrainingEvent):
    """One pass over the training images, and the validation after it.

    Parameters
    ----------
    epoch, epochs : int
        From 1, of how many.
    train_loss, train_accuracy, train_macro_auc : float
        Over the augmented training images, while the weights moved.
    val_loss, val_accuracy, val_balanced_accuracy, val_macro_auc, val_macro_f1 : float
        On the validation split.
    learning_rate : float
        At the end of the epoch.
    seconds : float
        That it took.
    utilisation : float
        Share of the device's time that was used, in [0, 1]; NaN where nothing tells.
    best : bool
        Whether its weights are kept: the best so far by the recipe's metric, or the last
        so far.
    confusion : tuple of tuple of int
        Validation images; rows are the truth. Empty where images have several labels.
    """

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    train_macro_auc: float
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float
    val_macro_auc: float
    val_macro_f1: float
    learning_rate: float
    seconds: float
    utilisation: float
    best: bool
    confusion: tuple[tuple[int, ...], ...]


@message_type
@dataclass(frozen=True)
class TrainingFinished(TrainingEvent):
    """The best checkpoint is written.

    Parameters
    ----------
    path : str
        The checkpoint.
    epoch : int
        The epoch that it is of.
    metrics : dict
        As in its card.
    """

    path: str
    epoch: int
    metrics: dict[str, Any] = field(default_factory=dict)


@message_type
@dataclass(frozen=True)
class RunsDone(TrainingEvent):
    """A run of several has ended: a fold, or one of a sweep.

    Parameters
    ----------
    done, total : int
        Runs that have ended, of how many; total is 0 where nobody knows.
    row : dict
        The run in the table of runs, see `napari_cxr.training.run_table`.
    """

    done: int
    total: int
    row: dict[str, Any] = field(default_factory=dict)


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
        import torch

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
