"""What a training run says while it goes. Small, frozen, and without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ['BatchDone', 'EpochDone', 'Event', 'Finished', 'Reading', 'Skipped', 'Started']


@dataclass(frozen=True)
class Event:
    """Anything that happened in a run.

    Parameters
    ----------
    run : str
        Name of the run's folder.
    """

    run: str


@dataclass(frozen=True)
class Reading(Event):
    """Images are being read: `done` of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class Skipped(Event):
    """An image that cannot be used, with the reason; the run goes on without it."""

    path: str
    reason: str


@dataclass(frozen=True)
class Started(Event):
    """The first step is about to be taken.

    Parameters
    ----------
    labels : tuple of str
        The classes.
    counts : dict
        Images by split, then by class.
    split_kind : str
        'by patient' or 'by image'.
    parameters : int
        Of the network.
    epochs, batches : int
        To come, and batches in each.
    device, precision : str
        Where and in what it computes.
    """

    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    split_kind: str
    parameters: int
    epochs: int
    batches: int
    device: str
    precision: str


@dataclass(frozen=True)
class BatchDone(Event):
    """One step: `batch` of `batches` in `epoch` (both from 1), its loss, and the speed."""

    epoch: int
    batch: int
    batches: int
    loss: float
    images_per_second: float


@dataclass(frozen=True)
class EpochDone(Event):
    """One pass over the training images, and the validation after it.

    Parameters
    ----------
    epoch, epochs : int
        From 1, of how many.
    train_loss, train_accuracy : float
        Mean over the augmented training images, while the weights moved.
    val_loss, val_accuracy, val_balanced_accuracy, val_macro_auc : float
        On the validation split.
    learning_rate : float
        At the end of the epoch.
    seconds : float
        That it took.
    best : bool
        Whether it is the best so far by the recipe's metric.
    confusion : tuple of tuple of int
        Validation images; rows are the truth.
    """

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float
    val_macro_auc: float
    learning_rate: float
    seconds: float
    best: bool
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Finished(Event):
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
