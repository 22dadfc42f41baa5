"""The columns of the score table: titles, tooltips, texts and default order. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_cxr.plugin.score_table import cell_text
from napari_cxr.plugin.score_table.cell_text import CellText
from napari_cxr.plugin.score_table.score_rows import ScoreRows
from napari_cxr.scoring.score_row import ScoringRun

__all__ = [
    'PICTURE',
    'ScoreColumn',
    'class_column_key',
    'columns_for_run',
]

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
            cell_text.nothing,
            cell_text.nothing,
            cell_text.path,
            6,
        ),
        _number_column(
            'number',
            '#',
            'Position in the list of files.',
            'number',
            cell_text.list_number,
            5,
            False,
        ),
        ScoreColumn(
            'file',
            'File',
            'The file, without the folders common to all files. ✓ marks annotated files.',
            'file',
            cell_text.file,
            cell_text.path,
            cell_text.file_tip,
            22,
        ),
        ScoreColumn(
            'label',
            'Predicted',
            f'{_LABEL if run.rule else "The most probable class"}, or why there is none. ▲ marks'
            ' doubtful images; your label follows → if it is a different one and fits.',
            'answer',
            cell_text.prediction,
            cell_text.plain_prediction,
            cell_text.prediction_tip,
            max([12, *map(len, (*run.labels, rule.negative))]),
        ),
        *([_prediction_column('answer', 'Answer', _ANSWER, 12)] if rule.undecided else []),
        *(
            [_prediction_column('above', 'Above', _ABOVE, 18)]
            if run.rule and len(run.labels) > 1
            else []
        ),
        ScoreColumn(
            'truth',
            'True label',
            'The label by the folders or a table. ≠ marks those that were not predicted.',
            'label',
            cell_text.label('truth'),
            cell_text.text_of('truth'),
            cell_text.label_tip('truth'),
            13,
        ),
        *(_class_column(label, len(run.labels) <= _FEW) for label in run.labels),
        _number_column(
            'uncertainty',
            'Uncertainty',
            'How undecided the model is, from 0 (sure of one class) to 1 (all classes alike).',
            'share',
            lambda rows, place: cell_text.number(rows, 'uncertainty', place, '.2f'),
            8,
            False,
        ),
        _prediction_column(
            'called', 'Positive', 'The classes whose probability reaches the threshold.', 14
        ),
        ScoreColumn(
            'read',
            'My label',
            'Your own label. ≠ marks those that were not predicted.',
            'label',
            cell_text.label('read'),
            cell_text.text_of('read'),
            cell_text.label_tip('read'),
            13,
        ),
        ScoreColumn(
            'note',
            'Note',
            'Your note.',
            'note',
            cell_text.text_of('note'),
            cell_text.text_of('note'),
            cell_text.text_of('note'),
            5,
        ),
        ScoreColumn(
            'warnings',
            'Warnings',
            'Reasons to trust the prediction less. ▲ marks those about the image itself.',
            'warnings',
            lambda rows, place: cell_text.short_warnings(rows, place)[1],
            cell_text.warnings,
            cell_text.warnings,
            17,
        ),
        _fraction_column('lung_share', 'In lungs', 'Fraction of the heatmap in the lungs.', True),
        _text_column('view', 'View', 'View position of the DICOM header.', 8),
        _text_column('source', 'Source', 'Collection or hospital, by a table.', 14),
        _fraction_column(
            'lung_share_if_even', 'If uniform', 'The same for a uniform heatmap.', False
        ),
        _fraction_column(
            'frame_share', 'At edge', 'Fraction of the heatmap at the edge of the image.', False
        ),
        _text_column('status', 'Error', 'Why a file failed.', 24, False),
    )


def _class_column(label: str, few: bool) -> ScoreColumn:
    key = class_column_key(label)

    def tip(rows: ScoreRows, place: int) -> str:
        text = cell_text.percent(rows, key, place)
        return f'{label}: {text}' if text else ''

    return ScoreColumn(
        key,
        label,
        f'Probability of {label}, in another colour where {label} is your label instead.',
        'bar',
        lambda rows, place: cell_text.percent(rows, key, place),
        lambda rows, place: cell_text.number(rows, key, place, '.7g'),
        tip,
        15 if few else 11,
    )


def _text_column(key: str, title: str, about: str, wide: int, shown: bool = True) -> ScoreColumn:
    text = cell_text.text_of(key)
    return ScoreColumn(key, title, about, 'text', text, text, text, wide, shown)


def _prediction_column(key: str, title: str, about: str, wide: int) -> ScoreColumn:
    text = cell_text.prediction_text_of(key)
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


def _fraction_column(key: str, title: str, about: str, shown: bool) -> ScoreColumn:
    def text(rows: ScoreRows, place: int) -> str:
        return cell_text.percent(rows, key, place, '.0f')

    def tip(rows: ScoreRows, place: int) -> str:
        shown = text(rows, place)
        if (
            shown
            and key == 'lung_share'
            and (uniform := cell_text.percent(rows, f'{key}_if_even', place))
        ):
            return f'{shown} of the heatmap is in the lungs; {uniform} if it were uniform.'
        return shown

    def copied(rows: ScoreRows, place: int) -> str:
        return cell_text.number(rows, key, place, '.7g')

    return ScoreColumn(key, title, about, 'share', text, copied, tip, 7, shown)
