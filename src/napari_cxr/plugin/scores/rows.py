"""All rows of the table of scores, and what they are sorted and filtered by. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from napari_cxr.plugin.scores.keys import Growing, Words
from napari_cxr.radiograph import View
from napari_cxr.scoring import Row
from napari_cxr.scoring.reading.entry import Entry, models_answer
from napari_cxr.scoring.row import Run
from napari_cxr.scoring.uncertainty import uncertainty

__all__ = ['Reading', 'ScoreRows']

#: A caution that doubts the image outweighs any number of others.
_DOUBT = 1000
_UNREAD = Entry()


class Reading(Protocol):
    """A person's labels, as `napari_cxr.scoring.reading.reading_list.ReadingList` keeps them."""

    def get(self, path: str) -> Entry | None:
        """Return what a person said of a file; None if nothing."""


class ScoreRows:
    """Rows in the order in which they came, and a key a column of each.

    Keys are computed once, when a row comes; a row's number in this order is its `place`.

    Parameters
    ----------
    run : Run
        What the rows have in common.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: list[Row] = []
        #: The folder that holds all files, with the separator at its end.
        self.root = ''
        #: The longest name of a file, without its folders.
        self.longest_name = ''
        self.rule = run.label_rule
        self._known = {label.casefold() for label in run.labels}
        self._reading: Reading | None = None
        self._remarks: Counter[str] = Counter()  # those that do not doubt the image
        self._cautions: dict[str, frozenset[str]] = {'': frozenset()}
        self.numbers = {
            key: Growing(np.float64)
            for key in (
                'number',
                *(f'p:{label}' for label in run.labels),
                'warnings',
                'lung_share',
                'lung_share_if_even',
                'frame_share',
                'uncertainty',
            )
        }
        self.words = {
            key: Words()
            for key in (
                'file',
                'label',
                'answer',
                'above',
                'called',
                'truth',
                'read',
                'note',
                'view',
                'source',
                'status',
                'cautions',
            )
        }
        self.flags = {
            key: Growing(np.bool_)
            for key in ('scored', 'doubted', 'read', 'against_truth', 'against_read')
        }

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)

    def append(self, rows: Sequence[Row]) -> list[int]:
        """Add rows; one whose file is there already takes its place.

        Returns
        -------
        list of int
            Places of the rows that were replaced.
        """
        replaced, fresh = {}, {}
        for row in rows:
            place = self.place_of(row.path)
            if place is None:
                fresh[row.path] = row
            else:
                replaced[place] = row
        self._extend(list(fresh.values()))
        for place, row in replaced.items():
            self._replace(place, row)
        return list(replaced)

    def place_of(self, path: str) -> int | None:
        """Return the place of a file's row; None if it has none."""
        return self.words['file'].code(path)  # no file comes twice, so codes are places

    def set_reading(self, reading: Reading | None) -> None:
        """Take labels and notes from another reading list, or from none."""
        self._reading = reading
        self.words['read'], self.words['note'] = Words(), Words()
        self.flags['read'], self.flags['against_read'] = Growing(np.bool_), Growing(np.bool_)
        self._read(self.rows)

    @property
    def is_read(self) -> bool:
        """Whether there is a reading list."""
        return self._reading is not None

    def refresh(self, place: int) -> None:
        """Take anew what a person said of one file."""
        row = self.rows[place]
        entry = self._said(row)
        self.words['read'][place], self.words['note'][place] = self._text(entry), entry.note
        self.flags['read'][place] = entry.read
        self.flags['against_read'][place] = self._is_against_read(row, entry)

    def has(self, key: str) -> bool:
        """Return whether any row has something in a column."""
        if key in self.numbers:
            return not bool(np.isnan(self.numbers[key].values).all())
        return key not in self.words or self.words[key].any

    def longest(self) -> dict[str, str]:
        """Return the longest texts of files, of answers, and of answers with a person's own."""
        tick = '✓ ' if self.words['read'].any else ''
        doubt = '▲ ' if self.flags['doubted'].values.any() else ''
        answer = max((*self.run.labels, self.rule.negative), key=len)
        against = f' → {answer}' if self.flags['against_read'].values.any() else ''
        return {
            'file': f'{tick}{self.longest_name}' if self.rows else '',
            'answer': f'{doubt}{answer}',
            'against': f'{doubt}{answer}{against}',
        }

    def warned(self) -> np.ndarray:
        """Tell which rows have a warning that not all scored rows have, shape (n,).

        Of JPEG files, say, each has the remark that something was lost: that sets none apart.
        """
        scored = int(self.flags['scored'].values.sum())
        shared = {text for text, count in self._remarks.items() if count == scored > 1}
        texts = self.words['cautions'].texts
        own = np.fromiter((not self._cautions[text] <= shared for text in texts), bool, len(texts))
        return own[self.words['cautions'].codes]

    def key(self, column: str) -> Growing | Words:
        """Return what a column is sorted by; KeyError if it cannot be."""
        return self.numbers[column] if column in self.numbers else self.words[column]

    def _extend(self, rows: list[Row]) -> None:
        for row in rows:
            self._widen(row.path)
            name = row.path[len(_folder(row.path)) :]
            self.longest_name = max(self.longest_name, name, key=len)
        self.rows += rows
        self._count(rows, 1)
        for key, found in self._numbers_of(rows).items():
            self.numbers[key].extend(found)
        for key, texts in _texts_of(rows).items():
            self.words[key].extend(texts)
        for key, held in self._flags_of(rows).items():
            self.flags[key].extend(held)
        self._read(rows)

    def _replace(self, place: int, row: Row) -> None:
        self._count([self.rows[place]], -1)
        self._count([row], 1)
        self.rows[place] = row
        for key, found in self._numbers_of([row]).items():
            self.numbers[key][place] = found[0]
        for key, texts in _texts_of([row]).items():
            self.words[key][place] = texts[0]
        for key, held in self._flags_of([row]).items():
            self.flags[key][place] = held[0]
        self.refresh(place)

    def _count(self, rows: Sequence[Row], by: int) -> None:
        """Note the cautions of rows that come, or of one that goes."""
        for row in rows:
            if row.cautions:
                self._cautions[_caution_text(row)] = frozenset(one.text for one in row.cautions)
                for text in {one.text for one in row.cautions if not one.doubts_the_image}:
                    self._remarks[text] += by if row.status == 'scored' else 0

    def _numbers_of(self, rows: list[Row]) -> dict[str, np.ndarray]:
        labels = self.run.labels
        blank = (np.nan,) * len(labels)
        scores = np.array([row.probabilities or blank for row in rows], dtype=np.float64)
        scores = scores.reshape(len(rows), len(labels))
        found = {f'p:{label}': scores[:, i] for i, label in enumerate(labels)}
        found['number'] = np.array([row.number for row in rows], dtype=np.float64)
        doubt = np.array(
            [_DOUBT * len(row.doubts) + len(row.cautions) if row.cautions else 0 for row in rows],
            dtype=np.float64,
        )
        found['warnings'] = np.where(doubt > 0, doubt, np.nan)
        for key in ('lung_share', 'lung_share_if_even', 'frame_share'):
            found[key] = np.array([getattr(row, key) for row in rows], dtype=np.float64)
        unsure = np.full(len(rows), np.nan)
        there = np.array([bool(row.probabilities) for row in rows], dtype=bool)
        if there.any():
            unsure[there] = uncertainty(scores[there], self.run.several, self.rule.thresholds)
        found['uncertainty'] = unsure
        return found

    def _flags_of(self, rows: list[Row]) -> dict[str, list[bool]]:
        return {
            'scored': [row.status == 'scored' for row in rows],
            'doubted': [bool(row.doubts) for row in rows],
            'against_truth': [
                self._is_against(row, row.truth.split('|')) if row.truth else False for row in rows
            ],
        }

    def _read(self, rows: list[Row]) -> None:
        said = [self._said(row) for row in rows]
        self.words['read'].extend([self._text(entry) for entry in said])
        self.words['note'].extend([entry.note for entry in said])
        self.flags['read'].extend([entry.read for entry in said])
        self.flags['against_read'].extend(
            [self._is_against_read(row, entry) for row, entry in zip(rows, said, strict=True)]
        )

    def _said(self, row: Row) -> Entry:
        return (self._reading.get(row.path) if self._reading is not None else None) or _UNREAD

    def _text(self, entry: Entry) -> str:
        """Return what a person said of an image."""
        if entry.answer == 'labels':
            return ', '.join(entry.labels) or self.rule.negative or 'none of them'
        return entry.answer

    def _is_against_read(self, row: Row, entry: Entry) -> bool:
        return entry.answer == 'labels' and self._is_against(row, entry.labels)

    def _is_against(self, row: Row, labels: Sequence[str]) -> bool:
        """Return whether an answer is another than some labels, all of which the model knows."""
        named = {label.strip().casefold() for label in labels}
        if len(named) == 1 and self.rule.is_negative(*named):
            named = set()
        if row.status != 'scored' or not named <= self._known:
            return False
        if not self.run.several:
            return row.label.casefold() not in named
        said = models_answer(row, self.run.labels, several=True, decision=self.run.decision)
        return {label.casefold() for label in said} != named

    def _widen(self, path: str) -> None:
        """Make the common folder one that holds this file too."""
        if not self.rows and not self.root:
            self.root = _folder(path)
        while not path.startswith(self.root):
            self.root = _folder(self.root[:-1])


def _texts_of(rows: list[Row]) -> dict[str, list[str]]:
    return {
        'file': [row.path for row in rows],
        'label': [row.label for row in rows],
        'answer': [row.answer for row in rows],
        'above': [', '.join(row.above) for row in rows],
        'called': [', '.join(row.called) for row in rows],
        'truth': [row.truth for row in rows],
        'view': ['' if row.view == View.UNKNOWN else row.view for row in rows],
        'source': [row.source for row in rows],
        'status': [row.error if row.status == 'error' else '' for row in rows],
        'cautions': [_caution_text(row) for row in rows],
    }


def _caution_text(row: Row) -> str:
    return ' '.join(caution.text for caution in row.cautions)


def _folder(path: str) -> str:
    """Return a path up to its last separator, of whichever system."""
    return path[: max(path.rfind('/'), path.rfind('\\')) + 1]
