"""Filtering and sorting the score table: which rows are shown, and in which order. No Qt.

Sorting a hundred thousand rows by comparisons in Python would block the window for seconds, so
numbers are sorted as arrays, and distinct texts are compared once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from napari_cxr.inference.label_rule import UNDECIDED_ANSWERS
from napari_cxr.plugin.score_table.score_rows import ScoreRows, TextColumn

__all__ = ['NewRows', 'RowFilter', 'RowKind', 'RowOrder']

_WORD = re.compile(r'"([^"]*)"|(\S+)')

#: Columns that are searched for words.
_SEARCHED = ('file', 'status', 'cautions', 'source', 'note')


class RowKind(Enum):
    """Kinds of rows, by their names on screen."""

    ALL = 'All rows'
    SCORED = 'Scored'
    FAILED = 'Failed'
    DOUBTED = 'Doubtful images'
    NOT_DOUBTED = 'Without doubtful images'
    WARNED = 'With an unusual warning'
    PREDICTION_IS_NOT_LABEL = 'Prediction is not the label'
    PREDICTION_IS_NOT_MINE = 'Prediction is not my label'
    NOT_ANNOTATED = 'Not annotated yet'
    NOT_USABLE = 'Not usable'
    DISAGREED = 'Readers disagree'
    NOT_SETTLED = 'Readers disagree, not settled'


@dataclass(frozen=True)
class RowFilter:
    """Conditions for a row to be shown.

    Parameters
    ----------
    text : str
        Words, or phrases in quotation marks, all of which must occur.
    answer : str
        The predicted label, or 'cannot say'; for a model with thresholds, a finding above its
        threshold. Empty for any. Predictions that are withheld match none.
    truth : str
        The true label, in any letter case; empty for any.
    label : str
        The class whose probability must reach `at_least`; empty for none.
    at_least : float
        The minimum probability.
    which : RowKind
        Kind of row.
    only : frozenset of str
        The paths of the only rows to be shown; all if empty.
    only_title : str
        What those rows are, in a few words.
    """

    text: str = ''
    answer: str = ''
    truth: str = ''
    label: str = ''
    at_least: float = 0.5
    which: RowKind = RowKind.ALL
    only: frozenset[str] = frozenset()
    only_title: str = ''

    @property
    def is_open(self) -> bool:
        """Whether all rows match."""
        texts = (self.text.strip(), self.answer, self.truth, self.label)
        return not any(texts) and self.which is RowKind.ALL and not self.only

    def matches(self, rows: ScoreRows, places: np.ndarray) -> np.ndarray:
        """Return which rows match.

        Parameters
        ----------
        rows : ScoreRows
            All rows.
        places : ndarray of int, shape (n,)
            Indices of the rows to check.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        held = _is(self.which, rows, places)
        if self.only:
            held &= np.array([rows.rows[i].path in self.only for i in places], dtype=bool)
        if self.answer:
            held &= _has_prediction(self.answer, rows, places)
        if self.truth:
            given = rows.texts['truth']
            wanted, rule = self.truth.casefold(), rows.rule
            if rule.is_negative(self.truth):
                fitting = [rule.is_negative(text) for text in given.categories]
            else:
                fitting = [wanted in text.casefold().split('|') for text in given.categories]
            held &= np.array(fitting, dtype=bool)[given.codes[places]]
        if self.label:
            held &= rows.numbers[f'p:{self.label}'].values[places] >= self.at_least
        for phrase, word in _WORD.findall(self.text):
            sought, found = (phrase or word).casefold(), np.zeros(len(places), dtype=bool)
            for key in _SEARCHED:
                column = rows.texts[key]
                if column.any:
                    found |= column.containing(sought)[column.codes[places]]
            held &= found
        return held


def _has_prediction(answer: str, rows: ScoreRows, places: np.ndarray) -> np.ndarray:
    """Return which rows have a predicted label, with the shape of `places`."""
    shown = np.full(len(places), True)
    if not rows.reveals_doubtful:
        shown = ~rows.flags['doubted'].values[places]
    if answer in UNDECIDED_ANSWERS and rows.run.rule:
        column = rows.texts['answer']
    elif answer in rows.run.labels and 'thresholds' in rows.run.rule:
        above = rows.texts['above']
        fitting = [answer in text.split(', ') for text in above.categories]
        return shown & np.array(fitting, dtype=bool)[above.codes[places]]
    else:
        column = rows.texts['label']
    return shown & np.asarray(column.codes[places] == column.code_of(answer))


