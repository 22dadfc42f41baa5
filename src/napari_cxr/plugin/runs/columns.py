"""The columns of the table of runs: what people call them, and how values read. No Qt."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_cxr.plugin.times import duration

__all__ = ['COLUMNS', 'Column', 'RunRow', 'sort_key']


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    key : str
        Its name in the rows of `napari_cxr.training.runs`.
    title : str
        What stands above it.
    about : str
        One sentence that explains it.
    text : callable
        From a value that is known to what is shown.
    """

    key: str
    title: str
    about: str
    text: Callable[[Any], str] = str


@dataclass(frozen=True, eq=False)
class RunRow:
    """A run in the table.

    Parameters
    ----------
    values : dict
        By the keys of the columns; None or missing where nothing is known.
    path : Path
        The run's folder.
    has_model : bool
        Whether it has kept a model that can be used.
    """

    values: dict[str, Any]
    path: Path
    has_model: bool = False
    words: str = field(init=False)

    def __post_init__(self) -> None:
        texts = (str(value) for value in self.values.values() if value is not None)
        object.__setattr__(self, 'words', ' '.join(texts).casefold())

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self.values.get('run', ''))


def _share(value: Any) -> str:
    return f'{value:.4f}' if isinstance(value, float) else str(value)


def _count(value: Any) -> str:
    return f'{value:,}' if isinstance(value, int) else str(value)


def _minutes(value: Any) -> str:
    return duration(60 * value) if isinstance(value, int | float) else str(value)


def _few(value: Any) -> str:
    return f'{value:.2f}' if isinstance(value, int | float) else str(value)


def _rate(value: Any) -> str:
    return f'{value:g}' if isinstance(value, int | float) else str(value)


#: In the order in which they are read: which run, how good, then as Lopes et al. printed them.
COLUMNS = (
    Column('run', 'Run', 'The folder of the run.'),
    Column('val_auc', 'Val. AUC', 'Macro AUC on the validation images.', _share),
    Column('status', 'Status', 'Whether it is running, finished, stopped or failed.'),
    Column('execution_time', 'Time', 'How long all epochs took.', _minutes),
    Column('minutes_per_epoch', 'Min/epoch', 'Minutes that an epoch took on average.', _few),
    Column('acc', 'Accuracy', 'Accuracy on the training images, in the epoch kept.', _share),
    Column('val_acc', 'Val. acc.', 'Accuracy on the validation images.', _share),
    Column('auc', 'AUC', 'Macro AUC on the training images, in the epoch kept.', _share),
    Column('loss', 'Loss', 'Loss on the training images, in the epoch kept.', _share),
    Column('val_loss', 'Val. loss', 'Loss on the validation images.', _share),
    Column('input_shape', 'Input', 'Height, width and channels of what the network sees.'),
    Column('filter', 'Kernel', 'Side of the kernel that most convolutions have, in pixels.'),
    Column('batch', 'Batch', 'Images a step.'),
    Column('activation_output', 'Output', 'Softmax over all classes, or a sigmoid for each.'),
    Column('epochs', 'Epochs', 'Passes over the training images that were done.'),
    Column('optimizer', 'Optimiser', 'How the weights followed the gradients.'),
    Column('lr', 'Learning rate', 'The highest rate of the schedule.', _rate),
    Column('recipe', 'Recipe', 'The settings that it was trained with.'),
    Column('network', 'Network', 'The network that was trained.'),
    Column('depth', 'Depth', 'Layers with weights.'),
    Column('parameters', 'Parameters', 'Numbers that make up the network.', _count),
    Column('trainable', 'Trainable', 'Of these, the numbers that could learn.', _count),
    Column('tp', 'TP', 'Test images with the disease that were called so.', _count),
    Column('fp', 'FP', 'Test images without the disease that were called diseased.', _count),
    Column('tn', 'TN', 'Test images without the disease that were called so.', _count),
    Column('fn', 'FN', 'Test images with the disease that were missed.', _count),
)


def sort_key(value: Any) -> tuple[Any, ...] | None:
    """Return what a value is sorted by; None for one that is not known.

    Numbers come before texts; numbers within texts count as numbers, so that 'run-2'
    stands before 'run-10'.
    """
    if value is None or value == '' or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, int | float):
        return (0, value)
    parts = re.split(r'(\d+)', str(value).casefold())
    return (1, *((int(part), '') if part.isdigit() else (-1, part) for part in parts))
