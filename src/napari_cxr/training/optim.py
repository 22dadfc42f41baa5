"""How weights follow gradients: optimiser, learning rate, moving average, precision, seeds.

Each part of the network has a learning rate of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from napari_cxr.inference.device import supports_bfloat16
from napari_cxr.networks import StagedNetwork
from napari_cxr.training.recipe import Recipe, ScheduleRecipe

__all__ = [
    'autocast',
    'build_optimiser',
    'precision_of',
    'rate_fraction',
    'seeded',
    'set_learning_rate',
    'update_average',
]


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seed on the CPU and on one device, and leave torch's state as it was."""
    devices = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices=devices):
        # Seeding every kind of device that there might be takes as long as a small step.
        torch.default_generator.manual_seed(seed)
        if device.type != 'cpu':
            torch.manual_seed(seed)
        yield


def precision_of(wanted: str, device: torch.device) -> torch.dtype | None:
    """Return the type of a recipe's `precision` on a device; None for single precision."""
    if wanted == 'float32':
        return None
    if wanted == 'bfloat16':
        return torch.bfloat16
    return torch.bfloat16 if supports_bfloat16(device.type) else None


def autocast(
    precision: torch.dtype | None, device: torch.device
) -> torch.autocast | nullcontext[None]:
    """Return a context that computes in a precision."""
    return nullcontext() if precision is None else torch.autocast(device.type, precision)


def rate_fraction(schedule: ScheduleRecipe, done: float, epochs: int, step: float) -> float:
    """Return the learning rate after `done` epochs, as a share of the highest.

    Parameters
    ----------
    schedule : ScheduleRecipe
        Which course.
    done : float
        Epochs that are done.
    epochs : int
        Of the whole run.
    step : float
        How many epochs one step is; the first step of a warm-up already rises.
    """
    if done < schedule.warm_up:
        return min(1.0, (done + step) / schedule.warm_up)
    if schedule.name == 'constant':
        return 1.0
    if schedule.name == 'stages':
        # Steps add up to whole epochs but for rounding.
        passed = sum(done + step / 2 > after for after in schedule.after)
        return schedule.shares[passed - 1] if passed else 1.0
    # Loshchilov and Hutter, ICLR 2017, equation 5, one cycle down to zero.
    return 0.5 * (1 + math.cos(math.pi * (done - schedule.warm_up) / (epochs - schedule.warm_up)))


def build_optimiser(network: StagedNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Build a recipe's optimiser, with torch's defaults for what a recipe does not say.

    These are betas of 0.9 and 0.999 (Adam, AdamW and Nadam, epsilon 1e-8), and a
    smoothing of 0.99 (RMSprop, epsilon 1e-8; Keras has 0.9 and 1e-7).

    Parameters
    ----------
    network : StagedNetwork
        Where it computes; on a GPU the fused forms are taken where there are any.
    recipe : Recipe
        Its optimiser, and the rates by stage of `freeze`.

    Returns
    -------
    Optimizer
        Frozen parameters are in it too, so that they can thaw; without a gradient they
        stay as they are. Each group has its 'share' of the learning rate, see `set_learning_rate`.
    """
    plan = recipe.optimiser
    groups: list[dict[str, Any]] = []
    stages = list(network.stages.values())
    shares = [recipe.freeze.rate * recipe.freeze.decay**k for k in range(len(stages))]
    for part, share in zip([*stages, network.head], [*shares[::-1], 1.0], strict=True):
        # Only matrices and kernels decay, no biases and no batch norm.
        for matrices in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) is matrices]
            decay = plan.weight_decay if matrices else 0.0
            if chosen:
                groups.append({'params': chosen, 'weight_decay': decay, 'share': share})
    rate = plan.learning_rate
    on_gpu = next(network.parameters()).device.type == 'cuda'
    fused: dict[str, Any] = {'fused': True} if on_gpu else {}
    if plan.name == 'adamw':
        return torch.optim.AdamW(groups, lr=rate, **fused)
    if plan.name == 'adam':
        return torch.optim.Adam(groups, lr=rate, **fused)
    if plan.name == 'nadam':
        return torch.optim.NAdam(groups, lr=rate)
    if plan.name == 'rmsprop':
        return torch.optim.RMSprop(groups, lr=rate, momentum=plan.momentum)
    return torch.optim.SGD(groups, lr=rate, momentum=plan.momentum, **fused)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the head's learning rate, and that of each stage to its share of it."""
    for group in optimiser.param_groups:
        group['lr'] = rate * group['share']


@torch.no_grad()
def update_average(
    average: StagedNetwork,
    network: StagedNetwork,
    decay: float,
    step: int,
    frozen: tuple[str, ...] = (),
) -> None:
    """Move an average of weights towards those of now.

    Parameters
    ----------
    average, network : StagedNetwork
        What moves, and where to; whole numbers are copied.
    decay : float
        Share of the average that stays. It grows to this value like (1 + step) / (10 +
        step), or young averages would remember the random start (as
        `tf.train.ExponentialMovingAverage` with `num_updates`).
    step : int
        From 1.
    frozen : tuple of str
        Stages that have not moved since the start, so that there is nothing to follow.
    """
    decay = min(decay, (1 + step) / (10 + step))
    parts = [name for name in network.stage_names if name not in frozen]
    pairs = [(average.head, network.head)]
    pairs += [(average.stages[name], network.stages[name]) for name in parts]
    for old, new in pairs:
        for kept, now in zip(old.state_dict().values(), new.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(now, 1 - decay)
            else:
                kept.copy_(now)
