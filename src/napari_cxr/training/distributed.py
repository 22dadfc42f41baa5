"""One run in several processes, as torchrun starts them.

Each process takes its part of every batch, so the run equals that of one process with the
same batch up to rounding, except for batch norm, which on a CPU sees its own part only, and
dropout, which is drawn for each part. On GPUs batch norm is synchronised.

All processes need the images and the run's folder under the same paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, distributed, nn

from napari_cxr.networks import StagedNetwork

__all__ = ['Ranks', 'device_of_rank', 'join_processes']

#: How long processes wait for each other: the first one alone reads all images.
_PATIENCE = timedelta(hours=24)


@dataclass(frozen=True)
class Ranks:
    """The processes of a run.

    Parameters
    ----------
    rank : int
        The number of this one.
    count : int
        How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and reports events."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait for the others."""
        if self.count > 1:
            distributed.barrier()

    def own_rows(self, total: int) -> slice:
        """Return the rows of a batch that this process takes."""
        ends = np.linspace(0, total, self.count + 1).astype(int)
        return slice(int(ends[self.rank]), int(ends[self.rank + 1]))

    def gather(self, rows: Tensor, total: int) -> Tensor:
        """Return the rows of all processes in order; each passes those of its part.

        Parameters
        ----------
        rows : Tensor, shape (n, k)
            Of this process.
        total : int
            Rows of all.
        """
        if self.count == 1:
            return rows
        everything = rows.new_zeros(total, *rows.shape[1:])
        everything[self.own_rows(total)] = rows
        distributed.all_reduce(everything)  # adds zeros, so that nothing is rounded
        return everything

    def data_parallel(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Return a module whose gradients are averaged over all processes."""
        if self.count == 1:
            return module
        devices = [device] if device.type == 'cuda' else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def sync_batch_norm(self, network: StagedNetwork, device: torch.device) -> StagedNetwork:
        """Return a network whose batch norm sees the batch of all processes, on GPUs."""
        if self.count == 1 or device.type != 'cuda':
            return network
        converted: StagedNetwork = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted


def device_of_rank(device: str) -> str:
    """Return the device of this process: under torchrun each takes the GPU of its number."""
    local = os.environ.get('LOCAL_RANK')
    if local is None or device not in ('auto', 'cuda') or not torch.cuda.is_available():
        return device
    return f'cuda:{local}'


@contextmanager
def join_processes(device: str) -> Iterator[Ranks]:
    """Join the other processes, if torchrun started this one.

    Parameters
    ----------
    device : str
        The device of this process; NCCL joins GPUs, Gloo everything else.
    """
    count = int(os.environ.get('WORLD_SIZE', '1'))
    if count < 2 or 'RANK' not in os.environ:
        yield Ranks()
        return
    on_gpu = device.startswith('cuda')
    if on_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group('nccl' if on_gpu else 'gloo', timeout=_PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
