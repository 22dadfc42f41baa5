"""What a person changes about a data set, with undo: images left out, and pairs put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QUndoCommand, QUndoStack

__all__ = ['DataEdits']


class DataEdits(QObject):
    """Images are known by their digests; two files that are alike to the byte are one.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: Digests (list of str), and whether they are left out now.
    excluded = Signal(object, bool)
    #: Two digests, and whether a person says that they are one patient's.
    grouped = Signal(str, str, bool)
    #: Anything changed, by a person or from outside.
    changed = Signal()
    #: What can be undone is another thing now.
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo_stack = QUndoStack(self)
        self.undo_stack.indexChanged.connect(self._history_moved)
        self._out: set[str] = set()
        self._together: set[frozenset[str]] = set()
        #: What a survey has not confirmed yet, and how many surveys have come since.
        self._pending: dict[str, tuple[bool, int]] = {}

    def is_out(self, digest: str) -> bool:
        """Whether an image is left out."""
        return digest in self._out

    def is_together(self, first: str, second: str) -> bool:
        """Whether a person has put two images together."""
        return frozenset((first, second)) in self._together

    @property
    def left_out(self) -> frozenset[str]:
        """All images that are left out."""
        return frozenset(self._out)

    def begin(self, out: Iterable[str], together: Iterable[Sequence[str]] = ()) -> None:
        """Start with another data set, with what a person has changed of it before."""
        self.undo_stack.clear()
        self._pending.clear()
        self._together = {frozenset(pair) for group in together for pair in combinations(group, 2)}
        self._out = set(out)
        self.changed.emit()

    def confirm(self, out: Iterable[str]) -> None:
        """Take over which images are left out by a new look at the same data set.

        A look that began before a person's last click knows nothing of it yet, so what was
        clicked stays until the look after.
        """
        found = set(out)
        waiting = {}
        for digest, (wanted, seen) in self._pending.items():
            if (digest in found) != wanted and not seen:
                waiting[digest] = (wanted, seen + 1)
                (found.add if wanted else found.discard)(digest)
        self._pending = waiting
        self._out = found
        self.changed.emit()

    def leave_out(self, digests: Iterable[str], out: bool = True) -> None:
        """Leave images out, or take them back."""
        wanted = [d for d in dict.fromkeys(digests) if (d in self._out) != out]
        if wanted:
            self.undo_stack.push(_LeaveOut(self, wanted, out))

    def put_together(self, first: str, second: str, together: bool = True) -> None:
        """Say that two images are one patient's, or take that back."""
        if first != second and self.is_together(first, second) != together:
            self.undo_stack.push(_PutTogether(self, first, second, together))

    def _history_moved(self) -> None:
        self.history_changed.emit()

    def _set_out(self, digests: list[str], out: bool) -> None:
        for digest in digests:
            (self._out.add if out else self._out.discard)(digest)
            self._pending[digest] = (out, 0)
        self.changed.emit()
        self.excluded.emit(list(digests), out)

    def _set_together(self, first: str, second: str, together: bool) -> None:
        pair = frozenset((first, second))
        (self._together.add if together else self._together.discard)(pair)
        self.changed.emit()
        self.grouped.emit(first, second, together)


class _LeaveOut(QUndoCommand):
    def __init__(self, edits: DataEdits, digests: list[str], out: bool) -> None:
        count = '1 image' if len(digests) == 1 else f'{len(digests)} images'
        super().__init__(f'{"leaving out" if out else "taking back"} {count}')
        self._edits, self._digests, self._out = edits, digests, out

    def redo(self) -> None:
        """Do it, at first and again."""
        self._edits._set_out(self._digests, self._out)

    def undo(self) -> None:
        """Take it back."""
        self._edits._set_out(self._digests, not self._out)


class _PutTogether(QUndoCommand):
    def __init__(self, edits: DataEdits, first: str, second: str, together: bool) -> None:
        super().__init__('putting a pair together' if together else 'separating a pair')
        self._edits, self._pair, self._together = edits, (first, second), together

    def redo(self) -> None:
        """Do it, at first and again."""
        self._edits._set_together(*self._pair, self._together)

    def undo(self) -> None:
        """Take it back."""
        self._edits._set_together(*self._pair, not self._together)
