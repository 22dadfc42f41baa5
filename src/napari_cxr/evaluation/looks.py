"""How often one has looked: a ledger of what was measured on a set of images.

What is chosen by looking at a set has been trained on it. A ledger cannot stop that, but it
can be printed beside the figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ['Look', 'Looks']


@dataclass(frozen=True)
class Look:
    """One configuration that was measured on one set.

    Parameters
    ----------
    images : str
        The set it was measured on.
    configuration : str
        What was measured, in words that tell it from all others.
    purpose : str
        'choose', where the figure decided something, or 'report'.
    auc : float
        What it gave.
    time : str
        ISO 8601, UTC.
    """

    images: str
    configuration: str
    purpose: str
    auc: float
    time: str = ''


class Looks:
    """The ledger of one file: a line of JSON for each look, only ever appended to.

    The same configuration that is measured again on the same set for the same purpose is no
    further look: it shows nothing new.

    Parameters
    ----------
    path : Path
        Need not exist yet; its folder is made.

    Raises
    ------
    ValueError
        If a line of the file is no look; the message names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._looks: list[Look] = []
        lines = path.read_text(encoding='utf-8').splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                self._looks.append(Look(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(f'Line {number} of {path.name} is no look: {error}') from None

    def __iter__(self) -> Iterator[Look]:
        return iter(self._looks)

    def add(self, images: str, configuration: str, purpose: str, auc: float) -> None:
        """Write a look down, unless it is there."""
        if purpose not in ('choose', 'report'):
            raise ValueError(f"a look's purpose is 'choose' or 'report', not {purpose!r}")
        key = (images, configuration, purpose)
        if any((look.images, look.configuration, look.purpose) == key for look in self._looks):
            return
        now = datetime.now(UTC).isoformat(timespec='seconds')
        look = Look(images, configuration, purpose, round(float(auc), 4), now)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(asdict(look)) + '\n')
        self._looks.append(look)

    def count(self, images: str = '', purpose: str = '') -> int:
        """Return how many configurations were measured on a set; by default on all sets."""
        return sum(
            (not images or look.images == images) and (not purpose or look.purpose == purpose)
            for look in self._looks
        )
