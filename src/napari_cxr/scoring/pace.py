"""How fast rows come, and how long that may go on."""

from __future__ import annotations

import math
import time
from collections import deque

from napari_cxr.scoring.events import Progress
from napari_cxr.scoring.journal import Journal

__all__ = ['Pace']

#: Seconds over which the speed is taken.
_LATELY = 20.0


class Pace:
    """How fast rows come."""

    def __init__(self, total: int, journal: Journal) -> None:
        self._total, self._journal = total, journal
        self._lately = deque([(time.monotonic(), 0)])
        self._here = 0

    def count(self, rows: int) -> None:
        """Note that rows are done."""
        now = time.monotonic()
        self._here += rows
        self._lately.append((now, self._here))
        while len(self._lately) > 2 and self._lately[0][0] < now - _LATELY:
            self._lately.popleft()

    def event(self) -> Progress:
        """Return how far it is."""
        began, before = self._lately[0]
        seconds = time.monotonic() - began
        speed = (self._here - before) / seconds if seconds > 0 else 0.0
        left = self._total - self._journal.done
        return Progress(
            done=self._journal.done,
            failed=self._journal.failed,
            total=self._total,
            images_per_second=speed,
            seconds_left=left / speed if speed > 0 else math.nan,
        )
