"""The columns of the table of scores: what people call them, and their usual order. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_cxr.plugin.scores import cells
from napari_cxr.plugin.scores.cells import Text
from napari_cxr.plugin.scores.rows import ScoreRows
from napari_cxr.scoring.row import Run

__all__ = [
    'PICTURE',
    'Column',
    'class_key',
    'columns_of',
]

#: The column of small pictures, which a switch of its own shows.
PICTURE = 'picture'
_LABEL = 'The finding that is furthest above its threshold, or that there is none'
_ANSWER = 'The label, or “cannot say” where the model does not decide.'
_ABOVE = 'The findings that reach their thresholds, the furthest above first.'
#: Up to so many classes have wide bars.
_FEW = 6


@dataclass(frozen=True, eq=False)
class Column:
    """One column.

    Parameters
    ----------
    key : str
        What it is called by `ScoreTable.sort_by` and in the preferences.
    title : str
        What stands above it.
    about : str
        One sentence that explains it.
    kind : str
        How its cells are drawn.
    text : callable
        From all rows and a place to what the cell says; empty where nothing is known.
    copied : callable
        The same, to what is copied to other programs.
    tip : callable
        The same, to all that there is to say.
    wide : int
        Figures that it has room for.
    shown : bool
        Whether it is shown unless a person says otherwise.
    """

    key: str
    title: str
    about: str
    kind: Literal[
        'picture', 'number', 'file', 'answer', 'bar', 'text', 'label', 'warnings', 'share', 'note'
    ]
    text: Text
    copied: Text
    tip: Text
    wide: int = 10
    shown: bool = True

    @property
    def is_number(self) -> bool:
        """Whether it is sorted from the largest first, and stands at the right."""
        return self.kind in ('number', 'bar', 'share', 'warnings')


def class_key(label: str) -> str:
    """Return the key of a class's column."""
    return f'p:{label}'


def columns_of(run: Run) -> tuple[Column, ...]:
    """Return the columns that a table of a run can have, in the order in which they stand."""
    rule = run.label_rule
    return (
        Column(
            PICTURE, '', 'The radiograph.', 'picture', cells.nothing, cells.nothing, cells.path, 6
        ),
        _number(
            'number',
            '#',
            'Its place in the list of files.',
            'number',
            cells.place_in_list,
            5,
            False,
        ),
        Column(
            'file',
            'File',
            'The file; folders that all files share are left out. ✓ marks those you have read.',
            'file',
            cells.file,
            cells.path,
            cells.file_tip,
            22,
        ),
        Column(
            'label',
            'Label' if run.rule else 'Answer',
            f'{_LABEL if run.rule else "The most probable class"}; or why there is none. ▲ marks'
            ' images that are in doubt; after → stands what you said, where it is something else'
            ' and there is room.',
            'answer',
            cells.answer,
            cells.plain_answer,
            cells.answer_tip,
            max([12, *map(len, (*run.labels, rule.negative))]),
        ),
        *([_text('answer', 'Answer', _ANSWER, 12)] if rule.undecided else []),
        *([_text('above', 'Above', _ABOVE, 18)] if run.rule and len(run.labels) > 1 else []),
        Column(
            'truth',
            'Given label',
            'What the folders or a table say. ≠ marks those that are not the answer.',
            'label',
            cells.label('truth'),
            cells.word('truth'),
            cells.label_tip('truth'),
            13,
        ),
        *(_class(label, len(run.labels) <= _FEW) for label in run.labels),
        _number(
            'uncertainty',
            'Uncertainty',
            'How undecided the answer is: 0 is sure of one class, 1 could not be less sure.',
            'share',
            lambda rows, place: cells.figure(rows, 'uncertainty', place, '.2f'),
            8,
            False,
        ),
        _text('called', 'Called', 'The classes whose probability reaches the threshold.', 14),
        Column(
            'read',
            'My label',
            'What you said while reading. ≠ marks labels that are not the answer.',
            'label',
            cells.label('read'),
            cells.word('read'),
            cells.label_tip('read'),
            13,
        ),
        Column(
            'note',
            'Note',
            'Whether you wrote a note.',
            'note',
            cells.word('note'),
            cells.word('note'),
            cells.word('note'),
            5,
        ),
        Column(
            'warnings',
            'Warnings',
            'Reasons to trust the answer less. ▲ marks those that doubt the image itself.',
            'warnings',
            lambda rows, place: cells.short_warnings(rows, place)[1],
            cells.warnings,
            cells.warnings,
            17,
        ),
        _share('lung_share', 'In lungs', 'Share of the heatmap that lies in the lungs.', True),
        _text('view', 'View', 'The view position, by the header.', 8),
        _text('source', 'Source', 'The collection or hospital, as a table says.', 14),
        _share(
            'lung_share_if_even', 'If even', 'What that share would be if it were even.', False
        ),
        _share('frame_share', 'At edge', 'Share of the heatmap at the edge of the image.', False),
        _text('status', 'Error', 'Why a file has no answer.', 24, False),
    )


def _class(label: str, few: bool) -> Column:
    key = class_key(label)

    def tip(rows: ScoreRows, place: int) -> str:
        said = cells.percent(rows, key, place)
        return f'{label}: {said}' if said else ''

    return Column(
        key,
        label,
        f'The model’s probability of {label}, in another colour where you said {label} instead.',
        'bar',
        lambda rows, place: cells.percent(rows, key, place),
        lambda rows, place: cells.figure(rows, key, place, '.7g'),
        tip,
        15 if few else 11,
    )


def _text(key: str, title: str, about: str, wide: int, shown: bool = True) -> Column:
    text = cells.word(key)
    return Column(key, title, about, 'text', text, text, text, wide, shown)


def _number(
    key: str,
    title: str,
    about: str,
    kind: Literal['number', 'share'],
    text: Text,
    wide: int,
    shown: bool = True,
) -> Column:
    def plain(rows: ScoreRows, place: int) -> str:
        return text(rows, place).replace(',', '')

    return Column(key, title, about, kind, text, plain, text, wide, shown)


def _share(key: str, title: str, about: str, shown: bool) -> Column:
    def text(rows: ScoreRows, place: int) -> str:
        return cells.percent(rows, key, place, '.0f')

    def tip(rows: ScoreRows, place: int) -> str:
        said = text(rows, place)
        if said and key == 'lung_share' and (even := cells.percent(rows, f'{key}_if_even', place)):
            return f'{said} of the heatmap lies in the lungs; {even} would, if it were even.'
        return said

    def copied(rows: ScoreRows, place: int) -> str:
        return cells.figure(rows, key, place, '.7g')

    return Column(key, title, about, 'share', text, copied, tip, 7, shown)
