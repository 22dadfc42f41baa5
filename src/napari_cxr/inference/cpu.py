"""The processor: how many cores there are, and how the C library hands out memory.

On Linux the latter is a large part of a CPU run's time. Needs no torch.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ['available_cores', 'compute_threads', 'keep_freed_memory', 'limit_torch', 'one_core']


def available_cores() -> int:
    """Return how many cores this process may use; in a container that is often fewer than all."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compute_threads() -> int:
    """Return how many threads a network takes: as many as there are cores, or see `one_core`.

    Where torch is loaded it says how many; else OMP_NUM_THREADS may say it, as it does to torch.
    """
    if _within:
        return 1
    torch = sys.modules.get('torch')
    if torch is not None:
        return int(torch.get_num_threads())
    chosen = os.environ.get('OMP_NUM_THREADS', '')
    return int(chosen) if chosen.isdecimal() and int(chosen) else available_cores()


@contextmanager
def one_core() -> Iterator[None]:
    """Let a batch take one core of the processor, in whatever thread it runs.

    So no thread waits for another while decoders want its core, and the last digits of an
    answer do not depend on the number of cores. Runs of several threads may overlap: the
    last to leave restores what the first found.
    """
    global _within
    with _lock:
        _within += 1
    limit_torch()
    try:
        yield
    finally:
        with _lock:
            _within -= 1
        limit_torch()


def limit_torch() -> None:
    """Let torch, if it is loaded, take as many threads as `one_core` says, or else its own."""
    global _own
    torch = sys.modules.get('torch')
    if torch is None:
        return
    with _lock:
        if _within and not _own:
            _own = torch.get_num_threads()
            torch.set_num_threads(1)
        elif _own and not _within:
            torch.set_num_threads(_own)
            _own = 0


_lock = threading.Lock()

#: Runs in `one_core`, and the threads that torch had before; 0 while it has them.
_within, _own = 0, 0


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
