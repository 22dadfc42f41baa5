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
    """Seed the CPU and one device within the context, and restore torch's state afterwards."""
    devices = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices=devices):
        # Seeding all possible devices takes as long as a small step.
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
    """Return the learning rate after `done` epochs, as a fraction of the highest.

    Parameters
    ----------
    schedule : ScheduleRecipe
        The schedule.
    done : float
        Epochs done.
    epochs : int
        Epochs of the whole run.
    step : float
        Length of one step in epochs; the rate is above 0 in the first step of a warm-up.
    """
    if done < schedule.warm_up:
        return min(1.0, (done + step) / schedule.warm_up)
    if schedule.name == 'constant':
        return 1.0
    if schedule.name == 'stages':
        # Steps add up to whole epochs except for rounding.
        passed = sum(done + step / 2 > after for after in schedule.after)
        return schedule.shares[passed - 1] if passed else 1.0
    # Loshchilov and Hutter, ICLR 2017, equation 5, one cycle down to zero.
    return 0.5 * (1 + math.cos(math.pi * (done - schedule.warm_up) / (epochs - schedule.warm_up)))


def build_optimiser(network: StagedNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Build a recipe's optimiser, with torch's defaults for what a recipe does not set.

    These are betas of 0.9 and 0.999 (Adam, AdamW and Nadam, epsilon 1e-8), and a
    smoothing of 0.99 (RMSprop, epsilon 1e-8; Keras has 0.9 and 1e-7).

    Parameters
    ----------
    network : StagedNetwork
        On its device; on a GPU fused implementations are used if there are any.
    recipe : Recipe
        Its optimiser, and the rates by stage of `freeze`.

    Returns
    -------
    Optimizer
        It contains frozen parameters too, so that they can be unfrozen; without a gradient
        they do not change. Each group has its 'share' of the learning rate, see
        `set_learning_rate`.
    """
    plan = recipe.optimiser
    groups: list[dict[str, Any]] = []
    stages = list(network.stages.values())
    rates = [recipe.freeze.rate * recipe.freeze.decay**k for k in range(len(stages))]
    for part, fraction in zip([*stages, network.head], [*rates[::-1], 1.0], strict=True):
        # Weight decay for matrices and kernels only, not for biases and batch norm.
        for matrices in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) is matrices]
            decay = plan.weight_decay if matrices else 0.0
            if chosen:
                groups.append({'params': chosen, 'weight_decay': decay, 'share': fraction})
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
    """Set the head's learning rate, and those of the stages relative to it."""
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
    """Update an exponential moving average of weights.

    Parameters
    ----------
    average, network : StagedNetwork
        The average, and the current network; integers are copied.
    decay : float
        Fraction of the average that remains. It grows to this value like (1 + step) / (10 +
        step), or early averages would remember the random start (as
        `tf.train.ExponentialMovingAverage` with `num_updates`).
    step : int
        From 1.
    frozen : tuple of str
        Stages that have not changed since the start, so their average does not either.
    """
    decay = min(decay, (1 + step) / (10 + step))
    parts = [name for name in network.stage_names if name not in frozen]
    pairs = [(average.head, network.head)]
    pairs += [(average.stages[name], network.stages[name]) for name in parts]
    for old, new in pairs:
        for mean, now in zip(old.state_dict().values(), new.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)
