"""Texts of the cells of the score table, from all rows and the index of one. No Qt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cxr.plugin.score_table.score_rows import ScoreRows

__all__ = [
    'WITHHELD',
    'CellText',
    'file',
    'file_tip',
    'label',
    'label_tip',
    'list_number',
    'nothing',
    'number',
    'other_label',
    'path',
    'percent',
    'plain_prediction',
    'prediction',
    'prediction_text_of',
    'prediction_tip',
    'short_warnings',
    'split_path',
    'text_of',
    'warnings',
]

#: Short forms of warnings by their code; for other codes the whole text is shown.
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

#: Shown instead of the prediction for a doubtful image.
WITHHELD = 'doubtful'

CellText = Callable[[ScoreRows, int], str]


def short_warnings(rows: ScoreRows, place: int) -> tuple[bool, str]:
    """Return whether a warning makes the image doubtful, and all warnings in short."""
    row = rows.rows[place]
    short = (_SHORT.get(warning.code, warning.text) for warning in row.warnings)
    return bool(row.doubts), ', '.join(dict.fromkeys(short))


def other_label(rows: ScoreRows, place: int) -> str:
    """Return the label of the user if it is not the predicted one; otherwise an empty text."""
    return rows.texts['read'][place] if rows.flags['against_read'].values[place] else ''


def split_path(path: str) -> tuple[str, str]:
    """Return the folder of a path with its separator, and its name."""
    cut = max(path.rfind('/'), path.rfind('\\')) + 1
    return path[:cut], path[cut:]


def text_of(key: str) -> CellText:
    """Return the text of a text column."""
    return lambda rows, place: rows.texts[key][place]


def prediction_text_of(key: str) -> CellText:
    """Return the text of a text column about the prediction, empty for doubtful images."""
    return lambda rows, place: '' if rows.is_withheld(place) else rows.texts[key][place]


def number(rows: ScoreRows, key: str, place: int, form: str) -> str:
    """Return a number as it is copied; empty if it is unknown."""
    value = rows.numbers[key].values[place]
    return '' if np.isnan(value) else f'{value:{form}}'


def percent(rows: ScoreRows, key: str, place: int, form: str = '.1f') -> str:
    """Return a fraction in per cent."""
    value = rows.numbers[key].values[place]
    return '' if np.isnan(value) else f'{100 * value:{form}} %'


def nothing(rows: ScoreRows, place: int) -> str:
    """Return an empty text."""
    return ''


def list_number(rows: ScoreRows, place: int) -> str:
    """Return the position in the list of files, from 1."""
    return f'{rows.rows[place].number + 1:,}'


def path(rows: ScoreRows, place: int) -> str:
    """Return the path."""
    return rows.rows[place].path


def file(rows: ScoreRows, place: int) -> str:
    """Return the path without the folders that all files have in common."""
    return rows.rows[place].path[len(rows.root) :]


def file_tip(rows: ScoreRows, place: int) -> str:
    """Return the path, and the label of the user."""
    path = rows.rows[place].path
    return f'{path}\nYour label: {label}' if (label := rows.texts['read'][place]) else path


def plain_prediction(rows: ScoreRows, place: int) -> str:
    """Return the predicted label, or why it is not shown."""
    row = rows.rows[place]
    if row.status != 'scored':
        return f'Failed: {row.error}'
    return WITHHELD if rows.is_withheld(place) else row.label


def prediction(rows: ScoreRows, place: int) -> str:
    """Return the predicted label with a mark of doubt, and the user's if it is another."""
    doubt = '▲ ' if rows.rows[place].doubts else ''
    other = other_label(rows, place)
    return f'{doubt}{plain_prediction(rows, place)}{f" → {other}" if other else ""}'


_HOW_TO_REVEAL = (
    'The image is doubtful, so its prediction is withheld. To show it, choose “Predictions of '
    'doubtful images” under Columns.'
)


def prediction_tip(rows: ScoreRows, place: int) -> str:
    """Return the predicted label, the user's, and the warnings that make the image doubtful."""
    lines = [_HOW_TO_REVEAL if rows.is_withheld(place) else plain_prediction(rows, place)]
    if label := rows.texts['read'][place]:
        lines.append(f'Your label: {label}')
    warnings = rows.rows[place].warnings
    lines += [f'▲ {warning.text}' for warning in warnings if warning.doubts_the_image]
    return '\n'.join(lines)


def label(key: str) -> CellText:
    """Return the text of a label column, with a mark where it is not the predicted label."""

    def text(rows: ScoreRows, place: int) -> str:
        label = rows.texts[key][place].replace('|', ', ')
        return f'≠ {label}' if rows.flags[f'against_{key}'].values[place] else label

    return text


def label_tip(key: str) -> CellText:
    """Return the tooltip of a label column."""

    def tip(rows: ScoreRows, place: int) -> str:
        label = rows.texts[key][place].replace('|', ', ')
        if rows.flags[f'against_{key}'].values[place]:
            return f'{label}; predicted: {rows.rows[place].label}'
        return label

    return tip


def warnings(rows: ScoreRows, place: int) -> str:
    """Return all warnings."""
    return ' '.join(warning.text for warning in rows.rows[place].warnings)
