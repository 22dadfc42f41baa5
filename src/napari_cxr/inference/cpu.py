"""The processor: how many cores there are, and how the C library hands out memory.

On Linux the latter is a large part of a CPU run's time. Needs no torch.
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ['available_cores', 'compute_threads', 'keep_freed_memory']


def available_cores() -> int:
    """Return how many cores this process may use; in a container that is often fewer than all."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compute_threads() -> int:
    """Return how many threads a network takes: torch's number where torch is loaded."""
    torch = sys.modules.get('torch')
    if torch is not None:
        return int(torch.get_num_threads())
    chosen = os.environ.get('OMP_NUM_THREADS', '')
    return int(chosen) if chosen.isdecimal() and int(chosen) else available_cores()


#: Names of mallopt's parameters in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell glibc to keep what a step has freed for the next, instead of giving it back.

    Else each large tensor is fresh memory that the kernel clears page by page: with it a
    forward pass of 32 images takes about half the time. For a process whose work is
    training, a worker or the command line; it holds as much memory as its largest step.

    Returns
    -------
    bool
        Whether that was possible: not where the C library is another one.
    """
    if not sys.platform.startswith('linux'):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version.restype = ctypes.c_char_p
        mallopt = library.mallopt
    except (OSError, AttributeError):
        return False
    wanted = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20}
    done = [mallopt(name, value) == 1 for name, value in wanted.items()]
    return all(done)
