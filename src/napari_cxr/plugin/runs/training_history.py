"""The history of a run as it is shown: each network's epochs, and the run with all its networks.

Built from events one by one. No Qt, so that it can be tested without a screen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from napari_cxr.training.training_events import (
    BatchDone,
    EpochDone,
    ImageSkipped,
    ReadingProgress,
    RunsDone,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    WarningRaised,
)

__all__ = ['PLOTTED_METRICS', 'PlottedMetric', 'RunHistory', 'RunPhase', 'TrainingHistory']


@dataclass(frozen=True)
class PlottedMetric:
    """Something that is drawn against the epochs.

    Parameters
    ----------
    title : str
        What people call it.
    train, val : str
        Fields of `EpochDone` for the training and the validation images; empty where
        there is no such metric.
    about : str
        One sentence that explains it.
    """

    title: str
    train: str
    val: str
    about: str


PLOTTED_METRICS = (
    PlottedMetric('Loss', 'train_loss', 'val_loss', 'What the training makes smaller.'),
    PlottedMetric(
        'Accuracy', 'train_accuracy', 'val_accuracy', 'Share of the images that are called right.'
    ),
    PlottedMetric(
        'AUC',
        'train_macro_auc',
        'val_macro_auc',
        'How often an image of a class scores higher for it than one of another class, '
        'averaged over the classes: 0.5 is chance, 1 is perfect.',
    ),
    PlottedMetric(
        'Balanced accuracy',
        '',
        'val_balanced_accuracy',
        'Accuracy within each class, averaged: no class counts more for being frequent.',
    ),
    PlottedMetric(
        'F1',
        '',
        'val_macro_f1',
        'Harmonic mean of sensitivity and precision, averaged over the classes.',
    ),
    PlottedMetric(
        'Learning rate', 'learning_rate', '', 'How far each step moves the weights of the network.'
    ),
)


@dataclass
class TrainingHistory:
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
    started: TrainingStarted | None = None
    epochs: dict[int, EpochDone] = field(default_factory=dict)
    batch: BatchDone | None = None
    finished: TrainingFinished | None = None

    def start(self, event: TrainingStarted) -> None:
        """Begin, or go on after the epochs that the event says are done."""
        self.started, self.labels, self.planned = event, event.labels, event.epochs
        self.epochs = {n: epoch for n, epoch in self.epochs.items() if n <= event.epoch}
        self.batch = self.finished = None

    def add_epoch(self, event: EpochDone) -> None:
        """Take an epoch; one of the same number that was there before goes."""
        self.epochs[event.epoch] = event
        self.planned = event.epochs or self.planned
        self.batch = None

    def values_by_epoch(self, metric: str) -> tuple[list[float], list[float]]:
        """Return epochs and values of a field of `EpochDone`, in the order of the epochs."""
        numbers = sorted(self.epochs) if metric else []
        return [float(n) for n in numbers], [
            float(getattr(self.epochs[n], metric)) for n in numbers
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
    def is_best_known(self) -> bool:
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
    def epoch_fraction(self) -> float:
        """How much of the epoch under way is done, in [0, 1]."""
        if self.batch is None or not self.batch.batches:
            return 0.0
        return min(1.0, self.batch.batch / self.batch.batches)

    @property
    def fraction(self) -> float:
        """How much of all planned epochs is done, in [0, 1]."""
        if self.finished is not None:
            return 1.0
        if not self.planned:
            return 0.0
        done = self.batch.epoch - 1 if self.batch else max(self.epochs, default=0)
        if self.started is not None:
            done = max(done, self.started.epoch)
        return min(1.0, (done + self.epoch_fraction) / self.planned)

    @property
    def metrics(self) -> dict[str, Any]:
        """What was measured at the end, as in the model's card; empty before."""
        return self.finished.metrics if self.finished is not None else {}


