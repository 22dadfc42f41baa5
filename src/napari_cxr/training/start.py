"""The network that a run starts from."""

from __future__ import annotations

from typing import Any

import torch

from napari_cxr import networks
from napari_cxr.checkpoint import CheckpointError, catalog, load
from napari_cxr.networks import StagedNetwork
from napari_cxr.training.recipe import HeadRecipe, Recipe, RecipeError
from napari_cxr.training.recipe.tables import plain

__all__ = ['head_entries', 'new_network']


def head_entries(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's head as networks and cards take it; empty for the network's own."""
    entries: dict[str, Any] = plain(recipe.head)
    return {} if recipe.head == HeadRecipe() else entries


def new_network(recipe: Recipe, classes: int, *, empty: bool = False) -> StagedNetwork:
    """Build a recipe's network, all that is random in it drawn from the recipe's seed alone.

    Parameters
    ----------
    recipe : Recipe
        Its network, head and weights.
    classes : int
        How many there are.
    empty : bool
        Whether the weights will be replaced at once, so that none need be fetched.

    Raises
    ------
    RecipeError
        If there is no such network, head or model, or its weights cannot be had.
    """
    size = (recipe.input.height, recipe.input.width)
    # Only the creation draws from torch's global state, and gives it back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        try:
            network = networks.create(
                recipe.network, classes, recipe.input.channels, size, head_entries(recipe)
            )
        except ValueError as error:
            raise RecipeError(f'network: {error}') from None
        if recipe.weights == 'random' or empty:
            return network
        return _started(network, recipe)


def _started(network: StagedNetwork, recipe: Recipe) -> StagedNetwork:
    if recipe.weights == 'pretrained':
        load_pretrained = getattr(networks, 'load_pretrained', None)
        if load_pretrained is None:
            raise RecipeError("weights: this version has no pretrained weights; take 'random'.")
        try:
            load_pretrained(network)
        except (ValueError, OSError) as error:
            raise RecipeError(f'weights: {error}') from None
        return network
    extend = getattr(networks, 'extend', None)
    if extend is None:
        raise RecipeError("weights: this version cannot start from a model; take 'random'.")
    try:
        extend(network, load(catalog.resolve(recipe.weights)))
    except (CheckpointError, ValueError, OSError) as error:
        raise RecipeError(f'weights: {error}') from None
    return network
