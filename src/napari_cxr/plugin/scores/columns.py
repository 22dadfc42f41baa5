"""The columns of the table of scores: what people call them, and how their cells read. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_cxr.plugin.scores.rows import ScoreRows
from napari_cxr.scoring.row import Run

__all__ = [
    'PICTURE',
    'Column',
    'class_key',
    'columns_of',
    'other_label',
    'short_warnings',
    'split_path',
]

#: The column of small pictures, which a switch of its own shows.
PICTURE = 'picture'
#: Up to so many classes have wide bars.
_FEW = 6

#: What stands in the table for a caution's code; for others the caution speaks for itself.
_SHORT = {
    'view': 'not frontal',
    'polarity': 'inverted?',
    'not-a-chest': 'not a chest?',
    'upside-down': 'upside down?',
    'mirrored': 'mirrored?',
    'lung-field': 'lungs in doubt',
    'enlarged': 'coarse',
    'lossy': 'lossy',
    'memory': 'little memory',
}

Text = Callable[[ScoreRows, int], str]


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
    return (
        Column(PICTURE, '', 'The radiograph.', 'picture', _nothing, _nothing, _path, 6),
        _number('number', '#', 'Its place in the list of files.', 'number', _place, 5, False),
        Column(
            'file',
            'File',
            'The file; folders that all files share are left out. ✓ marks those you have read.',
            'file',
            lambda rows, place: rows.rows[place].path[len(rows.root) :],
            _path,
            _file_tip,
            22,
        ),
        Column(
            'label',
            'Answer',
            'The most probable class; or why there is none. ▲ marks images that are in doubt;'
            ' after → stands what you said, where it is something else.',
            'answer',
            _answer,
            _plain_answer,
            _answer_tip,
            max([12, *map(len, run.labels)]),
        ),
        *(_class(label, len(run.labels) <= _FEW) for label in run.labels),
        _number(
            'uncertainty',
            'Uncertainty',
            'How undecided the answer is: 0 is sure of one class, 1 could not be less sure.',
            'share',
            lambda rows, place: _figure(rows, 'uncertainty', place, '.2f'),
            8,
            False,
        ),
        _text('called', 'Called', 'The classes whose probability reaches the threshold.', 14),
        Column(
            'truth',
            'Given label',
            'What the folders or a table say. ≠ marks those that are not the answer.',
            'label',
            _label('truth'),
            _word('truth'),
            _label_tip('truth'),
            13,
        ),
        Column(
            'read',
            'My label',
            'What you said while reading. ≠ marks labels that are not the answer.',
            'label',
            _label('read'),
            _word('read'),
            _label_tip('read'),
            13,
        ),
        Column(
            'note',
            'Note',
            'Whether you wrote a note.',
            'note',
            _word('note'),
            _word('note'),
            _word('note'),
            5,
        ),
        Column(
            'warnings',
            'Warnings',
            'Reasons to trust the answer less. ▲ marks those that doubt the image itself.',
            'warnings',
            lambda rows, place: short_warnings(rows, place)[1],
            _warnings,
            _warnings,
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


def short_warnings(rows: ScoreRows, place: int) -> tuple[bool, str]:
    """Return whether any warning doubts the image, and all in a few words."""
    row = rows.rows[place]
    short = (_SHORT.get(caution.code, caution.text) for caution in row.cautions)
    return bool(row.doubts), ', '.join(dict.fromkeys(short))


def other_label(rows: ScoreRows, place: int) -> str:
    """Return what a person said of a row, if it is not the model's answer; else nothing."""
    return rows.words['read'][place] if rows.flags['against_read'].values[place] else ''


def split_path(path: str) -> tuple[str, str]:
    """Return the folder of a path with its separator, and its name."""
    cut = max(path.rfind('/'), path.rfind('\\')) + 1
    return path[:cut], path[cut:]


def _class(label: str, few: bool) -> Column:
    key = class_key(label)

    def tip(rows: ScoreRows, place: int) -> str:
        said = _percent(rows, key, place)
        return f'{label}: {said}' if said else ''

    return Column(
        key,
        label,
        f'The model’s probability of {label}.',
        'bar',
        lambda rows, place: _percent(rows, key, place),
        lambda rows, place: _figure(rows, key, place, '.7g'),
        tip,
        15 if few else 11,
    )


def _text(key: str, title: str, about: str, wide: int, shown: bool = True) -> Column:
    text = _word(key)
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
        return _percent(rows, key, place, '.0f')

    def tip(rows: ScoreRows, place: int) -> str:
        said = text(rows, place)
        if said and key == 'lung_share' and (even := _percent(rows, f'{key}_if_even', place)):
            return f'{said} of the heatmap lies in the lungs; {even} would, if it were even.'
        return said

    def copied(rows: ScoreRows, place: int) -> str:
        return _figure(rows, key, place, '.7g')

    return Column(key, title, about, 'share', text, copied, tip, 7, shown)


def _word(key: str) -> Text:
    return lambda rows, place: rows.words[key][place]


def _figure(rows: ScoreRows, key: str, place: int, form: str) -> str:
    value = rows.numbers[key].values[place]
    return '' if np.isnan(value) else f'{value:{form}}'


def _percent(rows: ScoreRows, key: str, place: int, form: str = '.1f') -> str:
    value = rows.numbers[key].values[place]
    return '' if np.isnan(value) else f'{100 * value:{form}} %'


def _nothing(rows: ScoreRows, place: int) -> str:
    return ''


def _place(rows: ScoreRows, place: int) -> str:
    return f'{rows.rows[place].number + 1:,}'


def _path(rows: ScoreRows, place: int) -> str:
    return rows.rows[place].path


def _file_tip(rows: ScoreRows, place: int) -> str:
    path = rows.rows[place].path
    return f'{path}\nYou said: {said}' if (said := rows.words['read'][place]) else path


def _plain_answer(rows: ScoreRows, place: int) -> str:
    row = rows.rows[place]
    return row.label if row.status == 'scored' else f'Not scored: {row.error}'


def _answer(rows: ScoreRows, place: int) -> str:
    doubt = '▲ ' if rows.rows[place].doubts else ''
    other = other_label(rows, place)
    return f'{doubt}{_plain_answer(rows, place)}{f" → {other}" if other else ""}'


def _answer_tip(rows: ScoreRows, place: int) -> str:
    lines = [_plain_answer(rows, place)]
    if said := rows.words['read'][place]:
        lines.append(f'You said: {said}')
    cautions = rows.rows[place].cautions
    lines += [f'▲ {caution.text}' for caution in cautions if caution.doubts_the_image]
    return '\n'.join(lines)


def _label(key: str) -> Text:
    def text(rows: ScoreRows, place: int) -> str:
        said = rows.words[key][place].replace('|', ', ')
        return f'≠ {said}' if rows.flags[f'against_{key}'].values[place] else said

    return text


def _label_tip(key: str) -> Text:
    def tip(rows: ScoreRows, place: int) -> str:
        said = rows.words[key][place].replace('|', ', ')
        if rows.flags[f'against_{key}'].values[place]:
            return f'{said}; the model says {rows.rows[place].label}'
        return said

    return tip


def _warnings(rows: ScoreRows, place: int) -> str:
    return ' '.join(caution.text for caution in rows.rows[place].cautions)