class RunPhase(StrEnum):
    """Where a run stands."""

    EMPTY = 'empty'
    STARTING = 'starting'
    READING = 'reading'
    TRAINING = 'training'
    MEASURING = 'measuring'
    STOPPING = 'stopping'
    STOPPED = 'stopped'
    FAILED = 'failed'
    FINISHED = 'finished'


_ACTIVE_PHASES = (
    RunPhase.STARTING,
    RunPhase.READING,
    RunPhase.TRAINING,
    RunPhase.MEASURING,
    RunPhase.STOPPING,
)


class RunHistory:
    """Everything that is known of a run, of its folds, or of the runs of a sweep.

    ``trainings`` holds its networks by name: 'run', 'run/fold-2', 'sweep/run' or
    'sweep/run/fold-2'; ``sweep`` is whether they follow several recipes.

    Parameters
    ----------
    name : str
        What the run is called.
    runs : int
        How many networks it trains; 0 while nobody knows.
    clock : callable
        Seconds that only ever rise.
    """

    def __init__(
        self, name: str = '', runs: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.phase = RunPhase.EMPTY
        self.trainings: dict[str, TrainingHistory] = {}
        self.current = ''
        self.sweep = False
        self._skipped: dict[tuple[str, str], ImageSkipped] = {}
        self.warnings: list[str] = []
        self.reading: ReadingProgress | None = None
        self.summary: TrainingFinished | None = None
        self.done, self.total = 0, runs
        self._clock = clock
        self._began: float | None = None
        self._ended: float | None = None
        self._reading_since = 0.0
        self._last_event_time = 0.0  # when the last event about time came
        self._training_since = 0.0
        self._training_seconds: list[float] = []  # of the runs that have ended

    # -- what happens -------------------------------------------------------------------

    def begin(self) -> None:
        """Note that work starts now; what is known of earlier epochs stays."""
        self.phase = RunPhase.STARTING
        self._began, self._ended = self._clock(), None
        self.reading, self._skipped = None, {}

    def end(self, phase: RunPhase) -> None:
        """Note that work has ended: stopped, failed or finished."""
        self.phase = phase
        self._ended = self._clock()

    def fill(self, other: RunHistory) -> None:
        """Take what another one knows of networks and epochs that went before."""
        known = other.trainings.items()
        trainings = {n: c for n, c in known if n not in self.trainings} | self.trainings
        for name, training in known:
            mine = trainings[name]
            if mine is not training and mine.started is not None:
                before = {n: e for n, e in training.epochs.items() if n <= mine.started.epoch}
                mine.epochs = before | mine.epochs
        self.trainings = trainings

    def add(self, event: TrainingEvent) -> None:
        """Take an event; events of another kind change nothing."""
        now = self._clock()
        if isinstance(event, ReadingProgress):
            if self.phase is not RunPhase.READING or self.reading is None:
                self._reading_since = now
            self.reading = event
            self._enter(RunPhase.READING)
        elif isinstance(event, WarningRaised):
            if event.text not in self.warnings:
                self.warnings.append(event.text)
        elif isinstance(event, ImageSkipped):
            self._skipped[event.path, event.reason] = event
        elif isinstance(event, TrainingStarted):
            self._training(event).start(event)
            self._training_since = now
            self._enter(RunPhase.TRAINING)
        elif isinstance(event, BatchDone):
            self._training(event).batch = event
            self._enter(RunPhase.TRAINING)
        elif isinstance(event, EpochDone):
            self._training(event).add_epoch(event)
            over = event.epoch >= event.epochs
            self._enter(RunPhase.MEASURING if over else RunPhase.TRAINING)
        elif isinstance(event, TrainingFinished):
            self._finish(event, now)
        elif isinstance(event, RunsDone) and event.run == self.name:
            # Of another name, it tells of the folds of one run of a sweep.
            self.done, self.total = event.done, event.total
        if isinstance(event, ReadingProgress | TrainingStarted | BatchDone):
            self._last_event_time = now

    def _enter(self, phase: RunPhase) -> None:
        if self.phase is not RunPhase.STOPPING:
            self.phase = phase

    def _finish(self, event: TrainingFinished, now: float) -> None:
        name = self._name_of(event)
        if name in self.trainings:
            self.trainings[name].finished = event
            self._training_seconds.append(now - self._training_since)
        elif name == self.name:  # of all folds together
            self.summary = event

    def _training(self, event: TrainingEvent) -> TrainingHistory:
        self.current = self._name_of(event)
        return self.trainings.setdefault(self.current, TrainingHistory(self.current))

    def _name_of(self, event: TrainingEvent) -> str:
        """Return a run's name below the whole: those of a sweep don't tell it themselves."""
        if not self.name or event.run == self.name or event.run.startswith(f'{self.name}/'):
            return event.run
        self.sweep = True
        return f'{self.name}/{event.run}'

    # -- what is known ------------------------------------------------------------------

    @property
    def at_work(self) -> bool:
        """Whether it is going on."""
        return self.phase in _ACTIVE_PHASES

    @property
    def current_training(self) -> TrainingHistory | None:
        """The network that is being trained, or the last one that was."""
        return self.trainings.get(self.current)

    @property
    def has_several_trainings(self) -> bool:
        """Whether it trains more than one network."""
        return max(len(self.trainings), self.total) > 1

    @property
    def skipped(self) -> list[ImageSkipped]:
        """The images that were left out, each once."""
        return list(self._skipped.values())

    @property
    def best(self) -> TrainingHistory | None:
        """Of several networks that have been measured the best, by the validation images."""

        def area(training: TrainingHistory) -> float:
            value = training.best.val_macro_auc if training.best is not None else math.nan
            return value if math.isfinite(value) else -1.0

        return max((c for c in self.trainings.values() if c.metrics), key=area, default=None)

    def place_of(self, training: TrainingHistory) -> str:
        """Return where a network's folder is, seen from the folder of the whole."""
        return '' if training.name == self.name else training.name.removeprefix(f'{self.name}/')

    @property
    def elapsed(self) -> float:
        """Seconds since it began, until it ended; 0 for one that was read from its folder."""
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def fraction(self) -> float | None:
        """How much is done, in [0, 1]: of the reading, then of all epochs; None if unknown."""
        if self.phase is RunPhase.STARTING:
            return None
        if self.phase is RunPhase.READING:
            reading = self.reading
            return reading.done / reading.total if reading and reading.total else None
        training = self.current_training
        if training is None:
            return None
        if not self.has_several_trainings:
            return training.fraction
        if not self.total:
            return None
        under_way = 0.0 if training.finished is not None else training.fraction
        ended = sum(c.finished is not None for c in self.trainings.values())
        return min(1.0, (max(self.done, ended) + under_way) / self.total)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, as far as anyone can say; None if nobody can."""
        since = self._clock() - self._last_event_time
        if self.phase is RunPhase.READING and self.reading is not None:
            spent = self._last_event_time - self._reading_since
            unread = self.reading.total - self.reading.done
            if not spent or not unread or not self.reading.done:
                return None
            return max(0.0, spent * unread / self.reading.done - since)
        training = self.current_training
        if self.phase is not RunPhase.TRAINING or training is None or training.batch is None:
            return None
        told = training.batch.seconds_left
        if not math.isfinite(told):
            return None
        left = max(0.0, told - since)
        spans = self._training_seconds
        each = sum(spans) / len(spans) if spans else self._clock() - self._training_since + left
        # Runs that nobody has counted yet cannot be foreseen.
        return left + max(0, self.total - self.done - 1) * each

    @property
    def utilisation(self) -> float | None:
        """Share of the device's time that the last epoch used; None where nothing tells."""
        last = self.current_training.last if self.current_training is not None else None
        if last is None or not math.isfinite(last.utilisation):
            return None
        return last.utilisation
