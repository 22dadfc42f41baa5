from . import recipe as recipe
from . import sweep as sweep
from .data_preparation import prepare
from .dataset import Dataset, DatasetError, Sample
from .dataset_index import index
from .dataset_survey import survey
from .recipe import Recipe, RecipeError
from .run_folder import TrainingError, recipe_of
from .splits import Split, divide, splits_of
from .training_events import (
    BatchDone,
    EpochDone,
    ImageSkipped,
    ReadingProgress,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    WarningRaised,
)
from .training_loop import train

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
    'recipe',
    'recipe_of',
    'splits_of',
    'survey',
    'sweep',
    'train',
]
