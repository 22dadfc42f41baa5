"""``napari-cxr recipes``: which recipes and sweeps there are, and the TOML of one.

The parameters of the networks of built-in recipes stand in a table, which
`scripts/recipe_parameters.py` makes; others are counted in torch, without allocating them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.command_options import AsJson, complete_recipes, complete_sweeps
from napari_cxr.cli.terminal_output import echo_page

if TYPE_CHECKING:
    from napari_cxr.training.recipe import HeadRecipe, Recipe
    from napari_cxr.training.sweep import Sweep

__all__ = ['count_parameters', 'counted_parameters', 'parameter_key', 'recipes']


def count_parameters(recipe: Recipe, classes: int) -> tuple[int, int]:
    """Return the parameters of a recipe's network, all and those trainable at the start.

    Parameters
    ----------
    recipe : Recipe
        Its network, head, input and freezing.
    classes : int
        Number of classes.

    Raises
    ------
    RecipeError
        If there is no such network, head or stage.
    """
    from napari_cxr.training.recipe import RecipeError

    size = (recipe.input.height, recipe.input.width)
    try:
        total, stages = _parameters_by_stage(
            recipe.network, classes, recipe.input.channels, size, recipe.head
        )
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


def _parameters_by_stage(
    network: str, classes: int, channels: int, size: tuple[int, int], head: HeadRecipe
) -> tuple[int, dict[str, int]]:
    """Return the number of parameters of a network, and of each stage."""
    from napari_cxr.training.recipe import HeadRecipe
    from napari_cxr.training.recipe.schema import as_table

    entries = {} if head == HeadRecipe() else as_table(head)
    known = _known_parameters().get(parameter_key(network, channels, size, entries))
    if known is not None and (classes == 2 or not entries.get('single')):
        total = sum(known['stages'].values()) + known['head'] + classes * known['each_class']
        return total, known['stages']
    return counted_parameters(network, classes, channels, size, json.dumps(entries))


def parameter_key(
    network: str, channels: int, size: tuple[int, int], head: Mapping[str, Any]
) -> str:
    """Return the key of a network in the table of parameters."""
    return json.dumps([network, channels, *size, dict(head)], sort_keys=True)


@cache
def _known_parameters() -> dict[str, Any]:
    """Read the table: the parameters of stages, and of heads of 0 classes and for each class."""
    table = resources.files('napari_cxr').joinpath('recipes', 'parameters.json')
    known: dict[str, Any] = json.loads(table.read_text(encoding='utf-8'))
    return known


@cache
def counted_parameters(
    network: str, classes: int, channels: int, size: tuple[int, int], head: str
) -> tuple[int, dict[str, int]]:
    """Count the parameters of a network in torch; `head` is JSON, empty for its own."""
    import torch

    from napari_cxr import networks

    with torch.device('meta'):  # shapes without numbers
        made = networks.create(network, classes, channels, size, json.loads(head))
    of_stages = {
        name: sum(p.numel() for p in stage.parameters()) for name, stage in made.stages.items()
    }
    return sum(p.numel() for p in made.parameters()), of_stages


recipes = typer.Typer(
    help='List the recipes and sweeps that can be named, or show one.',
    invoke_without_command=True,
)


@recipes.callback()
def list_recipes(
    context: typer.Context,
    classes: Annotated[
        int,
        typer.Option(min=2, help='Number of classes, where the recipe does not name them.'),
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """List the recipes and sweeps that can be named, with paper, network and parameters."""
    if context.invoked_subcommand is not None:
        return
    from napari_cxr.training import recipe as built_in
    from napari_cxr.training import sweep as sweeps

    rows = [_recipe_row('recipe', built_in.find(name), classes) for name in built_in.names()]
    rows += [_sweep_row(sweeps.find(name), classes) for name in sweeps.names()]
    for row in rows:
        echo_page(json.dumps(row) if as_json else _recipe_text(row))


@recipes.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help='Name of a recipe or sweep, or a TOML file.',
            autocompletion=lambda incomplete: (
                complete_recipes(incomplete) + complete_sweeps(incomplete)
            ),
        ),
    ],
) -> None:
    """Print a recipe or a sweep as TOML, to be edited and given to `train` or `sweep`."""
    from napari_cxr.training import recipe as built_in
    from napari_cxr.training import sweep as sweeps
    from napari_cxr.training.recipe import RecipeError

    try:
        found = sweeps.find(name) if name in sweeps.names() else built_in.find(name)
    except RecipeError as error:
        raise typer.BadParameter(str(error)) from None
    echo_page(found.to_toml())


def _recipe_row(kind: str, recipe: Recipe, classes: int) -> dict[str, Any]:
    """Return the entries of a recipe; its network is not allocated."""
    named = recipe.data.classes or recipe.loss.class_weights
    total, trainable = count_parameters(recipe, len(named) or classes)
    return {
        'kind': kind,
        'name': recipe.name,
        'title': recipe.title,
        'paper': recipe.paper,
        'network': recipe.network,
        'weights': recipe.weights,
        'classes': list(named) or classes,
        'epochs': recipe.epochs,
        'parameters': total,
        'trainable': trainable,
    }


def _sweep_row(plan: Sweep, classes: int) -> dict[str, Any]:
    """Return the entries of a sweep, and of the first run with each network."""
    firsts: dict[str, Recipe] = {}
    for recipe in [run.recipe for run in plan.runs] or [plan.base]:
        firsts.setdefault(recipe.network, recipe)
    networks = [_recipe_row('', recipe, classes) for recipe in firsts.values()]
    of_each = ('network', 'parameters', 'trainable')
    return {
        'kind': 'sweep',
        'name': plan.name,
        'title': plan.title,
        'paper': plan.paper,
        'runs': plan.search.trials if plan.search else len(plan.runs),
        'networks': [{key: network[key] for key in of_each} for network in networks],
    }


def _recipe_text(row: dict[str, Any]) -> str:
    runs = f', {row["runs"]} runs' if 'runs' in row else ''
    lines = [f'{row["name"]} ({row["kind"]}{runs}): {row["title"]}']
    if row['paper']:
        lines.append(f'    {row["paper"]}')
    for network in row.get('networks', [row]):
        size = f'{network["parameters"]:,} parameters, {network["trainable"]:,} trainable'
        lines.append(f'    {network["network"]}: {size}')
    return '\n'.join(lines)
