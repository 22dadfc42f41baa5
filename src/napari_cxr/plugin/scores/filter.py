"""Which rows of the table of scores a person wants to see. No Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

import numpy as np

from napari_cxr.inference.label_rule import CANNOT_SAY
from napari_cxr.plugin.scores.rows import ScoreRows

__all__ = ['Filter', 'Which']

_WORD = re.compile(r'"([^"]*)"|(\S+)')
#: Columns in which words are looked for.
_SEARCHED = ('file', 'status', 'cautions', 'source', 'note')


class Which(Enum):
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
class Filter:
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
    which: Which = Which.ALL

    @property
    def is_open(self) -> bool:
        """Whether it lets all rows through."""
        words = (self.text.strip(), self.answer, self.truth, self.label)
        return not any(words) and self.which is Which.ALL

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


def _is(which: Which, rows: ScoreRows, places: np.ndarray) -> np.ndarray:
    scored = rows.flags['scored'].values[places]
    if which is Which.SCORED:
        return scored
    if which is Which.ERRORS:
        return ~scored
    if which is Which.DOUBTED:
        return rows.flags['doubted'].values[places]
    if which is Which.WARNED:
        return rows.warned()[places]
    if which is Which.AGAINST_TRUTH:
        return rows.flags['against_truth'].values[places]
    if which is Which.AGAINST_READ:
        return rows.flags['against_read'].values[places]
    if which is Which.UNREAD:
        return scored & ~rows.flags['read'].values[places]
    return np.ones(len(places), dtype=bool)
