"""How the C library hands out memory: on Linux a large part of a CPU run's time."""

from __future__ import annotations

import ctypes
import sys

__all__ = ['keep_freed_memory']

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
