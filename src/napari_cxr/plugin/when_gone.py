"""What is still to be done when a Qt object goes, whichever way it goes."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject

__all__ = ['when_gone']


class _Farewell:
    """One call, which is kept here until it is made."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        _FAREWELLS.add(self)

    def say(self) -> None:
        """Make the call."""
        _FAREWELLS.discard(self)
        self._act()


_FAREWELLS: set[_Farewell] = set()


def when_gone(thing: QObject, act: Callable[[], None]) -> None:
    """Call something once when a Qt object is destroyed.

    PyQt owns functions that are connected, as part of the sender: where the sender is garbage,
    Python's collector takes them from it first, and then `destroyed` crashes napari. Of a
    method it holds only a weak reference, so its object must be, and is, kept elsewhere.

    Parameters
    ----------
    thing : QObject
        Whose end matters.
    act : callable
        What to call; it must not hold `thing`, or that never goes.
    """
    thing.destroyed.connect(_Farewell(act).say)
