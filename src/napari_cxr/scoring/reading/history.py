"""What is said of each image now, and the changes that led there, to be taken back."""

from __future__ import annotations

from collections.abc import Iterator

from napari_cxr.scoring.reading.entry import Entry

__all__ = ['History']

#: Path, what was said of it before, and after.
_Change = tuple[str, Entry | None, Entry | None]


class History:
    """What is said of each path, and what was said before.

    Attributes
    ----------
    entries : dict of str to Entry
        What is said now, by path.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._done: list[_Change] = []
        self._undone: list[_Change] = []

    def __bool__(self) -> bool:
        return bool(self._done or self._undone)

    @property
    def to_undo(self) -> tuple[str, Entry | None] | None:
        """The path of the last change, and what was said of it before."""
        return self._done[-1][:2] if self._done else None

    @property
    def to_redo(self) -> tuple[str, Entry | None] | None:
        """The path of the change that was undone last, and what was said of it after."""
        return (self._undone[-1][0], self._undone[-1][2]) if self._undone else None

    def take(self, change: str, path: str, entry: Entry | None) -> None:
        """Take over a change: 'set', 'undo' or 'redo'; history follows as far as it is whole."""
        before = self.entries.get(path)
        if change == 'undo' and self._done:
            self._undone.append(self._done.pop())
        elif change == 'redo' and self._undone:
            self._done.append(self._undone.pop())
        else:
            self._done.append((path, before, entry))
            self._undone.clear()
        if entry is None:
            self.entries.pop(path, None)
        else:
            self.entries[path] = entry

    def labels(self) -> Iterator[str]:
        """Yield all labels that were ever given, as often as they were."""
        for _, _, after in (*self._done, *self._undone):
            yield from after.labels if after is not None else ()
