"""Which rows of the table of scores are shown, and in which order. No Qt.

Sorting a hundred thousand rows by comparisons in Python would hold the screen for seconds;
columns of numbers are sorted as arrays, and a text is compared once however often it occurs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_cxr.plugin.scores.filter import Filter
from napari_cxr.plugin.scores.keys import Words
from napari_cxr.plugin.scores.rows import ScoreRows

__all__ = ['Arrivals', 'Order']


@dataclass(frozen=True, eq=False)
class Arrivals:
    """New rows, and where they belong among those that are shown.

    Parameters
    ----------
    at : ndarray of int, shape (n,)
        Before which of the lines shown until now each belongs; rising.
    places : ndarray of int, shape (n,)
        Their places among all rows.
    keys : ndarray, shape (n,)
        What they were sorted by.
    known : int
        How many of them, from the first, have something to be sorted by.
    """

    at: np.ndarray
    places: np.ndarray
    keys: np.ndarray
    known: int

    def runs(self) -> Iterator[slice]:
        """Yield the parts that stay together, from the last to the first."""
        if len(self.at):
            cuts = np.flatnonzero(np.diff(self.at)) + 1
            edges = [0, *cuts.tolist(), len(self.at)]
            yield from (slice(a, b) for a, b in zip(edges[-2::-1], edges[:0:-1], strict=True))


class Order:
    """The rows that a filter lets through, sorted by a column.

    What is not known comes last, whichever way a column is sorted; rows that are equal stay
    in the order in which they came.

    Parameters
    ----------
    rows : ScoreRows
        All rows.
    """

    def __init__(self, rows: ScoreRows) -> None:
        self._rows = rows
        self._seen = 0
        self._known = 0
        self._keys = np.zeros(0)
        self.column, self.descending, self.filter = 'number', False, Filter()
        #: Places of the rows that are shown, from the top, shape (n,).
        self.shown = np.zeros(0, dtype=np.int64)

    def sort(self, column: str, descending: bool) -> None:
        """Sort all rows by a column; KeyError if there is none of that key."""
        self._rows.key(column)
        self.column, self.descending = column, descending
        self.arrange()

    def set_filter(self, wanted: Filter) -> None:
        """Show other rows."""
        self.filter = wanted
        self.arrange()

    def arrange(self) -> None:
        """Filter and sort anew, by what is known now."""
        self._seen = len(self._rows)
        places = np.arange(self._seen)
        if not self.filter.is_open:
            places = places[self.filter.accepts(self._rows, places)]
        key = self._rows.key(self.column)
        values = (key.ranks() if isinstance(key, Words) else key.values)[places]
        order = np.argsort(-values if self.descending else values, kind='stable')  # NaN last
        self.shown = places[order]
        self._known = len(places) - int(np.isnan(values).sum())
        self._keys = self._keys_of(self.shown)

    def arrivals(self) -> Arrivals:
        """Return the rows that came since it was last asked, as far as they are shown."""
        places = np.arange(self._seen, len(self._rows))
        self._seen = len(self._rows)
        places = places[self.filter.accepts(self._rows, places)]
        keys = self._keys_of(places)
        if isinstance(self._rows.key(self.column), Words):
            known = [i for i, text in enumerate(keys) if text]
            order = sorted(known, key=keys.__getitem__, reverse=self.descending)
        else:
            known = np.flatnonzero(~np.isnan(keys)).tolist()
            signed = -keys[known] if self.descending else keys[known]
            order = [known[i] for i in np.argsort(signed, kind='stable')]
        last = np.setdiff1d(np.arange(len(places)), known)
        there = self._keys[: self._known]
        if self.descending:
            at = self._known - np.searchsorted(there[::-1], keys[order], 'left')
        else:
            at = np.searchsorted(there, keys[order], 'right')
        every = np.concatenate([np.array(order, dtype=np.int64), last])
        at = np.concatenate([at, np.full(len(last), len(self.shown))])
        return Arrivals(at.astype(np.int64), places[every], keys[every], len(order))

    def insert(self, arrivals: Arrivals, part: slice = slice(None)) -> None:
        """Show new rows; of several parts the last must come first."""
        at = arrivals.at[part]
        self.shown = np.insert(self.shown, at, arrivals.places[part])
        self._keys = np.insert(self._keys, at, arrivals.keys[part])
        start, stop, _ = part.indices(len(arrivals.at))
        self._known += max(0, min(stop, arrivals.known) - start)

    def fitting(self) -> tuple[int, int]:
        """Return how many rows fit the filter now, and how many are shown that do not."""
        if self.filter.is_open:
            return len(self.shown), 0
        fits = self.filter.accepts(self._rows, np.arange(self._seen))
        return int(fits.sum()), int((~fits[self.shown]).sum())

    def line_of(self, place: int) -> int | None:
        """Return the line in which a row is shown; None if it is not."""
        found = np.flatnonzero(self.shown == place)
        return int(found[0]) if len(found) else None

    def _keys_of(self, places: np.ndarray) -> np.ndarray:
        key = self._rows.key(self.column)
        return key.naturals(places) if isinstance(key, Words) else key.values[places]
