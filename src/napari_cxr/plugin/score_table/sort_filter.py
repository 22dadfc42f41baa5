"""Filtering and sorting the score table: which rows are shown, and in which order. No Qt.

Sorting a hundred thousand rows by comparisons in Python would block the screen for seconds;
columns of numbers are sorted as arrays, and a text is compared once however often it occurs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from napari_cxr.inference.label_rule import CANNOT_SAY
from napari_cxr.plugin.score_table.score_rows import ScoreRows, TextColumn

__all__ = ['NewRows', 'RowFilter', 'RowKind', 'RowOrder']

_WORD = re.compile(r'"([^"]*)"|(\S+)')

#: Columns in which words are looked for.
_SEARCHED = ('file', 'status', 'cautions', 'source', 'note')


class RowKind(Enum):
    """Kinds of rows, by what a person calls them."""

    ALL = 'All rows'
    SCORED = 'Scored'
    ERRORS = 'Errors'
    DOUBTED = 'Doubtful images'
    WARNED = 'With a warning of its own'
    AGAINST_TRUTH = 'Answer is not the given label'
    AGAINST_READ = 'Answer is not my label'
    UNREAD = 'Not read yet'


@dataclass(frozen=True)
class RowFilter:
    """What a row must be to be shown.

    Parameters
    ----------
    text : str
        Words, or phrases in quotation marks, that must all occur.
    answer : str
        The model's answer, or 'cannot say'; of a model with findings each one that is above
        its threshold is meant. Empty for any.
    truth : str
        The label that was given, in any case of its letters; empty for any.
    label : str
        The class whose probability must reach `at_least`; empty for none.
    at_least : float
        A probability.
    which : Which
        What kind of row.
    """

    text: str = ''
    answer: str = ''
    truth: str = ''
    label: str = ''
    at_least: float = 0.5
    which: RowKind = RowKind.ALL

    @property
    def is_open(self) -> bool:
        """Whether it lets all rows through."""
        words = (self.text.strip(), self.answer, self.truth, self.label)
        return not any(words) and self.which is RowKind.ALL

    def accepts(self, rows: ScoreRows, places: np.ndarray) -> np.ndarray:
        """Tell which rows it lets through.

        Parameters
        ----------
        rows : ScoreRows
            All rows.
        places : ndarray of int, shape (n,)
            Those in question.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        held = _is(self.which, rows, places)
        if self.answer:
            held &= _answered(self.answer, rows, places)
        if self.truth:
            given = rows.words['truth']
            wanted, rule = self.truth.casefold(), rows.rule
            if rule.is_negative(self.truth):
                fitting = [rule.is_negative(text) for text in given.texts]
            else:
                fitting = [wanted in text.casefold().split('|') for text in given.texts]
            held &= np.array(fitting, dtype=bool)[given.codes[places]]
        if self.label:
            held &= rows.numbers[f'p:{self.label}'].values[places] >= self.at_least
        for phrase, word in _WORD.findall(self.text):
            sought, found = (phrase or word).casefold(), np.zeros(len(places), dtype=bool)
            for key in _SEARCHED:
                words = rows.words[key]
                if words.any:
                    found |= words.containing(sought)[words.codes[places]]
            held &= found
        return held


def _answered(answer: str, rows: ScoreRows, places: np.ndarray) -> np.ndarray:
    """Tell which rows have an answer, shape of `places`."""
    if answer == CANNOT_SAY and rows.run.rule:
        said = rows.words['answer']
    elif answer in rows.run.labels and rows.run.rule:
        above = rows.words['above']
        fitting = [answer in text.split(', ') for text in above.texts]
        return np.array(fitting, dtype=bool)[above.codes[places]]
    else:
        said = rows.words['label']
    return np.asarray(said.codes[places] == said.code(answer))


def _is(which: RowKind, rows: ScoreRows, places: np.ndarray) -> np.ndarray:
    scored = rows.flags['scored'].values[places]
    if which is RowKind.SCORED:
        return scored
    if which is RowKind.ERRORS:
        return ~scored
    if which is RowKind.DOUBTED:
        return rows.flags['doubted'].values[places]
    if which is RowKind.WARNED:
        return rows.warned()[places]
    if which is RowKind.AGAINST_TRUTH:
        return rows.flags['against_truth'].values[places]
    if which is RowKind.AGAINST_READ:
        return rows.flags['against_read'].values[places]
    if which is RowKind.UNREAD:
        return scored & ~rows.flags['read'].values[places]
    return np.ones(len(places), dtype=bool)


@dataclass(frozen=True, eq=False)
class NewRows:
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


class RowOrder:
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
        self.column, self.descending, self.filter = 'number', False, RowFilter()
        #: Places of the rows that are shown, from the top, shape (n,).
        self.shown = np.zeros(0, dtype=np.int64)

    def sort(self, column: str, descending: bool) -> None:
        """Sort all rows by a column; KeyError if there is none of that key."""
        self._rows.key(column)
        self.column, self.descending = column, descending
        self.arrange()

    def set_filter(self, wanted: RowFilter) -> None:
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
        values = (key.ranks() if isinstance(key, TextColumn) else key.values)[places]
        order = np.argsort(-values if self.descending else values, kind='stable')  # NaN last
        self.shown = places[order]
        self._known = len(places) - int(np.isnan(values).sum())
        self._keys = self._keys_of(self.shown)

    def arrivals(self) -> NewRows:
        """Return the rows that came since it was last asked, as far as they are shown."""
        places = np.arange(self._seen, len(self._rows))
        self._seen = len(self._rows)
        places = places[self.filter.accepts(self._rows, places)]
        keys = self._keys_of(places)
        if isinstance(self._rows.key(self.column), TextColumn):
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
        return NewRows(at.astype(np.int64), places[every], keys[every], len(order))

    def insert(self, arrivals: NewRows, part: slice = slice(None)) -> None:
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
        return key.naturals(places) if isinstance(key, TextColumn) else key.values[places]
