"""What the cells of the table of scores say, from all rows and a row's place. No Qt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cxr.plugin.score_table.score_rows import ScoreRows

__all__ = [
    'CellText',
    'answer',
    'answer_tip',
    'file',
    'file_tip',
    'label',
    'label_tip',
    'nothing',
    'number',
    'other_label',
    'path',
    'percent',
    'place_in_list',
    'plain_answer',
    'short_warnings',
    'split_path',
    'text_of',
    'warnings',
]

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

CellText = Callable[[ScoreRows, int], str]


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


def text_of(key: str) -> CellText:
    """Return the text of a column of words."""
    return lambda rows, place: rows.words[key][place]


def number(rows: ScoreRows, key: str, place: int, form: str) -> str:
    """Return a figure as it is copied; empty where nothing is known."""
    value = rows.numbers[key].values[place]
    return '' if np.isnan(value) else f'{value:{form}}'


def percent(rows: ScoreRows, key: str, place: int, form: str = '.1f') -> str:
    """Return a share in per cent."""
    value = rows.numbers[key].values[place]
    return '' if np.isnan(value) else f'{100 * value:{form}} %'


def nothing(rows: ScoreRows, place: int) -> str:
    """Return an empty text."""
    return ''


def place_in_list(rows: ScoreRows, place: int) -> str:
    """Return the place in the list of files, from 1."""
    return f'{rows.rows[place].number + 1:,}'


def path(rows: ScoreRows, place: int) -> str:
    """Return the path."""
    return rows.rows[place].path


def file(rows: ScoreRows, place: int) -> str:
    """Return the path without the folders that all files share."""
    return rows.rows[place].path[len(rows.root) :]


def file_tip(rows: ScoreRows, place: int) -> str:
    """Return the path, and what a person said."""
    path = rows.rows[place].path
    return f'{path}\nYou said: {said}' if (said := rows.words['read'][place]) else path


def plain_answer(rows: ScoreRows, place: int) -> str:
    """Return the model’s answer, or why there is none."""
    row = rows.rows[place]
    return row.label if row.status == 'scored' else f'Not scored: {row.error}'


def answer(rows: ScoreRows, place: int) -> str:
    """Return the answer with a mark of doubt, and what a person said that is something else."""
    doubt = '▲ ' if rows.rows[place].doubts else ''
    other = other_label(rows, place)
    return f'{doubt}{plain_answer(rows, place)}{f" → {other}" if other else ""}'


def answer_tip(rows: ScoreRows, place: int) -> str:
    """Return the answer, what a person said, and what doubts the image."""
    lines = [plain_answer(rows, place)]
    if said := rows.words['read'][place]:
        lines.append(f'You said: {said}')
    cautions = rows.rows[place].cautions
    lines += [f'▲ {caution.text}' for caution in cautions if caution.doubts_the_image]
    return '\n'.join(lines)


def label(key: str) -> CellText:
    """Return the text of a column of labels, with a mark where one is not the answer."""

    def text(rows: ScoreRows, place: int) -> str:
        said = rows.words[key][place].replace('|', ', ')
        return f'≠ {said}' if rows.flags[f'against_{key}'].values[place] else said

    return text


def label_tip(key: str) -> CellText:
    """Return the tip of a column of labels."""

    def tip(rows: ScoreRows, place: int) -> str:
        said = rows.words[key][place].replace('|', ', ')
        if rows.flags[f'against_{key}'].values[place]:
            return f'{said}; the model says {rows.rows[place].label}'
        return said

    return tip


def warnings(rows: ScoreRows, place: int) -> str:
    """Return all cautions."""
    return ' '.join(caution.text for caution in rows.rows[place].cautions)
