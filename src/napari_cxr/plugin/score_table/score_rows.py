"""All rows of the score table, and the keys by which they are sorted and filtered.

Columns of numbers grow at a constant cost per row; each different text is kept once, with the rank
that people expect of it (`x2` before `x10`). No Qt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from napari_cxr.inference.label_rule import uncertainty
from napari_cxr.radiograph import View
from napari_cxr.scoring import ScoreRow
from napari_cxr.scoring.annotation import Annotation, model_annotation
from napari_cxr.scoring.score_row import ScoringRun

__all__ = ['AnnotationLookup', 'GrowingArray', 'ScoreRows', 'TextColumn', 'natural_sort_key']

_FIRST = 1024

_DIGITS = re.compile(r'\d+')

#: Digits of the longest number that counts as one, such as part of a UID.
_LONGEST = 20


def natural_sort_key(text: str) -> str:
    """Return what a text is sorted by: its case is nothing, and 'x2' stands before 'x10'."""
    return _DIGITS.sub(lambda found: found[0].zfill(_LONGEST), text.casefold())


class GrowingArray:
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


class TextColumn:
    """A column of texts, each different one kept once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}
        self._entries = GrowingArray(np.int64)
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
            self._naturals.append(natural_sort_key(text))
        return code


#: A caution that doubts the image outweighs any number of others.
_DOUBT = 1000

_UNREAD = Annotation()


class AnnotationLookup(Protocol):
    """A person's labels, as a `napari_cxr.scoring.annotation` list keeps them."""

    def get(self, path: str) -> Annotation | None:
        """Return what a person said of a file; None if nothing."""


class ScoreRows:
    """Rows in the order in which they came, and a key a column of each.

    Keys are computed once, when a row comes; a row's number in this order is its `place`.

    Parameters
    ----------
    run : Run
        What the rows have in common.
    """

    def __init__(self, run: ScoringRun) -> None:
        self.run = run
        self.rows: list[ScoreRow] = []
        #: The folder that holds all files, with the separator at its end.
        self.root = ''
        #: The longest name of a file, without its folders.
        self.longest_name = ''
        self.rule = run.label_rule
        self._known = {label.casefold() for label in run.labels}
        self._reading: AnnotationLookup | None = None
        self._remarks: Counter[str] = Counter()  # those that do not doubt the image
        self._cautions: dict[str, frozenset[str]] = {'': frozenset()}
        self.numbers = {
            key: GrowingArray(np.float64)
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
            key: TextColumn()
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
            key: GrowingArray(np.bool_)
            for key in ('scored', 'doubted', 'read', 'against_truth', 'against_read')
        }

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)

    def append(self, rows: Sequence[ScoreRow]) -> list[int]:
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

    def set_reading(self, reading: AnnotationLookup | None) -> None:
        """Take labels and notes from another reading list, or from none."""
        self._reading = reading
        self.words['read'], self.words['note'] = TextColumn(), TextColumn()
        self.flags['read'], self.flags['against_read'] = (
            GrowingArray(np.bool_),
            GrowingArray(np.bool_),
        )
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

    def key(self, column: str) -> GrowingArray | TextColumn:
        """Return what a column is sorted by; KeyError if it cannot be."""
        return self.numbers[column] if column in self.numbers else self.words[column]

    def _extend(self, rows: list[ScoreRow]) -> None:
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

    def _replace(self, place: int, row: ScoreRow) -> None:
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

    def _count(self, rows: Sequence[ScoreRow], by: int) -> None:
        """Note the cautions of rows that come, or of one that goes."""
        for row in rows:
            if row.cautions:
                self._cautions[_caution_text(row)] = frozenset(one.text for one in row.cautions)
                for text in {one.text for one in row.cautions if not one.doubts_the_image}:
                    self._remarks[text] += by if row.status == 'scored' else 0

    def _numbers_of(self, rows: list[ScoreRow]) -> dict[str, np.ndarray]:
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
            unsure[there] = uncertainty(scores[there], self.run.multilabel, self.rule.thresholds)
        found['uncertainty'] = unsure
        return found

    def _flags_of(self, rows: list[ScoreRow]) -> dict[str, list[bool]]:
        return {
            'scored': [row.status == 'scored' for row in rows],
            'doubted': [bool(row.doubts) for row in rows],
            'against_truth': [
                self._is_against(row, row.truth.split('|')) if row.truth else False for row in rows
            ],
        }

    def _read(self, rows: list[ScoreRow]) -> None:
        said = [self._said(row) for row in rows]
        self.words['read'].extend([self._text(entry) for entry in said])
        self.words['note'].extend([entry.note for entry in said])
        self.flags['read'].extend([entry.read for entry in said])
        self.flags['against_read'].extend(
            [self._is_against_read(row, entry) for row, entry in zip(rows, said, strict=True)]
        )

    def _said(self, row: ScoreRow) -> Annotation:
        return (self._reading.get(row.path) if self._reading is not None else None) or _UNREAD

    def _text(self, entry: Annotation) -> str:
        """Return what a person said of an image."""
        if entry.answer == 'labels':
            return ', '.join(entry.labels) or self.rule.negative or 'none of them'
        return entry.answer

    def _is_against_read(self, row: ScoreRow, entry: Annotation) -> bool:
        return entry.answer == 'labels' and self._is_against(row, entry.labels)

    def _is_against(self, row: ScoreRow, labels: Sequence[str]) -> bool:
        """Return whether an answer is another than some labels, all of which the model knows."""
        named = {label.strip().casefold() for label in labels}
        if len(named) == 1 and self.rule.is_negative(*named):
            named = set()
        if row.status != 'scored' or not named <= self._known:
            return False
        if not self.run.multilabel:
            return row.label.casefold() not in named
        said = model_annotation(row, self.run.labels, multilabel=True, decision=self.run.decision)
        return {label.casefold() for label in said} != named

    def _widen(self, path: str) -> None:
        """Make the common folder one that holds this file too."""
        if not self.rows and not self.root:
            self.root = _folder(path)
        while not path.startswith(self.root):
            self.root = _folder(self.root[:-1])


def _texts_of(rows: list[ScoreRow]) -> dict[str, list[str]]:
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


def _caution_text(row: ScoreRow) -> str:
    return ' '.join(caution.text for caution in row.cautions)


def _folder(path: str) -> str:
    """Return a path up to its last separator, of whichever system."""
    return path[: max(path.rfind('/'), path.rfind('\\')) + 1]
