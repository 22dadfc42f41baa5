"""Everything that decides a training run, as frozen dataclasses that read and write TOML."""

from napari_cxr.training.recipe.data import DataRecipe, SplitRecipe
from napari_cxr.training.recipe.image import AugmentationRecipe
from napari_cxr.training.recipe.learning import (
    FreezeRecipe,
    HeadRecipe,
    LossRecipe,
    Metric,
    OptimiserRecipe,
    ScheduleRecipe,
    SelectionRecipe,
    StoppingRecipe,
)
from napari_cxr.training.recipe.shelf import find, names
from napari_cxr.training.recipe.tables import RecipeError
from napari_cxr.training.recipe.whole import CardRecipe, Recipe

__all__ = [
    'AugmentationRecipe',
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
