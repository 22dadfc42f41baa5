"""A run as it is shown: built from its events one by one, or from its folder. No Qt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from napari_cxr.plugin.runs.run_course import Course
from napari_cxr.training.events import (
    BatchDone,
    EpochDone,
    Event,
    Finished,
    Reading,
    RunsDone,
    Skipped,
    Started,
    Warned,
)

__all__ = ['Phase', 'RunHistory']


class Phase(StrEnum):
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


_AT_WORK = (Phase.STARTING, Phase.READING, Phase.TRAINING, Phase.MEASURING, Phase.STOPPING)


class RunHistory:
    """Everything that is known of a run, of its folds, or of the runs of a sweep.

    ``courses`` holds its networks by name: 'run', 'run/fold-2', 'sweep/run' or
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
        self.phase = Phase.EMPTY
        self.courses: dict[str, Course] = {}
        self.current = ''
        self.sweep = False
        self._skipped: dict[tuple[str, str], Skipped] = {}
        self.warnings: list[str] = []
        self.reading: Reading | None = None
        self.summary: Finished | None = None
        self.done, self.total = 0, runs
        self._clock = clock
        self._began: float | None = None
        self._ended: float | None = None
        self._reading_since = 0.0
        self._heard = 0.0  # when the last event about time came
        self._course_since = 0.0
        self._course_seconds: list[float] = []  # of the runs that have ended

    @classmethod
    def from_folder(cls, run_folder: str | Path) -> RunHistory:
        """Read a run, or a cross-validated one with its folds, from its folder.

        Whatever is missing or half-written in it is left out. It waits for the disk,
        so docks call it in a thread.

        Parameters
        ----------
        run_folder : str or Path
            A folder that training has written.

        Raises
        ------
        OSError
            If the folder itself cannot be read.
        """
        from napari_cxr.plugin.runs.run_files import read_courses, read_summary

        folder = Path(run_folder)
        history = cls(folder.name)
        history.courses = read_courses(folder)
        history.summary = read_summary(folder, folder.name)
        history.current = next(reversed(history.courses), '')
        # A cross-validated run has one recipe for all, a sweep has none.
        several = history.current not in ('', folder.name)
        history.sweep = several and not (folder / 'recipe.toml').is_file()
        if history.courses:
            ended = all(course.finished is not None for course in history.courses.values())
            history.phase = Phase.FINISHED if ended else Phase.STOPPED
        return history

    # -- what happens -------------------------------------------------------------------

    def begin(self) -> None:
        """Note that work starts now; what is known of earlier epochs stays."""
        self.phase = Phase.STARTING
        self._began, self._ended = self._clock(), None
        self.reading, self._skipped = None, {}

    def end(self, phase: Phase) -> None:
        """Note that work has ended: stopped, failed or finished."""
        self.phase = phase
        self._ended = self._clock()

    def fill(self, other: RunHistory) -> None:
        """Take what another one knows of networks and epochs that went before."""
        known = other.courses.items()
        courses = {n: c for n, c in known if n not in self.courses} | self.courses
        for name, course in known:
            mine = courses[name]
            if mine is not course and mine.started is not None:
                before = {n: e for n, e in course.epochs.items() if n <= mine.started.epoch}
                mine.epochs = before | mine.epochs
        self.courses = courses

    def add(self, event: Event) -> None:
        """Take an event; events of another kind change nothing."""
        now = self._clock()
        if isinstance(event, Reading):
            if self.phase is not Phase.READING or self.reading is None:
                self._reading_since = now
            self.reading = event
            self._enter(Phase.READING)
        elif isinstance(event, Warned):
            if event.text not in self.warnings:
                self.warnings.append(event.text)
        elif isinstance(event, Skipped):
            self._skipped[event.path, event.reason] = event
        elif isinstance(event, Started):
            self._course(event).start(event)
            self._course_since = now
            self._enter(Phase.TRAINING)
        elif isinstance(event, BatchDone):
            self._course(event).batch = event
            self._enter(Phase.TRAINING)
        elif isinstance(event, EpochDone):
            self._course(event).add_epoch(event)
            over = event.epoch >= event.epochs
            self._enter(Phase.MEASURING if over else Phase.TRAINING)
        elif isinstance(event, Finished):
            self._finish(event, now)
        elif isinstance(event, RunsDone) and event.run == self.name:
            # Of another name, it tells of the folds of one run of a sweep.
            self.done, self.total = event.done, event.total
        if isinstance(event, Reading | Started | BatchDone):
            self._heard = now

    def _enter(self, phase: Phase) -> None:
        if self.phase is not Phase.STOPPING:
            self.phase = phase

    def _finish(self, event: Finished, now: float) -> None:
        name = self._name_of(event)
        if name in self.courses:
            self.courses[name].finished = event
            self._course_seconds.append(now - self._course_since)
        elif name == self.name:  # of all folds together
            self.summary = event

    def _course(self, event: Event) -> Course:
        self.current = self._name_of(event)
        return self.courses.setdefault(self.current, Course(self.current))

    def _name_of(self, event: Event) -> str:
        """Return a run's name below the whole: those of a sweep don't tell it themselves."""
        if not self.name or event.run == self.name or event.run.startswith(f'{self.name}/'):
            return event.run
        self.sweep = True
        return f'{self.name}/{event.run}'

    # -- what is known ------------------------------------------------------------------

    @property
    def at_work(self) -> bool:
        """Whether it is going on."""
        return self.phase in _AT_WORK

    @property
    def course(self) -> Course | None:
        """The network that is being trained, or the last one that was."""
        return self.courses.get(self.current)

    @property
    def several(self) -> bool:
        """Whether it trains more than one network."""
        return max(len(self.courses), self.total) > 1

    @property
    def skipped(self) -> list[Skipped]:
        """The images that were left out, each once."""
        return list(self._skipped.values())

    @property
    def best(self) -> Course | None:
        """Of several networks that have been measured the best, by the validation images."""

        def area(course: Course) -> float:
            value = course.best.val_macro_auc if course.best is not None else math.nan
            return value if math.isfinite(value) else -1.0

        return max((c for c in self.courses.values() if c.metrics), key=area, default=None)

    def place_of(self, course: Course) -> str:
        """Return where a network's folder is, seen from the folder of the whole."""
        return '' if course.name == self.name else course.name.removeprefix(f'{self.name}/')

    @property
    def elapsed(self) -> float:
        """Seconds since it began, until it ended; 0 for one that was read from its folder."""
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def share(self) -> float | None:
        """How much is done, in [0, 1]: of the reading, then of all epochs; None if unknown."""
        if self.phase is Phase.STARTING:
            return None
        if self.phase is Phase.READING:
            reading = self.reading
            return reading.done / reading.total if reading and reading.total else None
        course = self.course
        if course is None:
            return None
        if not self.several:
            return course.share
        if not self.total:
            return None
        under_way = 0.0 if course.finished is not None else course.share
        ended = sum(c.finished is not None for c in self.courses.values())
        return min(1.0, (max(self.done, ended) + under_way) / self.total)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, as far as anyone can say; None if nobody can."""
        since = self._clock() - self._heard
        if self.phase is Phase.READING and self.reading is not None:
            spent = self._heard - self._reading_since
            unread = self.reading.total - self.reading.done
            if not spent or not unread or not self.reading.done:
                return None
            return max(0.0, spent * unread / self.reading.done - since)
        course = self.course
        if self.phase is not Phase.TRAINING or course is None or course.batch is None:
            return None
        told = course.batch.seconds_left
        if not math.isfinite(told):
            return None
        left = max(0.0, told - since)
        spans = self._course_seconds
        each = sum(spans) / len(spans) if spans else self._clock() - self._course_since + left
        # Runs that nobody has counted yet cannot be foreseen.
        return left + max(0, self.total - self.done - 1) * each

    @property
    def utilisation(self) -> float | None:
        """Share of the device's time that the last epoch used; None where nothing tells."""
        last = self.course.last if self.course is not None else None
        if last is None or not math.isfinite(last.utilisation):
            return None
        return last.utilisation
