"""How large a recipe's network is, told without building it in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cxr.training import Recipe

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
    import torch

    from napari_cxr.training.recipe import RecipeError
    from napari_cxr.training.start import new_network

    with torch.device('meta'):  # shapes without numbers
        network = new_network(recipe, [str(k) for k in range(classes)], empty=True)
    total = sum(p.numel() for p in network.parameters())
    up_to, names = recipe.freeze.up_to, network.stage_names
    if up_to == 'nothing':
        return total, total
    if up_to != 'everything' and up_to not in names:
        raise RecipeError(
            f'freeze.up_to: {recipe.network} has no stage {up_to!r}; there are {", ".join(names)}.'
        )
    frozen = names if up_to == 'everything' else names[: names.index(up_to) + 1]
    still = sum(p.numel() for name in frozen for p in network.stages[name].parameters())
    return total, total - still
