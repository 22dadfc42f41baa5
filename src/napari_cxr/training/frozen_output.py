"""What frozen stages return, computed once and kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_cxr.training.inputs import fits_beside

__all__ = ['FrozenOutput']

#: Bytes of what frozen stages return for one split: kept in memory up to the first (the
#: GPU's, if it has room), on the disk up to the second, and beyond it computed again in
#: each epoch.
_IN_MEMORY = 1 << 30
_ON_DISK = 16 << 30


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
                on_disk = size > _IN_MEMORY
                # A full disk under a mapped file would end the process.
                most = min(_ON_DISK, shutil.disk_usage(folder).free // 2) if on_disk else size
                self.fits = size <= most
                if not self.fits:
                    return
                where = tensors[0].device if fits_beside(tensors[0].device, size) else 'cpu'
                self.tensors = tuple(
                    _on_disk(t, total, folder)
                    if on_disk
                    else torch.empty((total, *t.shape[1:]), dtype=t.dtype, device=where)
                    for t in tensors
                )
            for room, tensor in zip(self.tensors, tensors, strict=True):
                room[done : done + len(tensor)] = tensor
            done = min(total, done + batch)
            yield done, total

    def of(self, items: np.ndarray, device: torch.device) -> tuple[Tensor, ...]:
        """Return the rows of some items."""
        rows = torch.from_numpy(np.searchsorted(self.items, items))
        return tuple(tensor[rows.to(tensor.device)].to(device) for tensor in self.tensors)


def _on_disk(like: Tensor, rows: int, folder: Path) -> Tensor:
    """Return a tensor for as many rows, in a file that goes with the process."""
    shape = (rows, *like.shape[1:])
    numel = int(np.prod(shape))
    path = folder / f'.features-{os.getpid()}-{os.urandom(4).hex()}.part'
    room = torch.from_file(str(path), shared=True, size=numel, dtype=like.dtype)
    if os.name != 'nt':  # the file lives on as long as it is mapped; elsewhere a later run tidies
        path.unlink()
    return room.reshape(shape)
