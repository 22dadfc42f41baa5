"""All rows of the score table, as arrays by which they are sorted and filtered.

Columns of numbers grow at a constant cost per row; each distinct text is stored once, and sorted
as people expect (`x2` before `x10`). No Qt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from napari_cxr.inference.label_rule import known_and_unknown, uncertainty
from napari_cxr.radiograph import View
from napari_cxr.scoring import ScoreRow
from napari_cxr.scoring.annotation import Annotation, model_annotation
from napari_cxr.scoring.score_row import ScoringRun

__all__ = ['AnnotationLookup', 'GrowingArray', 'ScoreRows', 'TextColumn', 'natural_sort_key']

_FIRST = 1024

_DIGITS = re.compile(r'\d+')

#: Numbers with more digits, such as parts of a UID, are not compared as numbers.
_LONGEST = 20


def natural_sort_key(text: str) -> str:
    """Return the sort key of a text, which ignores case and puts 'x2' before 'x10'."""
    return _DIGITS.sub(lambda found: found[0].zfill(_LONGEST), text.casefold())


class GrowingArray:
    """An array to which entries are appended at a constant cost.

    Parameters
    ----------
    dtype : dtype
        Type of its entries.
    """

    def __init__(self, dtype: Any) -> None:
        self._buffer = np.empty(_FIRST, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._count

    def __setitem__(self, place: int, value: Any) -> None:
        """Change one entry."""
        self.values[place] = value

    @property
    def values(self) -> np.ndarray:
        """All entries, shape (n,), valid until more are added."""
        return self._buffer[: self._count]

    def extend(self, values: Sequence[Any] | np.ndarray) -> None:
        """Append entries."""
        count = self._count + len(values)
        if count > len(self._buffer):
            buffer = np.empty(max(count, 2 * len(self._buffer)), dtype=self._buffer.dtype)
            buffer[: self._count] = self.values
            self._buffer = buffer
        self._buffer[self._count : count] = values
        self._count = count


class TextColumn:
    """A column of texts stored as categories and codes, like a categorical of pandas."""

    def __init__(self) -> None:
        self.categories: list[str] = []
        self._codes: dict[str, int] = {}
        self._entries = GrowingArray(np.int64)
        self._sort_keys: list[str] = []
        self._folded: list[str] = []
        self._ranks: np.ndarray = np.zeros(0)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def __getitem__(self, place: int) -> str:
        """Return one entry."""
        return self.categories[self._entries.values[place]]

    def __setitem__(self, place: int, text: str) -> None:
        """Change one entry."""
        self._entries[place] = self._add_category(text)

    @property
    def codes(self) -> np.ndarray:
        """Indices of the entries in `categories`, shape (n,), valid until more are added."""
        return self._entries.values

    @property
    def any(self) -> bool:
        """Whether any text is not empty."""
        return len(self.categories) > ('' in self._codes)

    def code_of(self, text: str) -> int | None:
        """Return the index of a text in `categories`; None if no entry has had it."""
        return self._codes.get(text)

    def extend(self, texts: Iterable[str]) -> None:
        """Append entries."""
        self._entries.extend([self._add_category(text) for text in texts])

    def ranks(self) -> np.ndarray:
        """Return the ranks of the entries, NaN for empty texts, shape (n,)."""
        if len(self._ranks) != len(self.categories):
            order = sorted(range(len(self.categories)), key=self._sort_keys.__getitem__)
            inorder = np.array(self._sort_keys, dtype=object)[order]
            self._ranks = np.zeros(len(order))
            self._ranks[order] = np.cumsum(np.r_[False, inorder[1:] != inorder[:-1]])
            if (empty := self.code_of('')) is not None:
                self._ranks[empty] = np.nan
        return self._ranks[self.codes] if len(self._ranks) else np.zeros(0)

    def sort_keys(self, places: np.ndarray) -> np.ndarray:
        """Return the sort keys of entries, an array of str."""
        sort_keys = np.empty(len(self._sort_keys), dtype=object)
        sort_keys[:] = self._sort_keys
        return sort_keys[self.codes[places]]

    def containing(self, word: str) -> np.ndarray:
        """Return which categories contain a word, given in lower case, shape (m,)."""
        return np.fromiter((word in text for text in self._folded), bool, len(self._folded))

    def _add_category(self, text: str) -> int:
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self.categories)
            self.categories.append(text)
            self._folded.append(text.casefold())
            self._sort_keys.append(natural_sort_key(text))
        return code


#: A warning that makes the image doubtful outweighs any number of others.
_DOUBT = 1000

_NOT_ANNOTATED = Annotation()


class AnnotationLookup(Protocol):
    """Annotations by path, as a reading list of `napari_cxr.scoring.annotation` has them."""

    def get(self, path: str) -> Annotation | None:
        """Return the annotation of a file; None if it has none."""


class ScoreRows:
    """Rows in the order of their arrival, and their columns.

    Columns are computed once, when a row arrives; the index of a row in this order is its
    `place`.

    Parameters
    ----------
    run : Run
        The run that made the rows.
    """

    def __init__(self, run: ScoringRun) -> None:
        self.run = run
        self.rows: list[ScoreRow] = []
        #: The folder that contains all files, ending in a separator.
        self.root = ''
        #: Whether the predictions of doubtful images are shown.
        self.reveals_doubtful = False
        #: The longest file name, without folders.
        self.longest_name = ''
        self.rule = run.label_rule
        self._known = {label.casefold() for label in run.labels}
        self._annotations: AnnotationLookup | None = None
        self._notes: Counter[str] = Counter()  # counts of the other warnings
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
                'marker_fraction',
                'half_peak_lung_fraction',
                'half_peak_lung_lift',
                'uncertainty',
                'reading_order',
            )
        }
        self.texts = {
            key: TextColumn()
            for key in (
                'file',
                'label',
                'answer',
                'above',
                'called',
                'possible',
                'truth',
                'read',
                'note',
                'peak_region',
                'view',
                'source',
                'split',
                'model_split',
                'status',
                'cautions',
            )
        }
        self.flags = {
            key: GrowingArray(np.bool_)
            for key in ('scored', 'doubted', 'read', 'against_truth', 'against_read', 'disagreed')
        }
        self._reading_order: Callable[[str], float] | None = None
        self._disagreed: Collection[str] = frozenset()
        self._blind_numbers: np.ndarray = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def append(self, rows: Sequence[ScoreRow]) -> list[int]:
        """Add rows; a row of a file that has one replaces it.

        Returns
        -------
        list of int
            Indices of the rows that were replaced.
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
        """Return the index of the row of a file; None if it has none."""
        return self.texts['file'].code_of(path)  # each file has one row, so codes are indices

    def set_annotations(self, annotations: AnnotationLookup | None) -> None:
        """Take labels and notes from a reading list, or remove them."""
        self._annotations = annotations
        self.texts['read'], self.texts['note'] = TextColumn(), TextColumn()
        self.flags['read'], self.flags['against_read'] = (
            GrowingArray(np.bool_),
            GrowingArray(np.bool_),
        )
        self._annotate(self.rows)

    @property
    def has_annotations(self) -> bool:
        """Whether there is a reading list."""
        return self._annotations is not None

    def refresh(self, place: int) -> None:
        """Update the annotation of one row."""
        row = self.rows[place]
        entry = self._annotation_of(row)
        self.texts['read'][place], self.texts['note'][place] = self._text(entry), entry.note
        self.flags['read'][place] = entry.read
        self.flags['against_read'][place] = self._is_against_read(row, entry)

    def set_blinded(self, order: Callable[[str], float] | None) -> None:
        """Hide what files are called and what is known of them, or show it again.

        Parameters
        ----------
        order : callable or None
            From a path to the position of its image in the order of reading.
        """
        self._reading_order = order
        self.numbers['reading_order'] = GrowingArray(np.float64)
        self.numbers['reading_order'].extend(self._positions(self.rows))
        self._blind_numbers = np.zeros(0, dtype=np.int64)

    @property
    def is_blinded(self) -> bool:
        """Whether the table is read blinded."""
        return self._reading_order is not None

    def blind_name(self, place: int) -> str:
        """Return what a row is called while it is read blinded: its number in that order."""
        positions = self.numbers['reading_order'].values
        if len(self._blind_numbers) != len(positions):
            ranked = np.where(self.flags['scored'].values, positions, np.inf)
            self._blind_numbers = np.argsort(np.argsort(ranked, kind='stable')) + 1
        return f'Image {self._blind_numbers[place]:,}'

    def set_disagreed(self, paths: Collection[str]) -> None:
        """Take the files on which readers disagree."""
        self._disagreed = frozenset(paths)
        self.flags['disagreed'] = GrowingArray(np.bool_)
        self.flags['disagreed'].extend([row.path in self._disagreed for row in self.rows])

    def is_withheld(self, place: int) -> bool:
        """Return whether the prediction of a row is withheld, because its image is doubtful."""
        return bool(self.flags['doubted'].values[place]) and not self.reveals_doubtful

    def has(self, key: str) -> bool:
        """Return whether a column is not empty."""
        if key in self.numbers:
            return not bool(np.isnan(self.numbers[key].values).all())
        return key not in self.texts or self.texts[key].any

    def longest(self) -> dict[str, str]:
        """Return the longest texts of files, of predictions, and of predictions with labels."""
        tick = '✓ ' if self.texts['read'].any else ''
        doubt = '▲ ' if self.flags['doubted'].values.any() else ''
        answer = max((*self.run.labels, self.rule.negative), key=len)
        against = f' → {answer}' if self.flags['against_read'].values.any() else ''
        return {
            'file': f'{tick}{"Image 8,888" if self.is_blinded else self.longest_name}'
            if self.rows
            else '',
            'answer': f'{doubt}{answer}',
            'against': f'{doubt}{answer}{against}',
        }

    def warned(self) -> np.ndarray:
        """Return which rows have a warning that not all scored rows have, shape (n,).

        A warning of all of them, such as that of lossy compression for JPEG files, does not
        distinguish any.
        """
        scored = int(self.flags['scored'].values.sum())
        shared = {text for text, count in self._notes.items() if count == scored > 1}
        texts = self.texts['cautions'].categories
        own = np.fromiter((not self._cautions[text] <= shared for text in texts), bool, len(texts))
        return own[self.texts['cautions'].codes]

    def key(self, column: str) -> GrowingArray | TextColumn:
        """Return the column to sort by; KeyError if there is none with that key."""
        return self.numbers[column] if column in self.numbers else self.texts[column]

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
            self.texts[key].extend(texts)
        for key, held in self._flags_of(rows).items():
            self.flags[key].extend(held)
        self._annotate(rows)

    def _replace(self, place: int, row: ScoreRow) -> None:
        self._count([self.rows[place]], -1)
        self._count([row], 1)
        self.rows[place] = row
        for key, found in self._numbers_of([row]).items():
            self.numbers[key][place] = found[0]
        for key, texts in _texts_of([row]).items():
            self.texts[key][place] = texts[0]
        for key, held in self._flags_of([row]).items():
            self.flags[key][place] = held[0]
        self.refresh(place)

    def _count(self, rows: Sequence[ScoreRow], by: int) -> None:
        """Count the warnings of rows that were added (1) or replaced (-1)."""
        for row in rows:
            if row.warnings:
                self._cautions[_caution_text(row)] = frozenset(one.text for one in row.warnings)
                for text in {one.text for one in row.warnings if not one.doubts_the_image}:
                    self._notes[text] += by if row.status == 'scored' else 0

    def _numbers_of(self, rows: list[ScoreRow]) -> dict[str, np.ndarray]:
        labels = self.run.labels
        blank = (np.nan,) * len(labels)
        scores = np.array([row.probabilities or blank for row in rows], dtype=np.float64)
        scores = scores.reshape(len(rows), len(labels))
        found = {f'p:{label}': scores[:, i] for i, label in enumerate(labels)}
        found['number'] = np.array([row.number for row in rows], dtype=np.float64)
        doubt = np.array(
            [_DOUBT * len(row.doubts) + len(row.warnings) if row.warnings else 0 for row in rows],
            dtype=np.float64,
        )
        found['warnings'] = np.where(doubt > 0, doubt, np.nan)
        for key in (
            *('half_peak_lung_fraction', 'lung_share', 'lung_share_if_even', 'frame_share'),
            *('marker_fraction', 'half_peak_lung_lift'),
        ):
            found[key] = np.array([getattr(row, key) for row in rows], dtype=np.float64)
        found['reading_order'] = self._positions(rows)
        unsure = np.full(len(rows), np.nan)
        there = np.array([bool(row.probabilities) for row in rows], dtype=bool)
        if there.any():
            unsure[there] = uncertainty(scores[there], self.run.multilabel, self.rule.thresholds)
        found['uncertainty'] = unsure
        return found

    def _positions(self, rows: list[ScoreRow]) -> np.ndarray:
        order = self._reading_order
        return np.array([np.nan if order is None else order(row.path) for row in rows], np.float64)

    def _flags_of(self, rows: list[ScoreRow]) -> dict[str, list[bool]]:
        return {
            'scored': [row.status == 'scored' for row in rows],
            'doubted': [bool(row.doubts) for row in rows],
            'disagreed': [row.path in self._disagreed for row in rows],
            'against_truth': [
                self._is_against(row, *known_and_unknown(row.truth)) if row.truth else False
                for row in rows
            ],
        }

    def _annotate(self, rows: list[ScoreRow]) -> None:
        entries = [self._annotation_of(row) for row in rows]
        self.texts['read'].extend([self._text(entry) for entry in entries])
        self.texts['note'].extend([entry.note for entry in entries])
        self.flags['read'].extend([entry.read for entry in entries])
        self.flags['against_read'].extend(
            [self._is_against_read(row, entry) for row, entry in zip(rows, entries, strict=True)]
        )

    def _annotation_of(self, row: ScoreRow) -> Annotation:
        return (
            self._annotations.get(row.path) if self._annotations is not None else None
        ) or _NOT_ANNOTATED

    def _text(self, entry: Annotation) -> str:
        """Return an annotation as text."""
        if entry.answer == 'labels':
            return ', '.join(entry.labels) or self.rule.negative or 'none of them'
        return 'not usable' if entry.unusable else entry.answer

    def _is_against_read(self, row: ScoreRow, entry: Annotation) -> bool:
        return entry.answer == 'labels' and self._is_against(row, entry.labels)

    def _is_against(
        self, row: ScoreRow, labels: Sequence[str], unknown: Sequence[str] = ()
    ) -> bool:
        """Return whether a prediction differs from labels, if all of them are known classes.

        Of which nobody knows whether the image has them, those do not differ.
        """
        named = {label.strip().casefold() for label in labels}
        if len(named) == 1 and self.rule.is_negative(*named):
            named = set()
        if row.status != 'scored' or not named <= self._known:
            return False
        if not self.run.multilabel:
            return bool(named) and row.label.casefold() not in named
        predicted = model_annotation(
            row, self.run.labels, multilabel=True, decision=self.run.decision
        )
        open_ = {label.casefold() for label in unknown}
        return {label.casefold() for label in predicted} - open_ != named

    def _widen(self, path: str) -> None:
        """Extend the common folder to include a file."""
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
        'possible': [', '.join(row.possible) for row in rows],
        'truth': [row.truth for row in rows],
        'view': ['' if row.view == View.UNKNOWN else row.view for row in rows],
        'peak_region': [row.peak_region for row in rows],
        'source': [row.source for row in rows],
        'split': [row.split for row in rows],
        'model_split': [row.model_split for row in rows],
        'status': [row.error if row.status == 'error' else '' for row in rows],
        'cautions': [_caution_text(row) for row in rows],
    }


def _caution_text(row: ScoreRow) -> str:
    return ' '.join(caution.text for caution in row.warnings)


def _folder(path: str) -> str:
    """Return a path up to its last separator, of any operating system."""
    return path[: max(path.rfind('/'), path.rfind('\\')) + 1]
