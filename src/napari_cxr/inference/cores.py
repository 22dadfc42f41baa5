"""How many cores there are to compute on."""

import os

__all__ = ['cores']


def cores() -> int:
    """Return how many cores this process may use; in a container that is often fewer than all."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
