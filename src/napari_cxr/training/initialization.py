"""The network with which a run starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from napari_cxr import networks
from napari_cxr.checkpoint import CheckpointError, catalog, load, read_card
from napari_cxr.networks import StagedNetwork
from napari_cxr.training.recipe import HeadRecipe, Recipe, RecipeError
from napari_cxr.training.recipe.schema import as_table
from napari_cxr.training.run_folder import is_hashed

__all__ = ['credits_of', 'head_entries', 'new_network']


def head_entries(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's head as networks and cards take it; empty for the network's own."""
    entries: dict[str, Any] = as_table(recipe.head)
    return {} if recipe.head == HeadRecipe() else entries


def new_network(
    recipe: Recipe, labels: Sequence[str], model: Path | None = None, *, empty: bool = False
) -> StagedNetwork:
    """Build a recipe's network; random weights depend on the recipe's seed alone.

    Parameters
    ----------
    recipe : Recipe
        Its network, head and weights.
    labels : sequence of str
        The classes.
    model : Path, optional
        The file of the model that it starts from, as `find_model` found it; by default the
        model in the catalog that `weights` names.
    empty : bool
        Whether the weights will be replaced at once, so that none need to be loaded.

    Raises
    ------
    RecipeError
        If there is no such network, head or model, or its weights are not available.
    """
    # Only the creation draws from torch's global state, which is restored afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.weights not in ('random', 'pretrained') and not empty:
            return _from_model(recipe, labels, model)
        try:
            network = networks.create(
                recipe.network,
                len(labels),
                recipe.input.channels,
                (recipe.input.height, recipe.input.width),
                head_entries(recipe),
            )
        except ValueError as error:
            raise RecipeError(f'network: {error}') from None
        if recipe.weights == 'pretrained' and not empty:
            try:
                networks.load_pretrained(network)
            except networks.WeightsUnavailable as error:
                raise RecipeError(f'weights: {error}') from None
    return network


def credits_of(recipe: Recipe, model: Path | None = None) -> tuple[str, ...]:
    """Return the credits for the weights that a run starts from, and for their training data.

    Parameters
    ----------
    recipe : Recipe
        Its network and weights.
    model : Path, optional
        As for `new_network`. If the file cannot be found any more, there are no credits.
    """
    if recipe.weights == 'random':
        return ()
    if recipe.weights == 'pretrained':
        return (networks.credit(recipe.network),)
    try:
        return read_card(catalog.resolve(recipe.weights) if model is None else model).attribution
    except (CheckpointError, OSError):
        return ()


def _from_model(recipe: Recipe, labels: Sequence[str], model: Path | None) -> StagedNetwork:
    """Take the stages of a model, and its head if the classes are the same."""
    if model is None and is_hashed(recipe.weights):
        name = recipe.weights.partition('@')[0]
        raise RecipeError(
            f'weights: the recipe starts from a file of the model {name!r}, which is not among '
            'your models; set weights to that file.'
        )
    try:
        stored = load(catalog.resolve(recipe.weights) if model is None else model)
        card = stored.card
        if (card.architecture, card.channels) != (recipe.network, recipe.input.channels):
            raise RecipeError(
                f'weights: the model {card.name!r} is a {card.architecture} with {card.channels} '
                'channel(s); set network and input.channels to match.'
            )
        network = stored.network().train()
        size = (recipe.input.height, recipe.input.width)
        head = head_entries(recipe)
        if (tuple(labels), head, size) == (card.labels, card.head, network.size):
            return network
        return networks.extend(network, len(labels), head, size)
    except (CheckpointError, ValueError, OSError) as error:
        raise RecipeError(f'weights: {error}') from None
