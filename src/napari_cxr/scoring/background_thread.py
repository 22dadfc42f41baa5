"""Work of seconds in a thread, so that whoever waits for it can do something else, or leave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Generic, TypeVar

__all__ = ['BackgroundThread', 'in_background', 'relay']

T = TypeVar('T')
E = TypeVar('E')
#: How often the wait hands control back, in seconds.
_HEARTBEAT = 0.1
#: How long work that nobody waits for any more may take to end, in seconds.
_GRACE = 0.5


class BackgroundThread(Generic[T]):
    """Work that is being done in a thread.

    Parameters
    ----------
    work : callable
        What to do. The event that it is given tells that nobody waits any more; work that
        does not look at it goes on to its end, and its result is dropped.
    daemon : bool
        Whether the program may end before the work does: not while a library like torch
        computes, which cannot bear that.
    """

    def __init__(self, work: Callable[[threading.Event], T], *, daemon: bool = True) -> None:
        self._work = work
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._ended, self._unwanted = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=daemon)
        self._thread.start()

    def ended(self, within: float = 0.0) -> bool:
        """Tell whether it is done, within so many seconds."""
        return self._ended.wait(within)

    def result(self) -> T:
        """Wait for the result and return it; raises whatever the work raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def drop(self) -> None:
        """Let it go; it has a moment to end well."""
        self._unwanted.set()
        self._thread.join(_GRACE)

    def _go(self) -> None:
        try:
            self._results.append(self._work(self._unwanted))
        except BaseException as error:  # it belongs to whoever waits
            self._error = error
        self._ended.set()


def in_background(
    work: Callable[[threading.Event], T], *, daemon: bool = True
) -> Generator[None, None, T]:
    """Do work in a thread and yield None until it is done; its result is the generator's.

    Closing the generator lets the work go. Raises whatever the work raises. See `Beside`.
    """
    thread = BackgroundThread(work, daemon=daemon)
    try:
        while not thread.ended(_HEARTBEAT):
            yield None
        return thread.result()
    finally:
        thread.drop()


def relay(
    work: Callable[[threading.Event], T], event: Callable[[], E], *, daemon: bool = True
) -> Generator[E, None, T]:
    """Do work in a thread as `in_background` does, and yield events until it is done.

    Parameters
    ----------
    work, daemon
        As of `in_background`.
    event : callable
        Makes the event that is yielded, about ten times a second.
    """
    with closing(in_background(work, daemon=daemon)) as waiting:
        while True:
            try:
                next(waiting)
            except StopIteration as end:
                result: T = end.value
                return result
            yield event()
