"""Columns that grow: numbers, and texts in the order in which people expect them. No Qt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ['Growing', 'Words', 'natural']

_FIRST = 1024
_DIGITS = re.compile(r'\d+')
#: Digits of the longest number that counts as one, such as part of a UID.
_LONGEST = 20


def natural(text: str) -> str:
    """Return what a text is sorted by: its case is nothing, and 'x2' stands before 'x10'."""
    return _DIGITS.sub(lambda found: found[0].zfill(_LONGEST), text.casefold())


class Growing:
    """An array with room to grow: adding costs the same however long it is.

    Parameters
    ----------
    dtype : dtype
        Of its entries.
    """

    def __init__(self, dtype: Any) -> None:
        self._room = np.empty(_FIRST, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        """Return how many entries there are."""
        return self._count

    def __setitem__(self, place: int, value: Any) -> None:
        """Change one entry."""
        self.values[place] = value

    @property
    def values(self) -> np.ndarray:
        """All entries, shape (n,), good until more are added."""
        return self._room[: self._count]

    def extend(self, values: Sequence[Any] | np.ndarray) -> None:
        """Add entries."""
        count = self._count + len(values)
        if count > len(self._room):
            room = np.empty(max(count, 2 * len(self._room)), dtype=self._room.dtype)
            room[: self._count] = self.values
            self._room = room
        self._room[self._count : count] = values
        self._count = count


class Words:
    """A column of texts, each different one kept once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}
        self._entries = Growing(np.int64)
        self._naturals: list[str] = []
        self._folded: list[str] = []
        self._ranks: np.ndarray = np.zeros(0)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)

    def __getitem__(self, place: int) -> str:
        """Return one entry."""
        return self.texts[self._entries.values[place]]

    def __setitem__(self, place: int, text: str) -> None:
        """Change one entry."""
        self._entries[place] = self._code_for(text)

    @property
    def codes(self) -> np.ndarray:
        """What each entry is in `texts`, shape (n,), good until more are added."""
        return self._entries.values

    @property
    def any(self) -> bool:
        """Whether there is any text that is not empty."""
        return len(self.texts) > ('' in self._codes)

    def code(self, text: str) -> int | None:
        """Return where a text is in `texts`; None if no entry has had it."""
        return self._codes.get(text)

    def extend(self, texts: Iterable[str]) -> None:
        """Add entries."""
        self._entries.extend([self._code_for(text) for text in texts])

    def ranks(self) -> np.ndarray:
        """Return numbers in the order of the texts, NaN for empty ones, shape (n,)."""
        if len(self._ranks) != len(self.texts):
            order = sorted(range(len(self.texts)), key=self._naturals.__getitem__)
            inorder = np.array(self._naturals, dtype=object)[order]
            self._ranks = np.zeros(len(order))
            self._ranks[order] = np.cumsum(np.r_[False, inorder[1:] != inorder[:-1]])
            if (empty := self.code('')) is not None:
                self._ranks[empty] = np.nan
        return self._ranks[self.codes] if len(self._ranks) else np.zeros(0)

    def naturals(self, places: np.ndarray) -> np.ndarray:
        """Return what entries are sorted by, an array of str."""
        naturals = np.empty(len(self._naturals), dtype=object)
        naturals[:] = self._naturals
        return naturals[self.codes[places]]

    def containing(self, word: str) -> np.ndarray:
        """Return which of the different texts hold a word in lower case, shape (m,)."""
        return np.fromiter((word in text for text in self._folded), bool, len(self._folded))

    def _code_for(self, text: str) -> int:
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self.texts)
            self.texts.append(text)
            self._folded.append(text.casefold())
            self._naturals.append(natural(text))
        return code
