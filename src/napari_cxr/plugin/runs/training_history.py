"""The history of a run as it is shown: the epochs of each training, and the run as a whole.

Built from events one by one, without Qt, so that it can be tested without a screen.
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
    """A metric that is plotted against the epochs.

    Parameters
    ----------
    title : str
        Its name on screen.
    train, val : str
        Fields of `EpochDone` for the training and the validation images; empty if it is not
        measured there.
    description : str
        An explanation in one sentence.
    """

    title: str
    train: str
    val: str
    description: str


PLOTTED_METRICS = (
    PlottedMetric('Loss', 'train_loss', 'val_loss', 'What training minimises.'),
    PlottedMetric(
        'Accuracy',
        'train_accuracy',
        'val_accuracy',
        'Fraction of the images that are classified correctly.',
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
        'Accuracy within each class, averaged, so that frequent classes do not count more.',
    ),
    PlottedMetric(
        'F1',
        '',
        'val_macro_f1',
        'Harmonic mean of sensitivity and precision, averaged over the classes.',
    ),
    PlottedMetric(
        'Learning rate', 'learning_rate', '', 'How large each step of the optimiser is.'
    ),
)


@dataclass
class TrainingHistory:
    """The training of one network so far.

    Parameters
    ----------
    name : str
        Name of the run in its events: 'run', or 'run/fold-2'.
    labels : tuple of str
        The classes.
    planned : int
        Epochs of the recipe; 0 while unknown.
    started : TrainingStarted, optional
        The event of its start; None if it was read from its folder.
    epochs : dict of int to EpochDone
        Completed epochs, by number from 1.
    batch : BatchDone, optional
        The latest step of the current epoch.
    finished : TrainingFinished, optional
        The event of its end.
    """

    name: str
    labels: tuple[str, ...] = ()
    planned: int = 0
    started: TrainingStarted | None = None
    epochs: dict[int, EpochDone] = field(default_factory=dict)
    batch: BatchDone | None = None
    finished: TrainingFinished | None = None

    def start(self, event: TrainingStarted) -> None:
        """Start, or continue after the epochs that the event reports as done."""
        self.started, self.labels, self.planned = event, event.labels, event.epochs
        self.epochs = {n: epoch for n, epoch in self.epochs.items() if n <= event.epoch}
        self.batch = self.finished = None

    def add_epoch(self, event: EpochDone) -> None:
        """Add an epoch; it replaces an earlier one of the same number."""
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
        """The latest completed epoch."""
        return self.epochs[max(self.epochs)] if self.epochs else None

    @property
    def best(self) -> EpochDone | None:
        """The best epoch so far, by the recipe's selection metric."""
        if self.finished is not None and self.finished.epoch in self.epochs:
            return self.epochs[self.finished.epoch]
        bests = [number for number, epoch in self.epochs.items() if epoch.best]
        return self.epochs[max(bests)] if bests else None

    @property
    def is_best_known(self) -> bool:
        """Whether an epoch before the last is the best.

        Otherwise it cannot be told from one that a recipe keeps because it is the last.
        """
        return self.best is not None and self.best is not self.last

    @property
    def epoch(self) -> int:
        """The current epoch, from 1; the last one when training has ended."""
        if self.batch is not None:
            return self.batch.epoch
        done = max(self.epochs, default=self.started.epoch if self.started else 0)
        over = self.finished is not None or (self.planned and done >= self.planned)
        return done if over else done + 1

    @property
    def epoch_fraction(self) -> float:
        """Completed fraction of the current epoch, in [0, 1]."""
        if self.batch is None or not self.batch.batches:
            return 0.0
        return min(1.0, self.batch.batch / self.batch.batches)

    @property
    def fraction(self) -> float:
        """Completed fraction of all planned epochs, in [0, 1]."""
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
        """The metrics at the end, as on the model's card; empty before."""
        return self.finished.metrics if self.finished is not None else {}


