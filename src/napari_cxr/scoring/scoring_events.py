"""The events that scoring yields. Small, frozen, and without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_cxr.messages import message_type
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = [
    'RowScored',
    'ScoringEvent',
    'ScoringFinished',
    'ScoringMeasured',
    'ScoringPreparing',
    'ScoringProgress',
    'ScoringStarted',
    'ScoringWarned',
]


@dataclass(frozen=True)
class ScoringEvent:
    """Anything that happened while a table was made."""


@message_type
@dataclass(frozen=True)
class ScoringPreparing(ScoringEvent):
    """What is done before the first file is read, in words; comes several times, or not at all."""

    text: str


@message_type
@dataclass(frozen=True)
class ScoringStarted(ScoringEvent):
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
    backend : str
        What runs the network, for a person: 'torch', 'ONNX Runtime', 'OpenVINO in bfloat16'.
    """

    total: int
    done: int
    failed: int
    run: ScoringRun
    device: str
    batch: int
    backend: str = 'torch'


@message_type
@dataclass(frozen=True)
class RowScored(ScoringEvent):
    """A row is kept: of a file that was scored, or of one that was not, with the reason."""

    row: ScoreRow


@message_type
@dataclass(frozen=True)
class ScoringWarned(ScoringEvent):
    """Something that a person should know, in one sentence; scoring goes on."""

    text: str


@message_type
@dataclass(frozen=True)
class ScoringProgress(ScoringEvent):
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


@message_type
@dataclass(frozen=True)
class ScoringMeasured(ScoringEvent):
    """How good the answers so far are; comes where labels are known, now and then.

    Parameters
    ----------
    metrics : dict
        As `ScoreEvaluation.found` gives them; empty where nothing can
        be measured.
    unknown : tuple of str
        Labels that were given and that the model does not know; their rows were not measured.
    unmeasured : int
        How many rows these are.
    doubtful : int
        How many rows with a label that the model knows are of doubtful images.
    doubtful_included : bool
        Whether these were measured.
    """

    metrics: dict[str, Any]
    unknown: tuple[str, ...] = ()
    unmeasured: int = 0
    doubtful: int = 0
    doubtful_included: bool = False


@message_type
@dataclass(frozen=True)
class ScoringFinished(ScoringEvent):
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
    doubtful, doubtful_included
        As of `ScoringMeasured`.
    metrics_file : str
        Where the metrics were written, see `metrics_path_of`; empty where there are none.
    """

    path: str
    total: int
    failed: int
    metrics: dict[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    unmeasured: int = 0
    doubtful: int = 0
    doubtful_included: bool = False
    metrics_file: str = ''
