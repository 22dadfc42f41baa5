"""Count what one image costs in the networks of built-in recipes.

    python scripts/recipe_costs.py

Writes the table from which the Train dock says how long a training takes and how much memory
it needs, without importing torch; to be run together with `recipe_parameters.py`.
"""

import json
from pathlib import Path

import torch
from recipe_parameters import all_recipes
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import napari_cxr
from napari_cxr import networks
from napari_cxr.cli.recipes_command import parameter_key
from napari_cxr.training.recipe import HeadRecipe
from napari_cxr.training.recipe.schema import as_table

TABLE = Path(napari_cxr.__file__).parent / 'recipes' / 'costs.json'


def main() -> None:
    found = table()
    TABLE.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    print(f'{TABLE.name}: {len(found)} networks')


def table() -> dict[str, dict[str, int]]:
    """Return what an image costs in the networks of all recipes, by `parameter_key`."""
    found = {}
    for one in all_recipes():
        entries = {} if one.head == HeadRecipe() else as_table(one.head)
        size, channels = (one.input.height, one.input.width), one.input.channels
        key = parameter_key(one.network, channels, size, entries)
        if key not in found:
            found[key] = costs(one.network, channels, size, entries)
    return dict(sorted(found.items()))


def costs(network: str, channels: int, size: tuple[int, int], head: dict) -> dict[str, int]:
    """Return the operations of a forward pass, and the numbers that modules put out."""
    with torch.device('meta'):  # shapes without numbers
        made = networks.create(network, 2, channels, size, head).eval()
        image = torch.zeros(1, channels, *size)
    outputs = 0

    def count(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal outputs
        if isinstance(output, torch.Tensor):
            outputs += output.numel()

    for module in made.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter:
        made(image)
    return {'operations': counter.get_total_flops(), 'outputs': outputs}


if __name__ == '__main__':
    main()