def _is(which: RowKind, rows: ScoreRows, places: np.ndarray) -> np.ndarray:
    scored = rows.flags['scored'].values[places]
    if which is RowKind.SCORED:
        return scored
    if which is RowKind.FAILED:
        return ~scored
    if which is RowKind.DOUBTED:
        return rows.flags['doubted'].values[places]
    if which is RowKind.NOT_DOUBTED:
        return scored & ~rows.flags['doubted'].values[places]
    if which is RowKind.WARNED:
        return rows.warned()[places]
    if which is RowKind.PREDICTION_IS_NOT_LABEL:
        return rows.flags['against_truth'].values[places]
    if which is RowKind.PREDICTION_IS_NOT_MINE:
        return rows.flags['against_read'].values[places]
    if which is RowKind.NOT_USABLE:
        column = rows.texts['read']
        return np.asarray(column.codes[places] == column.code_of('not usable'))
    if which is RowKind.DISAGREED:
        return rows.flags['disagreed'].values[places]
    if which is RowKind.NOT_SETTLED:
        return rows.flags['disagreed'].values[places] & ~rows.flags['read'].values[places]
    if which is RowKind.NOT_ANNOTATED:
        return scored & ~rows.flags['read'].values[places]
    return np.ones(len(places), dtype=bool)


@dataclass(frozen=True, eq=False)
class NewRows:
    """New rows, and their positions among the shown rows.

    Parameters
    ----------
    at : ndarray of int, shape (n,)
        Line, among those shown so far, before which each row belongs; ascending.
    places : ndarray of int, shape (n,)
        Their indices among all rows.
    keys : ndarray, shape (n,)
        Their sort keys.
    known : int
        How many of them have a sort key; they come first.
    """

    at: np.ndarray
    places: np.ndarray
    keys: np.ndarray
    known: int

    def runs(self) -> Iterator[slice]:
        """Yield the ranges of adjacent rows, from the last to the first."""
        if len(self.at):
            cuts = np.flatnonzero(np.diff(self.at)) + 1
            edges = [0, *cuts.tolist(), len(self.at)]
            yield from (slice(a, b) for a, b in zip(edges[-2::-1], edges[:0:-1], strict=True))


class RowOrder:
    """The rows that match a filter, sorted by a column.

    Unknown values come last in both directions; equal rows stay in the order of their arrival.

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
        #: Indices of the shown rows, from the top, shape (n,).
        self.shown = np.zeros(0, dtype=np.int64)

    def sort(self, column: str, descending: bool) -> None:
        """Sort all rows by a column; KeyError if there is none of that key."""
        self._rows.key(column)
        self.column, self.descending = column, descending
        self.arrange()

    def set_filter(self, wanted: RowFilter) -> None:
        """Filter the rows."""
        self.filter = wanted
        self.arrange()

    def arrange(self) -> None:
        """Filter and sort all rows again."""
        self._seen = len(self._rows)
        places = np.arange(self._seen)
        if not self.filter.is_open:
            places = places[self.filter.matches(self._rows, places)]
        key = self._rows.key(self.column)
        values = (key.ranks() if isinstance(key, TextColumn) else key.values)[places]
        order = np.argsort(-values if self.descending else values, kind='stable')  # NaN last
        self.shown = places[order]
        self._known = len(places) - int(np.isnan(values).sum())
        self._keys = self._keys_of(self.shown)

    def arrivals(self) -> NewRows:
        """Return the matching rows that were added since the last call."""
        places = np.arange(self._seen, len(self._rows))
        self._seen = len(self._rows)
        places = places[self.filter.matches(self._rows, places)]
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
        """Insert new rows; of several parts the last must come first."""
        at = arrivals.at[part]
        self.shown = np.insert(self.shown, at, arrivals.places[part])
        self._keys = np.insert(self._keys, at, arrivals.keys[part])
        start, stop, _ = part.indices(len(arrivals.at))
        self._known += max(0, min(stop, arrivals.known) - start)

    def fitting(self) -> tuple[int, int]:
        """Return how many rows match the filter now, and how many are shown that do not."""
        if self.filter.is_open:
            return len(self.shown), 0
        fits = self.filter.matches(self._rows, np.arange(self._seen))
        return int(fits.sum()), int((~fits[self.shown]).sum())

    def line_of(self, place: int) -> int | None:
        """Return the line of a row; None if it is not shown."""
        found = np.flatnonzero(self.shown == place)
        return int(found[0]) if len(found) else None

    def _keys_of(self, places: np.ndarray) -> np.ndarray:
        key = self._rows.key(self.column)
        return key.sort_keys(places) if isinstance(key, TextColumn) else key.values[places]
