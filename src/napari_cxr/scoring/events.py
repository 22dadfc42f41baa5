"""What scoring says while it goes. Small, frozen, and without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_cxr.scoring.row import Row, Run

__all__ = [
    'Event',
    'Finished',
    'Measured',
    'Preparing',
    'Progress',
    'Scored',
    'Started',
    'Warned',
]


@dataclass(frozen=True)
class Event:
    """Anything that happened while a table was made."""


@dataclass(frozen=True)
class Preparing(Event):
    """What is done before the first file is read, in words; comes several times, or not at all."""

    text: str


@dataclass(frozen=True)
class Started(Event):
    """The first file is about to be read.

    Parameters
    ----------
    total, done, failed : int
        Paths; those that have their row from before, in a run that is resumed; and those
        among them that are errors.
    run : Run
        What the rows have in common.
    device : str
        Where the model runs.
    batch : int
        Images that the network takes at once.
    way : str
        How the network is run, see `napari_cxr.inference.running.WAYS`.
    """

    total: int
    done: int
    failed: int
    run: Run
    device: str
    batch: int
    way: str = 'eager'


@dataclass(frozen=True)
class Scored(Event):
    """A row is kept: of a file that was scored, or of one that was not, with the reason."""

    row: Row


@dataclass(frozen=True)
class Warned(Event):
    """Something that a person should know, in one sentence; scoring goes on."""

    text: str


@dataclass(frozen=True)
class Progress(Event):
    """How far it is; comes several times a second, whatever happens.

    Parameters
    ----------
    done, failed, total : int
        Rows that are kept, errors among them, and paths in all.
    images_per_second : float
        Of the last seconds; 0 while nothing was scored.
    seconds_left : float
        An estimate; NaN where there is none yet.
    """

    done: int
    failed: int
    total: int
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Measured(Event):
    """How good the answers so far are; comes where labels are known, now and then.

    Parameters
    ----------
    metrics : dict
        As `napari_cxr.scoring.measuring.Measuring.found` gives them; empty where nothing can
        be measured.
    unknown : tuple of str
        Labels that were given and that the model does not know; their rows were not measured.
    unmeasured : int
        How many rows these are.
    """

    metrics: dict[str, Any]
    unknown: tuple[str, ...] = ()
    unmeasured: int = 0


@dataclass(frozen=True)
class Finished(Event):
    """Every path has its row, and the table is written.

    Parameters
    ----------
    path : str
        The table.
    total, failed : int
        Its rows, and errors among them.
    metrics : dict
        Where labels are known, as those of `Measured`; else empty.
    unknown : tuple of str
        Labels that were given and that the model does not know; their rows were not measured.
    unmeasured : int
        How many rows these are.
    """

    path: str
    total: int
    failed: int
    metrics: dict[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    unmeasured: int = 0
