"""The columns of the score table: what they are called, what they hold, and the text of a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_cxr.inference.label_rule import NO_CLASS
from napari_cxr.plugin.score_table.score_rows import ScoreRows
from napari_cxr.scoring.score_row import ScoringRun

__all__ = [
    'PICTURE',
    'WITHHELD',
    'CellText',
    'ScoreColumn',
    'class_column_key',
    'columns_for_run',
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
    'predicted_labels',
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
    if rows.is_blinded:
        return rows.blind_name(place)
    return rows.rows[place].path


def file(rows: ScoreRows, place: int) -> str:
    """Return the path without the folders that all files have in common."""
    if rows.is_blinded:
        return rows.blind_name(place)
    return rows.rows[place].path[len(rows.root) :]


def file_tip(rows: ScoreRows, place: int) -> str:
    """Return the path, and the label of the user."""
    shown = path(rows, place)
    return f'{shown}\nYour label: {label}' if (label := rows.texts['read'][place]) else shown


def plain_prediction(rows: ScoreRows, place: int) -> str:
    """Return the predicted label, or why it is not shown."""
    row = rows.rows[place]
    if row.status != 'scored':
        return f'Failed: {row.error}'
    if rows.is_withheld(place):
        return WITHHELD
    return row.answer if row.answer == NO_CLASS else row.label


def predicted_labels(rows: ScoreRows, place: int) -> tuple[str, ...]:
    """Return the labels that the model predicts; none where no class stands out."""
    row = rows.rows[place]
    if row.answer == NO_CLASS:
        return ()
    return row.above if row.answer and rows.run.multilabel else (row.label,)


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
        against = rows.flags[f'against_{key}'].values[place] and not rows.is_blinded
        return f'≠ {label}' if against else label

    return text


def label_tip(key: str) -> CellText:
    """Return the tooltip of a label column."""

    def tip(rows: ScoreRows, place: int) -> str:
        label = rows.texts[key][place].replace('|', ', ')
        if rows.flags[f'against_{key}'].values[place] and not rows.is_blinded:
            return f'{label}; predicted: {rows.rows[place].label}'
        return label

    return tip


def warnings(rows: ScoreRows, place: int) -> str:
    """Return all warnings."""
    return ' '.join(warning.text for warning in rows.rows[place].warnings)


#: The column of thumbnails, which has a button of its own.
PICTURE = 'picture'

_LABEL = 'The finding that is furthest above its threshold, or the negative class'

_ANSWER = 'The predicted label, or “cannot say” where the model is undecided.'

_ABOVE = 'The findings that reach their thresholds, starting with the furthest above.'

#: Bars are wide with at most so many classes.
_FEW = 6


@dataclass(frozen=True, eq=False)
class ScoreColumn:
    """A column of the score table.

    Parameters
    ----------
    key : str
        Its name for `ScoreTable.sort_by` and in the preferences.
    title : str
        Its title.
    about : str
        A sentence that explains it.
    kind : str
        How its cells are drawn.
    text : callable
        From all rows and an index to the text of the cell; empty where nothing is known.
    copied : callable
        The same, to the text that is copied.
    tip : callable
        The same, to the tooltip.
    wide : int
        Default width in digits.
    shown : bool
        Whether it is shown by default.
    """

    key: str
    title: str
    about: str
    kind: Literal[
        'picture',
        'number',
        'file',
        'answer',
        'bar',
        'prediction',
        'text',
        'label',
        'region',
        'warnings',
        'share',
        'note',
    ]
    text: CellText
    copied: CellText
    tip: CellText
    wide: int = 10
    shown: bool = True

    @property
    def is_number(self) -> bool:
        """Whether it contains numbers: right-aligned, and sorted with the largest first."""
        return self.kind in ('number', 'bar', 'share', 'warnings')


def class_column_key(label: str) -> str:
    """Return the key of the column of a class."""
    return f'p:{label}'


def columns_for_run(run: ScoringRun) -> tuple[ScoreColumn, ...]:
    """Return the columns that the table of a run can have, in their default order."""
    rule = run.label_rule
    return (
        ScoreColumn(
            PICTURE,
            '',
            'The radiograph.',
            'picture',
            nothing,
            nothing,
            path,
            6,
        ),
        _number_column(
            'number',
            '#',
            'Position in the list of files.',
            'number',
            list_number,
            5,
            False,
        ),
        ScoreColumn(
            'file',
            'File',
            'The file, without the folders common to all files. ✓ marks annotated files.',
            'file',
            file,
            path,
            file_tip,
            22,
        ),
        ScoreColumn(
            'label',
            'Predicted',
            f'{_LABEL if run.multilabel else "The most probable class"}, or why there is none. ▲ '
            'marks doubtful images; your label follows → if it is a different one and fits.',
            'answer',
            prediction,
            plain_prediction,
            prediction_tip,
            max(
                [
                    12,
                    *map(len, (*run.labels, rule.negative, NO_CLASS if rule.least_margin else '')),
                ]
            ),
        ),
        *([_prediction_column('answer', 'Answer', _ANSWER, 12)] if rule.undecided else []),
        *(
            [_prediction_column('above', 'Above', _ABOVE, 18)]
            if 'thresholds' in run.rule and len(run.labels) > 1
            else []
        ),
        ScoreColumn(
            'truth',
            'True label',
            'The label by the folders or a table. ≠ marks those that were not predicted.',
            'label',
            label('truth'),
            text_of('truth'),
            label_tip('truth'),
            13,
        ),
        *(_class_column(label, len(run.labels) <= _FEW) for label in run.labels),
        _number_column(
            'uncertainty',
            'Uncertainty',
            'How undecided the model is, from 0 (sure of one class) to 1 (all classes alike).',
            'share',
            lambda rows, place: number(rows, 'uncertainty', place, '.2f'),
            8,
            False,
        ),
        _prediction_column(
            'called', 'Positive', 'The classes whose probability reaches the threshold.', 14
        ),
        *(
            [
                _prediction_column(
                    'possible',
                    'Possible',
                    'The classes that cannot be excluded, by the calibration on the model’s card.',
                    14,
                )
            ]
            if run.possible
            else []
        ),
        ScoreColumn(
            'read',
            'My label',
            'Your own label. ≠ marks those that were not predicted.',
            'label',
            label('read'),
            text_of('read'),
            label_tip('read'),
            13,
        ),
        ScoreColumn(
            'note',
            'Note',
            'Your note.',
            'note',
            text_of('note'),
            text_of('note'),
            text_of('note'),
            5,
        ),
        ScoreColumn(
            'warnings',
            'Warnings',
            'Reasons to trust the prediction less. ▲ marks those about the image itself.',
            'warnings',
            lambda rows, place: short_warnings(rows, place)[1],
            warnings,
            warnings,
            17,
        ),
        ScoreColumn(
            'peak_region',
            'Peak',
            'Where the peak of the heatmap lies, in the warning colour outside the lungs.',
            'region',
            text_of('peak_region'),
            text_of('peak_region'),
            text_of('peak_region'),
            15,
        ),
        _fraction_column(
            'half_peak_lung_fraction',
            'In lungs',
            'Fraction in the lungs of the area above half of the heatmap’s peak.',
            True,
        ),
        ScoreColumn(
            'half_peak_lung_lift',
            'Lift',
            'How many times as much of the area above half of the heatmap’s peak is in the lungs '
            'as by chance: 1 is chance.',
            'share',
            lambda rows, place: number(rows, 'half_peak_lung_lift', place, '.2f'),
            lambda rows, place: number(rows, 'half_peak_lung_lift', place, '.7g'),
            lambda rows, place: number(rows, 'half_peak_lung_lift', place, '.2f'),
            6,
            False,
        ),
        _fraction_column(
            'lung_share',
            'Sum in lungs' if run.peaks else 'In lungs',
            'Fraction of the heatmap in the lungs.',
            not run.peaks,
        ),
        _text_column('view', 'View', 'View position of the DICOM header.', 8),
        _text_column('source', 'Source', 'Collection or hospital, by a table.', 14),
        _text_column('model_split', 'Training', _MODEL_SPLIT, 9),
        _text_column('split', 'Split', 'Its split, by a table or by folders of these names.', 7),
        _fraction_column(
            'lung_share_if_even', 'If uniform', 'The same for a uniform heatmap.', False
        ),
        _fraction_column(
            'frame_share', 'At edge', 'Fraction of the heatmap at the edge of the image.', False
        ),
        _fraction_column(
            'marker_fraction',
            'On markers',
            'Fraction of the heatmap on burnt-in text and side markers.',
            False,
        ),
        _text_column('status', 'Failed because', 'Why a file failed.', 24, False),
    )


def _class_column(label: str, few: bool) -> ScoreColumn:
    key = class_column_key(label)

    def tip(rows: ScoreRows, place: int) -> str:
        text = percent(rows, key, place)
        return f'{label}: {text}' if text else ''

    return ScoreColumn(
        key,
        label,
        f'Probability of {label}, in another colour where {label} is your label instead.',
        'bar',
        lambda rows, place: percent(rows, key, place),
        lambda rows, place: number(rows, key, place, '.7g'),
        tip,
        15 if few else 11,
    )


def _text_column(key: str, title: str, about: str, wide: int, shown: bool = True) -> ScoreColumn:
    text = text_of(key)
    return ScoreColumn(key, title, about, 'text', text, text, text, wide, shown)


def _prediction_column(key: str, title: str, about: str, wide: int) -> ScoreColumn:
    text = prediction_text_of(key)
    return ScoreColumn(key, title, about, 'prediction', text, text, text, wide)


def _number_column(
    key: str,
    title: str,
    about: str,
    kind: Literal['number', 'share'],
    text: CellText,
    wide: int,
    shown: bool = True,
) -> ScoreColumn:
    def plain(rows: ScoreRows, place: int) -> str:
        return text(rows, place).replace(',', '')

    return ScoreColumn(key, title, about, kind, text, plain, text, wide, shown)


#: What a column says of the model's own run.
_MODEL_SPLIT = (
    'The split in which the image was when the model was trained. What the model says of an '
    'image of its training says nothing of others.'
)

#: What columns about the lungs count.
_IN_LUNGS = {
    'lung_share': 'the heatmap',
    'half_peak_lung_fraction': 'the area above half of its peak',
}


def _fraction_column(key: str, title: str, about: str, shown: bool) -> ScoreColumn:
    def text(rows: ScoreRows, place: int) -> str:
        return percent(rows, key, place, '.0f')

    def tip(rows: ScoreRows, place: int) -> str:
        shown = text(rows, place)
        if (what := _IN_LUNGS.get(key)) and shown:
            uniform = percent(rows, 'lung_share_if_even', place)
            return f'{shown} of {what} is in the lungs; {uniform} if the heatmap were uniform.'
        return shown

    def copied(rows: ScoreRows, place: int) -> str:
        return number(rows, key, place, '.7g')

    return ScoreColumn(key, title, about, 'share', text, copied, tip, 7, shown)
