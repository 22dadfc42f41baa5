"""Room in Qt's thread pool for jobs that only wait."""

from __future__ import annotations

from functools import cache

from qtpy.QtCore import QThreadPool

__all__ = ['make_room']

#: Threads that wait for processes cost next to nothing.
_ENOUGH = 16


@cache
def make_room() -> None:
    """Let more jobs be under way than there are cores.

    Qt's pool has as many threads as there are cores, for threads that compute. Ours wait for
    processes that do: scoring and training hold one each for hours, and with two cores nothing
    else would ever begin.
    """
    pool = QThreadPool.globalInstance()
    if pool is not None:
        pool.setMaxThreadCount(max(pool.maxThreadCount(), _ENOUGH))
