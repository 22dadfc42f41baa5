"""Ctrl-C between two steps of a run, where its state is whole and can be kept."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

import typer

__all__ = ['Interrupts']


class Interrupts:
    """Holds a Ctrl-C back until it is asked for; a second one comes through at once.

    Within a step of a run, weights and optimiser do not fit together, so that only what was
    written minutes ago could be kept.

    Parameters
    ----------
    *others : int
        Signals that count as a Ctrl-C, besides its own.
    """

    def __init__(self, *others: int) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}
        ours = threading.current_thread() is threading.main_thread()
        self._signals = (signal.SIGINT, *others) if ours else ()  # others cannot have a handler

    def __enter__(self) -> Interrupts:
        for one in self._signals:
            self._before[one] = signal.signal(one, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def look(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        if self._asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        with suppress(RuntimeError):  # in the middle of another line, where Python lets nobody in
            typer.echo('Stopping after this step; Ctrl-C once more stops at once.', err=True)
