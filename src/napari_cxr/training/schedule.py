"""How the learning rate goes over the epochs."""

from __future__ import annotations

import math

from napari_cxr.training.recipe import ScheduleRecipe

__all__ = ['share_of_rate']


def share_of_rate(schedule: ScheduleRecipe, done: float, epochs: int, step: float) -> float:
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
