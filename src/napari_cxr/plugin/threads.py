"""Jobs in threads: room for them in Qt's pool, and what napari calls them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from qtpy.QtCore import QThreadPool

__all__ = ['make_room', 'said']

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


class _Said(partial[Any]):
    """A function that prints as words; whether it is a generator can still be told."""

    words: str

    def __str__(self) -> str:
        return self.words


def said(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator, below `thread_worker`, that gives a job words for people.

    napari asks with them whether to close its window while the job runs: "Executing WORDS".
    """

    def decorate(job: Callable[..., Any]) -> Callable[..., Any]:
        named = _Said(job)
        named.words = words
        return named

    return decorate
