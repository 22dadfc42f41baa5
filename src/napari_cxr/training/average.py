"""A moving average of the weights."""

from __future__ import annotations

import torch

from napari_cxr.networks import StagedNetwork

__all__ = ['follow']


@torch.no_grad()
def follow(
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
