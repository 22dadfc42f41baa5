"""Stages that do not learn, and what they return, computed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear, SingleOutput
from napari_cxr.training.recipe import Recipe, RecipeError

__all__ = ['FrozenOutput', 'averages', 'freeze', 'frozen_stages']

#: Bytes of what frozen stages return for one split: kept in memory up to the first, on the
#: disk up to the second, and beyond it computed again in each epoch.
_IN_MEMORY = 1 << 30
_ON_DISK = 16 << 30


def frozen_stages(network: StagedNetwork, recipe: Recipe, epoch: int) -> tuple[str, ...]:
    """Return the stages that are frozen in an epoch, counted from 0.

    Raises
    ------
    RecipeError
        If the recipe names a stage that is none.
    """
    plan, names = recipe.freeze, network.stage_names
    if plan.up_to == 'nothing':
        return ()
    if plan.up_to == 'everything':
        frozen = names
    elif plan.up_to in names:
        frozen = names[: names.index(plan.up_to) + 1]
    else:
        raise RecipeError(
            f'freeze.up_to: {recipe.network} has no stage {plan.up_to!r}; '
            f"take 'nothing', 'everything' or one of {', '.join(names)}."
        )
    if not plan.thaw_after or epoch < plan.thaw_after:
        return frozen
    if not plan.thaw_every:
        return ()
    thawed = 1 + (epoch - plan.thaw_after) // plan.thaw_every
    return frozen[: max(0, len(frozen) - thawed)]


def freeze(network: StagedNetwork, frozen: tuple[str, ...]) -> None:
    """Put a network into training mode, but for the frozen stages: these stay as they are.

    Their batch norm takes its running statistics and does not move them, and they get no
    gradient.
    """
    network.train()
    for name, stage in network.stages.items():
        stage.requires_grad_(name not in frozen)
        if name in frozen:
            stage.eval()


def averages(head: nn.Module) -> bool:
    """Return whether a head reads the mean of each channel and nothing else.

    Then it may as well be given a map of one cell with these means.
    """
    if isinstance(head, SingleOutput):
        return averages(head.inner)
    if isinstance(head, nn.Sequential) and len(head):
        first = head[0]
        return isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size in (1, (1, 1))
    return isinstance(head, AverageLinear)


class FrozenOutput:
    """What frozen stages return for some items, row by row.

    Computed in batches of their own order, so that it does not depend on the order in
    which an epoch takes them: a resumed run gets the same.

    Parameters
    ----------
    items : ndarray of int
        Which; see `napari_cxr.training.sampling`.
    """

    def __init__(self, items: np.ndarray) -> None:
        self.items = np.unique(items)
        self.tensors: tuple[Tensor, ...] = ()
        self.fits = True

    def fill(
        self, compute: Callable[[np.ndarray], tuple[Tensor, ...]], batch: int, folder: Path
    ) -> Iterator[tuple[int, int]]:
        """Compute it all.

        Parameters
        ----------
        compute : callable
            From items to tensors, each with a row an item.
        batch : int
            Items at once.
        folder : Path
            Where a file may be put, if it does not fit into memory.

        Yields
        ------
        tuple of int
            Items that are done, of how many. It ends early where all would take more room
            than it is worth; `fits` is then False.
        """
        total, done = len(self.items), 0
        while done < total:
            tensors = compute(self.items[done : done + batch])
            if not done:
                size = sum(t[0].numel() * t.element_size() for t in tensors) * total
                self.fits = size <= _ON_DISK
                if not self.fits:
                    return
                on_disk = size > _IN_MEMORY
                self.tensors = tuple(_room(t, total, folder if on_disk else None) for t in tensors)
            for room, tensor in zip(self.tensors, tensors, strict=True):
                room[done : done + len(tensor)] = tensor
            done = min(total, done + batch)
            yield done, total

    def of(self, items: np.ndarray, device: torch.device) -> tuple[Tensor, ...]:
        """Return the rows of some items."""
        rows = torch.from_numpy(np.searchsorted(self.items, items))
        return tuple(tensor[rows].to(device) for tensor in self.tensors)


def _room(like: Tensor, rows: int, folder: Path | None) -> Tensor:
    """Return a tensor for as many rows, in memory or in a file that goes with the process."""
    shape = (rows, *like.shape[1:])
    if folder is None:
        return torch.empty(shape, dtype=like.dtype)
    numel = int(np.prod(shape))
    path = folder / f'.features-{os.getpid()}-{os.urandom(4).hex()}.part'
    room = torch.from_file(str(path), shared=True, size=numel, dtype=like.dtype)
    if os.name != 'nt':  # the file lives on as long as it is mapped; elsewhere a later run tidies
        path.unlink()
    return room.reshape(shape)
