"""Count the parameters of the networks of built-in recipes and sweeps.

    python scripts/recipe_parameters.py

Writes the table that `napari-cxr recipes` reads instead of importing torch; to be run whenever
a network, or a recipe's network, input or head, has changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import napari_cxr
from napari_cxr.cli.recipes_command import counted_parameters, parameter_key
from napari_cxr.training import recipe as built_in
from napari_cxr.training import sweep as sweeps
from napari_cxr.training.recipe import HeadRecipe, Recipe
from napari_cxr.training.recipe.schema import as_table

TABLE = Path(napari_cxr.__file__).parent / 'recipes' / 'parameters.json'


def main() -> None:
    text = json.dumps(table(), indent=1)  # stages stay in their order
    TABLE.write_text(text + '\n', encoding='utf-8')
    print(f'{TABLE.name}: {len(json.loads(text))} networks')


def table() -> dict[str, object]:
    """Return the parameters of the networks of all recipes, by `parameter_key`."""
    found = {}
    for one in all_recipes():
        entries = {} if one.head == HeadRecipe() else as_table(one.head)
        size, channels = (one.input.height, one.input.width), one.input.channels
        key = parameter_key(one.network, channels, size, entries)
        if key not in found:
            found[key] = entry(one.network, channels, size, entries)
    return dict(sorted(found.items()))


def entry(network: str, channels: int, size: tuple[int, int], head: dict) -> dict[str, object]:
    """Return what the table says of one network; its last layer grows evenly with the classes."""
    of_two, stages = counted_parameters(network, 2, channels, size, json.dumps(head))
    each = 0
    if not head.get('single'):
        each = counted_parameters(network, 3, channels, size, json.dumps(head))[0] - of_two
    return {
        'stages': stages,
        'head': of_two - sum(stages.values()) - 2 * each,
        'each_class': each,
    }


def all_recipes() -> Iterator[Recipe]:
    """Yield the built-in recipes, and the first of each network of the built-in sweeps."""
    for name in built_in.names():
        yield built_in.find(name)
    for name in sweeps.names():
        plan = sweeps.find(name)
        yield from [run.recipe for run in plan.runs] or [plan.base]


if __name__ == '__main__':
    main()
