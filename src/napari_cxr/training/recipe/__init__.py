"""Everything that decides a training run, as frozen dataclasses that read and write TOML."""

from napari_cxr.training.recipe.data_sections import AugmentationRecipe, DataRecipe, SplitRecipe
from napari_cxr.training.recipe.learning_sections import (
    CalibrationRecipe,
    FreezeRecipe,
    HeadRecipe,
    LossRecipe,
    Metric,
    OptimiserRecipe,
    ScheduleRecipe,
    SelectionRecipe,
    StoppingRecipe,
)
from napari_cxr.training.recipe.recipe import CardRecipe, Recipe, find, names
from napari_cxr.training.recipe.schema import RecipeError

__all__ = [
    'AugmentationRecipe',
    'CalibrationRecipe',
    'CardRecipe',
    'DataRecipe',
    'FreezeRecipe',
    'HeadRecipe',
    'LossRecipe',
    'Metric',
    'OptimiserRecipe',
    'Recipe',
    'RecipeError',
    'ScheduleRecipe',
    'SelectionRecipe',
    'SplitRecipe',
    'StoppingRecipe',
    'find',
    'names',
]