class RunPhase(StrEnum):
    """The phase of a run."""

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
    """All that is known of a run, of its folds, or of the runs of a sweep.

    ``trainings`` holds its networks by name: 'run', 'run/fold-2', 'sweep/run' or
    'sweep/run/fold-2'; ``sweep`` is whether they use several recipes.

    Parameters
    ----------
    name : str
        Name of the run.
    runs : int
        Number of networks that it trains; 0 while unknown.
    clock : callable
        A monotonic clock in seconds.
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
        self._last_event_time = 0.0  # of the last event with timing
        self._training_since = 0.0
        self._training_seconds: list[float] = []  # of each run that has ended

    # -- events --------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the clock; what is known of earlier epochs is kept."""
        self.phase = RunPhase.STARTING
        self._began, self._ended = self._clock(), None
        self.reading, self._skipped = None, {}

    def end(self, phase: RunPhase) -> None:
        """Stop the clock: the run was stopped, failed or finished."""
        self.phase = phase
        self._ended = self._clock()

    def fill(self, other: RunHistory) -> None:
        """Add networks and earlier epochs that another history knows."""
        known = other.trainings.items()
        trainings = {n: c for n, c in known if n not in self.trainings} | self.trainings
        for name, training in known:
            mine = trainings[name]
            if mine is not training and mine.started is not None:
                before = {n: e for n, e in training.epochs.items() if n <= mine.started.epoch}
                mine.epochs = before | mine.epochs
        self.trainings = trainings

    def add(self, event: TrainingEvent) -> None:
        """Apply an event; events of other kinds change nothing."""
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
            # Under another name, it is about the folds of one run of a sweep.
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
        """Return the name below the whole run, which events of a sweep leave out."""
        if not self.name or event.run == self.name or event.run.startswith(f'{self.name}/'):
            return event.run
        self.sweep = True
        return f'{self.name}/{event.run}'

    # -- state ---------------------------------------------------------------------------

    @property
    def at_work(self) -> bool:
        """Whether it is running."""
        return self.phase in _ACTIVE_PHASES

    @property
    def current_training(self) -> TrainingHistory | None:
        """The network that is being trained, or was trained last."""
        return self.trainings.get(self.current)

    @property
    def has_several_trainings(self) -> bool:
        """Whether it trains more than one network."""
        return max(len(self.trainings), self.total) > 1

    @property
    def skipped(self) -> list[ImageSkipped]:
        """The images that were left out, without duplicates."""
        return list(self._skipped.values())

    @property
    def best(self) -> TrainingHistory | None:
        """The best of the evaluated networks, by the validation images."""

        def area(training: TrainingHistory) -> float:
            value = training.best.val_macro_auc if training.best is not None else math.nan
            return value if math.isfinite(value) else -1.0

        return max((c for c in self.trainings.values() if c.metrics), key=area, default=None)

    def place_of(self, training: TrainingHistory) -> str:
        """Return the folder of a network, relative to that of the whole run."""
        return '' if training.name == self.name else training.name.removeprefix(f'{self.name}/')

    @property
    def elapsed(self) -> float:
        """Seconds from start to end, or until now; 0 if it was read from its folder."""
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def fraction(self) -> float | None:
        """Completed fraction in [0, 1]: of the reading, then of all epochs; None if unknown."""
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
        current = 0.0 if training.finished is not None else training.fraction
        ended = sum(c.finished is not None for c in self.trainings.values())
        return min(1.0, (max(self.done, ended) + current) / self.total)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until all is done; None if unknown."""
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
        reported = training.batch.seconds_left
        if not math.isfinite(reported):
            return None
        left = max(0.0, reported - since)
        spans = self._training_seconds
        each = sum(spans) / len(spans) if spans else self._clock() - self._training_since + left
        # Runs of an unknown total cannot be included.
        return left + max(0, self.total - self.done - 1) * each

    @property
    def utilisation(self) -> float | None:
        """Utilisation of the device in the last epoch; None if unknown."""
        last = self.current_training.last if self.current_training is not None else None
        if last is None or not math.isfinite(last.utilisation):
            return None
        return last.utilisation
