"""How large a recipe's network is, told without building it in memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cxr.training import Recipe
    from napari_cxr.training.recipe import HeadRecipe

__all__ = ['counted']


def counted(recipe: Recipe, classes: int) -> tuple[int, int]:
    """Return how many parameters a recipe's network has, and how many learn at first.

    Parameters
    ----------
    recipe : Recipe
        Its network, head, input and freezing.
    classes : int
        How many there are.

    Raises
    ------
    RecipeError
        If there is no such network, head or stage.
    """
    from napari_cxr.training.recipe import RecipeError

    size = (recipe.input.height, recipe.input.width)
    try:
        total, stages = _built(recipe.network, classes, recipe.input.channels, size, recipe.head)
    except ValueError as error:
        raise RecipeError(f'network: {error}') from None
    names, up_to = list(stages), recipe.freeze.up_to
    if up_to not in ('nothing', 'everything', *names):
        raise RecipeError(
            f'freeze.up_to: {recipe.network} has no stage {up_to!r}; there are {", ".join(names)}.'
        )
    ends = {'nothing': 0, 'everything': len(names)}
    frozen = names[: ends[up_to] if up_to in ends else names.index(up_to) + 1]
    return total, total - sum(stages[name] for name in frozen)


@cache
def _built(
    network: str, classes: int, channels: int, size: tuple[int, int], head: HeadRecipe
) -> tuple[int, dict[str, int]]:
    """Return the parameters of a network in all, and of each stage."""
    import torch

    from napari_cxr import networks
    from napari_cxr.training.recipe import HeadRecipe
    from napari_cxr.training.recipe.tables import plain

    entries = {} if head == HeadRecipe() else plain(head)
    with torch.device('meta'):  # shapes without numbers
        made = networks.create(network, classes, channels, size, entries)
    of_stages = {
        name: sum(p.numel() for p in stage.parameters()) for name, stage in made.stages.items()
    }
    return sum(p.numel() for p in made.parameters()), of_stages
