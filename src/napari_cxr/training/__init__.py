"""From a labelled folder to a checkpoint: data, recipe, and a loop of events.

Importing this package imports no torch; the first use of `train` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cxr.training import recipe as recipes
from napari_cxr.training.data_preparation import prepare
from napari_cxr.training.dataset import Dataset, DatasetError, Sample, index
from napari_cxr.training.dataset_survey import survey
from napari_cxr.training.recipe import Recipe, RecipeError
from napari_cxr.training.run_folder import TrainingError, recipe_of
from napari_cxr.training.splits import Split, divide, splits_of
from napari_cxr.training.training_events import (
    BatchDone,
    EpochDone,
    ImageSkipped,
    ReadingProgress,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    WarningRaised,
)

if TYPE_CHECKING:
    from napari_cxr.training.training_loop import train

__all__ = [
    'BatchDone',
    'Dataset',
    'DatasetError',
    'EpochDone',
    'ImageSkipped',
    'ReadingProgress',
    'Recipe',
    'RecipeError',
    'Sample',
    'Split',
    'TrainingError',
    'TrainingEvent',
    'TrainingFinished',
    'TrainingStarted',
    'WarningRaised',
    'divide',
    'index',
    'prepare',
    'recipe_of',
    'recipes',
    'splits_of',
    'survey',
    'train',
]


def __getattr__(name: str) -> Any:
    if name == 'train':
        from napari_cxr.training.training_loop import train

        return train
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
