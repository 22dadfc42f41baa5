"""A memory that is full: how it is recognised, and batches that are halved until they fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

__all__ = ['OutOfMemory', 'halved_until_they_fit', 'is_out_of_memory', 'telling']

log = logging.getLogger(__name__)

#: How it is said where there is no class of errors for it: by torch on the processor (Linux,
#: then Windows) and on Apple's GPUs, by cuBLAS and cuDNN, by ONNX Runtime and OpenVINO.
_WORDS = (
    "can't allocate memory",
    'not enough memory',
    'out of memory',
    'alloc_failed',
    'allocation_failed',
    'failed to allocate',
    'bad_alloc',
    'bad allocation',
)


class OutOfMemory(Exception):
    """Not even one image fits into the device's memory."""


def is_out_of_memory(error: Exception) -> bool:
    """Tell a full memory from other errors, of torch and of the libraries in its place."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return any(words in said for words in _WORDS)


@contextmanager
def telling(device: str) -> Iterator[None]:
    """Let whatever says in here that memory is full be an `OutOfMemory`.

    Parameters
    ----------
    device : str
        Whose memory it is, as torch writes it.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _full(device) from None


def halved_until_they_fit(
    run: Callable[[Tensor], tuple[Tensor, ...]], images: np.ndarray, at_most: int, device: str
) -> tuple[list[np.ndarray], int]:
    """Run a batch, at once or in pieces.

    Parameters
    ----------
    run : callable
        Takes a part of the batch on the device; returns tensors of as many rows.
    images : ndarray of float32, shape (n, channels, height, width)
        The batch.
    at_most : int
        Images that are run at once, where it is known that more do not fit; 0 for all.
    device : str
        As torch writes it.

    Returns
    -------
    list of ndarray of float32
        What `run` returns, for the whole batch.
    int
        How many ran at once in the end.

    Raises
    ------
    OutOfMemory
        If not even one image fits.
    """
    batch = torch.from_numpy(images)
    size, start = min(at_most or len(batch), len(batch)), 0
    pieces: list[list[Tensor]] = []
    while start < len(batch):
        try:
            given = run(batch[start : start + size].to(device))
            pieces.append([one.float().cpu() for one in given])
            start += size
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise _full(device) from None
            size = (size + 1) // 2
            log.warning('out of memory: going on with batches of %d', size)
    return [torch.cat(parts).numpy() for parts in zip(*pieces, strict=True)], size


def _full(device: str) -> OutOfMemory:
    if device == 'cpu':
        return OutOfMemory(
            'The memory of this computer is full. Close other programs that use it.'
        )
    return OutOfMemory(
        f'The memory of {device} is full. '
        'Close other programs that use it, or choose the CPU as the device.'
    )
