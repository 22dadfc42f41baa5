"""What happened to one network while it learnt: its epochs, figure by figure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_cxr.training.events import BatchDone, EpochDone, Finished, Started

__all__ = ['FIGURES', 'Course', 'Figure']


@dataclass(frozen=True)
class Figure:
    """Something that is drawn against the epochs.

    Parameters
    ----------
    title : str
        What people call it.
    train, val : str
        Fields of `EpochDone` for the training and the validation images; empty where
        there is no such figure.
    about : str
        One sentence that explains it.
    """

    title: str
    train: str
    val: str
    about: str


FIGURES = (
    Figure('Loss', 'train_loss', 'val_loss', 'What the training makes smaller.'),
    Figure(
        'Accuracy', 'train_accuracy', 'val_accuracy', 'Share of the images that are called right.'
    ),
    Figure(
        'AUC',
        'train_macro_auc',
        'val_macro_auc',
        'How often an image of a class scores higher for it than one of another class, '
        'averaged over the classes: 0.5 is chance, 1 is perfect.',
    ),
    Figure(
        'Balanced accuracy',
        '',
        'val_balanced_accuracy',
        'Accuracy within each class, averaged: no class counts more for being frequent.',
    ),
    Figure(
        'F1',
        '',
        'val_macro_f1',
        'Harmonic mean of sensitivity and precision, averaged over the classes.',
    ),
    Figure(
        'Learning rate', 'learning_rate', '', 'How far each step moves the weights of the network.'
    ),
)


@dataclass
class Course:
    """One network's training, as far as it has come.

    Parameters
    ----------
    name : str
        The run, as its events call it: 'run', or 'run/fold-2'.
    labels : tuple of str
        The classes.
    planned : int
        Epochs that the recipe allows; 0 while unknown.
    started : Started, optional
        What was said at its start; None for one that was read from its folder.
    epochs : dict of int to EpochDone
        The epochs that are done, by number from 1.
    batch : BatchDone, optional
        The step that was last heard of, in the epoch that is under way.
    finished : Finished, optional
        Its end.
    """

    name: str
    labels: tuple[str, ...] = ()
    planned: int = 0
    started: Started | None = None
    epochs: dict[int, EpochDone] = field(default_factory=dict)
    batch: BatchDone | None = None
    finished: Finished | None = None

    def start(self, event: Started) -> None:
        """Begin, or go on after the epochs that the event says are done."""
        self.started, self.labels, self.planned = event, event.labels, event.epochs
        self.epochs = {n: epoch for n, epoch in self.epochs.items() if n <= event.epoch}
        self.batch = self.finished = None

    def add_epoch(self, event: EpochDone) -> None:
        """Take an epoch; one of the same number that was there before goes."""
        self.epochs[event.epoch] = event
        self.planned = event.epochs or self.planned
        self.batch = None

    def curve(self, figure: str) -> tuple[list[float], list[float]]:
        """Return epochs and values of a field of `EpochDone`, in the order of the epochs."""
        numbers = sorted(self.epochs) if figure else []
        return [float(n) for n in numbers], [
            float(getattr(self.epochs[n], figure)) for n in numbers
        ]

    @property
    def last(self) -> EpochDone | None:
        """The latest epoch that is done."""
        return self.epochs[max(self.epochs)] if self.epochs else None

    @property
    def best(self) -> EpochDone | None:
        """The best epoch so far, by the recipe's own measure."""
        if self.finished is not None and self.finished.epoch in self.epochs:
            return self.epochs[self.finished.epoch]
        bests = [number for number, epoch in self.epochs.items() if epoch.best]
        return self.epochs[max(bests)] if bests else None

    @property
    def chosen(self) -> bool:
        """Whether an epoch before the last is the best.

        Else nobody can tell it from one that a recipe keeps because it is the last.
        """
        return self.best is not None and self.best is not self.last

    @property
    def epoch(self) -> int:
        """The epoch that is under way, from 1; the last one when none is."""
        if self.batch is not None:
            return self.batch.epoch
        done = max(self.epochs, default=self.started.epoch if self.started else 0)
        over = self.finished is not None or (self.planned and done >= self.planned)
        return done if over else done + 1

    @property
    def epoch_share(self) -> float:
        """How much of the epoch under way is done, in [0, 1]."""
        if self.batch is None or not self.batch.batches:
            return 0.0
        return min(1.0, self.batch.batch / self.batch.batches)

    @property
    def share(self) -> float:
        """How much of all planned epochs is done, in [0, 1]."""
        if self.finished is not None:
            return 1.0
        if not self.planned:
            return 0.0
        done = self.batch.epoch - 1 if self.batch else max(self.epochs, default=0)
        if self.started is not None:
            done = max(done, self.started.epoch)
        return min(1.0, (done + self.epoch_share) / self.planned)

    @property
    def metrics(self) -> dict[str, Any]:
        """What was measured at the end, as in the model's card; empty before."""
        return self.finished.metrics if self.finished is not None else {}
