"""What a training would cost here: time, memory and download, before it is started. No torch.

Operations and outputs of the networks of built-in recipes stand in `recipes/costs.json`
(`scripts/recipe_costs.py`); how fast this machine computes is measured for a moment. What is
said is a range: a network reaches between a third and nine tenths of a processor's speed in
multiplying matrices, less the more cores share its memory.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.training.recipe import HeadRecipe, Recipe
from napari_cxr.training.recipe.schema import as_table

__all__ = ['TrainingCosts', 'cost_text', 'estimate_costs', 'measure_speed']

#: Fractions of the measured speed that networks reach, at best and at worst.
_BEST, _WORST = 0.9, 0.3
#: A step forwards and backwards costs as much as so many forwards.
_BACKWARD = 3
#: Seconds until torch has started and the metrics are computed, at best and at worst.
_AROUND = (5.0, 40.0)
#: Seconds in which one core reads an image that nobody has read yet: of uncompressed files, and
#: of wavelets in full.
_READING = (0.03, 1.2)
#: Bytes of a process with torch; of each output that a step keeps; of each parameter with its
#: gradient and what the optimiser knows of it.
_TORCH, _OUTPUT, _PARAMETER = 0.8e9, 5, 16
#: Bytes of ImageNet's weights on the servers, by network: 4 a parameter.
_FLOAT = 4


@dataclass(frozen=True)
class TrainingCosts:
    """What a training would cost.

    Parameters
    ----------
    seconds : tuple of float
        At best and at worst, all epochs included. Early stopping makes it less.
    memory : float
        Bytes of the process that trains.
    download : float
        Bytes that would have to be downloaded first; 0 if nothing.
    images : int
        For so many images.
    """

    seconds: tuple[float, float]
    memory: float
    download: float
    images: int


def measure_speed() -> float:
    """Return how many operations one core does in a second, in float32; takes a tenth of one."""
    side = 384
    a = np.random.default_rng(0).random((side, side), dtype=np.float32)
    best = float('inf')
    for _ in range(12):
        start = time.thread_time()
        a @ a
        best = min(best, time.thread_time() - start)
    return 2 * side**3 / max(best, 1e-6)


def estimate_costs(
    recipe: Recipe, images: int, speed: float, *, cores: int = 0, read: bool = False
) -> TrainingCosts | None:
    """Estimate what a training on the processor would cost.

    Parameters
    ----------
    recipe : Recipe
        How it is trained.
    images : int
        How many images there are, those of all splits.
    speed : float
        Of `measure_speed`.
    cores : int
        How many cores compute; 0 for those of this machine.
    read : bool
        Whether the images are read already.

    Returns
    -------
    TrainingCosts or None
        None for a network of which nothing is known.
    """
    known = _known_costs(recipe)
    if known is None:
        return None
    cores = cores or os.cpu_count() or 1
    forward = known['operations']
    runs = recipe.split.folds if recipe.split.method == 'k-fold' and not recipe.split.fold else 1
    held_out = min(recipe.split.val + recipe.split.test, 0.9)
    trained = images * (1 - held_out)
    if recipe.freeze.up_to == 'everything' and not recipe.freeze.thaw_after:
        # Once, for every view of each image; the epochs of a last layer cost next to nothing.
        operations = forward * images * max(recipe.freeze.views, 1)
    else:
        steps = _BACKWARD * trained + images * held_out
        operations = forward * steps * recipe.epochs
    operations *= runs
    times = []
    for fraction, reading, around in zip((_BEST, _WORST), _READING, _AROUND, strict=True):
        seconds = operations / (speed * fraction * (cores if fraction == _BEST else cores**0.7))
        times.append(seconds + around * runs + (0 if read else images * reading / cores))
    parameters = known['parameters']
    trainable = recipe.freeze.up_to != 'everything' or bool(recipe.freeze.thaw_after)
    kept = recipe.batch * known['outputs'] * _OUTPUT if trainable else 0
    memory = _TORCH + parameters * (_PARAMETER if trainable else _FLOAT) + kept
    return TrainingCosts((times[0], times[1]), memory, _download_bytes(recipe, parameters), images)


def cost_text(costs: TrainingCosts) -> str:
    """Return costs in a few words: '2 to 8 min · 2 GB memory · no download'."""
    low, high = (_minutes(each) for each in costs.seconds)
    time_text = low if low == high else f'{_without_unit(low, high)} to {high}'
    memory = f'{max(round(costs.memory / 1e9), 1)} GB memory'
    download = f'{round(costs.download / 1e6):,} MB download' if costs.download else 'no download'
    return f'{time_text} · {memory} · {download}'


def _minutes(seconds: float) -> str:
    """Return a time no more exact than it is known."""
    if seconds < 50:
        return f'{max(10, 10 * round(seconds / 10))} s'
    minutes = seconds / 60
    if minutes < 50:
        return f'{round(minutes) if minutes < 10 else 5 * round(minutes / 5)} min'
    hours = minutes / 60
    if hours < 40:
        return f'{max(round(hours), 1)} h'
    return f'{round(hours / 24)} days'


def _without_unit(low: str, high: str) -> str:
    number, unit = low.split(' ')
    return number if high.endswith(f' {unit}') else low


def _known_costs(recipe: Recipe) -> dict[str, Any] | None:
    entries = {} if recipe.head == HeadRecipe() else as_table(recipe.head)
    size = recipe.input.height, recipe.input.width
    key = json.dumps([recipe.network, recipe.input.channels, *size, entries], sort_keys=True)
    costs, parameters = _table('costs').get(key), _table('parameters').get(key)
    if costs is None or parameters is None:
        return None
    total = sum(parameters['stages'].values()) + parameters['head'] + 2 * parameters['each_class']
    return {**costs, 'parameters': total}


@cache
def _table(name: str) -> dict[str, Any]:
    table = resources.files('napari_cxr').joinpath('recipes', f'{name}.json')
    found: dict[str, Any] = json.loads(table.read_text(encoding='utf-8'))
    return found


def _download_bytes(recipe: Recipe, parameters: int) -> float:
    """Return what the weights weigh on their server; 0 where they are here, or are not needed."""
    if recipe.weights != 'pretrained' or recipe.network.startswith('tf_efficientnet_lite'):
        return 0
    cache_folder = Path(os.environ.get('TORCH_HOME') or Path.home() / '.cache' / 'torch')
    there = cache_folder / 'hub' / 'checkpoints'
    if any(there.glob(f'{recipe.network}-*.pth')):
        return 0
    return float(parameters * _FLOAT)
