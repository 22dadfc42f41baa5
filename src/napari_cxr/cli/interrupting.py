"""Ctrl-C between two steps of a run, where its state is whole and can be kept."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from types import FrameType

import typer

__all__ = ['Interrupts']


class Interrupts:
    """Holds a Ctrl-C back until it is asked for; a second one comes through at once.

    Within a step of a run, weights and optimiser do not fit together, so that only what was
    written minutes ago could be kept.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: object = None
        self._ours = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Interrupts:
        if self._ours:  # others cannot have a handler
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]

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
