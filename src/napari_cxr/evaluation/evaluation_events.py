"""The events that an evaluation yields. Small, frozen, and without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.messages import message_type

__all__ = [
    'EvaluationEvent',
    'EvaluationFinished',
    'EvaluationProgress',
    'EvaluationResult',
    'EvaluationWarned',
]


@message_type
@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What an evaluation came to; all that its report shows.

    Parameters
    ----------
    metrics : dict
        As in ``metrics.json``, see docs/evaluation.md and ``metrics.schema.json``: figures with
        their intervals, curves, cautions. Plots are drawn from it without computing anything.
    table : EvaluationTable
        The images that it was evaluated by, and the predictions for them: what lies behind a
        cell of the confusion matrix or a bin of a histogram.
    tuning : EvaluationTable
        The validation images, by which thresholds were chosen; empty where there are none.
    """

    metrics: dict[str, Any]
    table: EvaluationTable
    tuning: EvaluationTable

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(self.metrics['models'])


@dataclass(frozen=True)
class EvaluationEvent:
    """Anything that happened during an evaluation."""


@message_type
@dataclass(frozen=True)
class EvaluationProgress(EvaluationEvent):
    """How far it is.

    Parameters
    ----------
    step : str
        What is being done, in words: 'Scoring with cxr-opacity', 'Reading the images' …
    done, total : int
        Images of this step; a total of 0 where they are not counted.
    seconds_left : float
        Of this step; NaN where it is not known.
    """

    step: str
    done: int = 0
    total: int = 0
    seconds_left: float = float('nan')


@message_type
@dataclass(frozen=True)
class EvaluationWarned(EvaluationEvent):
    """Something that a person should know, in a sentence or two; the evaluation goes on."""

    text: str


@message_type
@dataclass(frozen=True, eq=False)
class EvaluationFinished(EvaluationEvent):
    """The report is written.

    Parameters
    ----------
    result : EvaluationResult
        What it came to.
    report, metrics_file, predictions_file : str
        The files that were written.
    files : dict of str to str
        The table of scores of each model, by its name.
    shortcuts_page : str
        The page of the shortcut tests; empty where there were none.
    """

    result: EvaluationResult
    report: str
    metrics_file: str
    predictions_file: str
    files: dict[str, str] = field(default_factory=dict)
    shortcuts_page: str = ''
