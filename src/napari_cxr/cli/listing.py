"""``napari-cxr info`` and ``recipes``: what there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.options import AsJson, Files

if TYPE_CHECKING:
    from napari_cxr.training import Recipe
    from napari_cxr.training.sweep import Sweep

__all__ = ['info', 'recipes']


def info(paths: Files) -> None:
    """Print what each file is, as one JSON object a line, without identity."""
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.workers.decoding import shared_decoder

    decoder = shared_decoder()
    failed = False
    for path in paths:
        try:
            row = {'path': str(path)} | decoder.describe(path)
        except UnreadableImage as error:
            failed = True
            row = {'path': str(path), 'error': str(error)}
        typer.echo(json.dumps(row))
    decoder.close()
    if failed:
        raise typer.Exit(1)


def recipes(
    classes: Annotated[
        int,
        typer.Option(min=2, help='Classes to count with, where the recipe does not name them.'),
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """List the recipes and sweeps that can be named, with paper, network and parameters."""
    from napari_cxr.training import recipes as shelf
    from napari_cxr.training.sweep import find, names

    rows = [_of_recipe('recipe', shelf.find(name), classes) for name in shelf.names()]
    rows += [_of_sweep(find(name), classes) for name in names()]
    for row in rows:
        typer.echo(json.dumps(row) if as_json else _as_text(row))


def _of_recipe(kind: str, recipe: Recipe, classes: int) -> dict[str, Any]:
    """Return what is said of a recipe; its network takes no memory."""
    from napari_cxr.cli.counting import counted

    named = recipe.data.classes or recipe.loss.class_weights
    total, trainable = counted(recipe, len(named) or classes)
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


def _of_sweep(plan: Sweep, classes: int) -> dict[str, Any]:
    """Return what is said of a sweep: of each network, that of the first run with it."""
    firsts: dict[str, Recipe] = {}
    for recipe in [run.recipe for run in plan.runs] or [plan.base]:
        firsts.setdefault(recipe.network, recipe)
    networks = [_of_recipe('', recipe, classes) for recipe in firsts.values()]
    of_each = ('network', 'parameters', 'trainable')
    return {
        'kind': 'sweep',
        'name': plan.name,
        'title': plan.title,
        'paper': plan.paper,
        'runs': plan.search.trials if plan.search else len(plan.runs),
        'networks': [{key: network[key] for key in of_each} for network in networks],
    }


def _as_text(row: dict[str, Any]) -> str:
    runs = f', {row["runs"]} runs' if 'runs' in row else ''
    lines = [f'{row["name"]} ({row["kind"]}{runs}): {row["title"]}']
    if row['paper']:
        lines.append(f'    {row["paper"]}')
    for network in row.get('networks', [row]):
        size = f'{network["parameters"]:,} parameters, of which {network["trainable"]:,} learn'
        lines.append(f'    {network["network"]}: {size}')
    return '\n'.join(lines)
