"""The response of each filter of a stage to an image, in place. No torch until it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cxr.messages import message_type

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cxr.networks import StagedNetwork
    from napari_cxr.networks.receptive_field import Grid

__all__ = ['FeatureMaps', 'dead_filters', 'stage_grid', 'stage_maps', 'uniform_grid']


@message_type
@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """The maps of all filters of a stage, with their place on the radiograph.

    Parameters
    ----------
    values : ndarray of float32, shape (C, h, w)
        As the stage returns them, a map a filter.
    to_radiograph : ndarray, shape (3, 3)
        Takes a cell (y, x, 1) to the radiograph's pixel (y, x, 1) at which it looks;
        whole numbers are centres of both.
    stage, model : str
        Where the maps come from.
    untraceable : str
        Why the places of the cells are not known; the matrix then spreads them evenly
        over what the network saw. Empty where they are known.

    Raises
    ------
    ValueError
        If the values are not finite maps, or the matrix does not fit.
    """

    values: np.ndarray
    to_radiograph: np.ndarray
    stage: str
    model: str
    untraceable: str = ''

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or 0 in self.values.shape:
            raise ValueError(
                'feature maps have the axes filters, rows and columns, not the shape '
                f'{self.values.shape}'
            )
        if not np.isfinite(self.values).all():
            raise ValueError(
                f'the stage {self.stage!r} returns values that are not finite numbers'
            )
        if self.to_radiograph.shape != (3, 3):
            raise ValueError('feature maps are placed by a 3x3 matrix')

    def activity(self) -> np.ndarray:
        """Return the mean size of each filter's answers, shape (C,)."""
        size: np.ndarray = np.abs(self.values).mean(axis=(1, 2))
        return size


def dead_filters(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return which filters answer alike everywhere.

    Parameters
    ----------
    images : sequence of ndarray, each of shape (C, h, w)
        The maps of one stage for one image or several; their sizes may differ.

    Returns
    -------
    ndarray of bool, shape (C,)
        True where all cells of all images have one value, such as 0 behind a ReLU. Where
        there is but one cell in all, only 0 counts as dead.
    """
    lowest = np.min([maps.min(axis=(1, 2)) for maps in images], axis=0)
    highest = np.max([maps.max(axis=(1, 2)) for maps in images], axis=0)
    dead: np.ndarray = lowest == highest
    if sum(maps[0].size for maps in images) == 1:
        dead = highest == 0
    return dead


def stage_maps(network: StagedNetwork, x: Tensor, stage: str) -> Tensor:
    """Run a network up to a stage, in evaluation mode and without gradients.

    Parameters
    ----------
    network : StagedNetwork
        Its modes stay as they are.
    x : Tensor, shape (N, channels, height, width)
        The network's input.
    stage : str
        One of `network.stage_names`.

    Returns
    -------
    Tensor, shape (N, C, h, w)

    Raises
    ------
    ValueError
        If there is no such stage, or it returns no maps.
    """
    import torch

    from napari_cxr.networks.eval_mode import evaluating

    if stage not in network.stage_names:
        raise ValueError(
            f'There is no stage {stage!r}; there is {", ".join(network.stage_names)}.'
        )
    with evaluating(network), torch.inference_mode():
        maps = network.features_up_to(stage, x)[0]
    if maps.ndim != 4:
        raise ValueError(f'The stage {stage!r} returns no maps of rows and columns.')
    return maps


def stage_grid(network: StagedNetwork, stage: str, height: int, width: int) -> Grid:
    """Return where the cells of a stage's maps look, for an input of this size.

    Raises
    ------
    Untraceable
        If an operation up to there has no place in receptive-field arithmetic.
    """
    from napari_cxr.networks.receptive_field import derive_grid

    up_to = network.stage_names[: network.stage_names.index(stage) + 1]
    return derive_grid(
        [(name, network.stages[name]) for name in up_to], (network.channels, height, width)
    )


def uniform_grid(cells: tuple[int, int], height: int, width: int) -> Grid:
    """Return a grid that spreads cells evenly over an input of this size."""
    from napari_cxr.networks.receptive_field import Grid

    jump = (height / cells[0], width / cells[1])
    return Grid(start=((jump[0] - 1) / 2, (jump[1] - 1) / 2), jump=jump, cells=cells)
