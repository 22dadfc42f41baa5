"""The methods by which weights follow gradients, with a rate for each part of the network."""

from __future__ import annotations

from typing import Any

import torch

from napari_cxr.networks import StagedNetwork
from napari_cxr.training.recipe import Recipe

__all__ = ['build_optimiser', 'set_rate']


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
        stay as they are. Each group has its 'share' of the learning rate, see `set_rate`.
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


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the head's learning rate, and that of each stage to its share of it."""
    for group in optimiser.param_groups:
        group['lr'] = rate * group['share']
