"""Events of a training run: small, frozen, and without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_cxr.message_types import message_type

__all__ = [
    'BatchDone',
    'EpochDone',
    'ImageSkipped',
    'ReadingProgress',
    'RunsDone',
    'TrainingEvent',
    'TrainingFinished',
    'TrainingStarted',
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
    """An image that cannot be used, with the reason; the run continues without it."""

    path: str
    reason: str


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
