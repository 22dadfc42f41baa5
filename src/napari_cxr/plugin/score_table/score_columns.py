"""The columns of the table of scores: what people call them, and their usual order. No Qt."""

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

#: The column of small pictures, which a switch of its own shows.
PICTURE = 'picture'
_LABEL = 'The finding that is furthest above its threshold, or that there is none'
_ANSWER = 'The label, or “cannot say” where the model does not decide.'
_ABOVE = 'The findings that reach their thresholds, the furthest above first.'
#: Up to so many classes have wide bars.
_FEW = 6


@dataclass(frozen=True, eq=False)
class ScoreColumn:
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
    text: CellText
    copied: CellText
    tip: CellText
    wide: int = 10
    shown: bool = True

    @property
    def is_number(self) -> bool:
        """Whether it is sorted from the largest first, and stands at the right."""
        return self.kind in ('number', 'bar', 'share', 'warnings')


def class_column_key(label: str) -> str:
    """Return the key of a class's column."""
    return f'p:{label}'


def columns_for_run(run: ScoringRun) -> tuple[ScoreColumn, ...]:
    """Return the columns that a table of a run can have, in the order in which they stand."""
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
            'Its place in the list of files.',
            'number',
            cell_text.place_in_list,
            5,
            False,
        ),
        ScoreColumn(
            'file',
            'File',
            'The file; folders that all files share are left out. ✓ marks those you have read.',
            'file',
            cell_text.file,
            cell_text.path,
            cell_text.file_tip,
            22,
        ),
        ScoreColumn(
            'label',
            'Label' if run.rule else 'Answer',
            f'{_LABEL if run.rule else "The most probable class"}; or why there is none. ▲ marks'
            ' images that are in doubt; after → stands what you said, where it is something else'
            ' and there is room.',
            'answer',
            cell_text.answer,
            cell_text.plain_answer,
            cell_text.answer_tip,
            max([12, *map(len, (*run.labels, rule.negative))]),
        ),
        *([_text_column('answer', 'Answer', _ANSWER, 12)] if rule.undecided else []),
        *(
            [_text_column('above', 'Above', _ABOVE, 18)]
            if run.rule and len(run.labels) > 1
            else []
        ),
        ScoreColumn(
            'truth',
            'Given label',
            'What the folders or a table say. ≠ marks those that are not the answer.',
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
            'How undecided the answer is: 0 is sure of one class, 1 could not be less sure.',
            'share',
            lambda rows, place: cell_text.number(rows, 'uncertainty', place, '.2f'),
            8,
            False,
        ),
        _text_column(
            'called', 'Called', 'The classes whose probability reaches the threshold.', 14
        ),
        ScoreColumn(
            'read',
            'My label',
            'What you said while reading. ≠ marks labels that are not the answer.',
            'label',
            cell_text.label('read'),
            cell_text.text_of('read'),
            cell_text.label_tip('read'),
            13,
        ),
        ScoreColumn(
            'note',
            'Note',
            'Whether you wrote a note.',
            'note',
            cell_text.text_of('note'),
            cell_text.text_of('note'),
            cell_text.text_of('note'),
            5,
        ),
        ScoreColumn(
            'warnings',
            'Warnings',
            'Reasons to trust the answer less. ▲ marks those that doubt the image itself.',
            'warnings',
            lambda rows, place: cell_text.short_warnings(rows, place)[1],
            cell_text.warnings,
            cell_text.warnings,
            17,
        ),
        _fraction_column(
            'lung_share', 'In lungs', 'Share of the heatmap that lies in the lungs.', True
        ),
        _text_column('view', 'View', 'The view position, by the header.', 8),
        _text_column('source', 'Source', 'The collection or hospital, as a table says.', 14),
        _fraction_column(
            'lung_share_if_even', 'If even', 'What that share would be if it were even.', False
        ),
        _fraction_column(
            'frame_share', 'At edge', 'Share of the heatmap at the edge of the image.', False
        ),
        _text_column('status', 'Error', 'Why a file has no answer.', 24, False),
    )


def _class_column(label: str, few: bool) -> ScoreColumn:
    key = class_column_key(label)

    def tip(rows: ScoreRows, place: int) -> str:
        said = cell_text.percent(rows, key, place)
        return f'{label}: {said}' if said else ''

    return ScoreColumn(
        key,
        label,
        f'The model’s probability of {label}, in another colour where you said {label} instead.',
        'bar',
        lambda rows, place: cell_text.percent(rows, key, place),
        lambda rows, place: cell_text.number(rows, key, place, '.7g'),
        tip,
        15 if few else 11,
    )


def _text_column(key: str, title: str, about: str, wide: int, shown: bool = True) -> ScoreColumn:
    text = cell_text.text_of(key)
    return ScoreColumn(key, title, about, 'text', text, text, text, wide, shown)


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
        said = text(rows, place)
        if (
            said
            and key == 'lung_share'
            and (even := cell_text.percent(rows, f'{key}_if_even', place))
        ):
            return f'{said} of the heatmap lies in the lungs; {even} would, if it were even.'
        return said

    def copied(rows: ScoreRows, place: int) -> str:
        return cell_text.number(rows, key, place, '.7g')

    return ScoreColumn(key, title, about, 'share', text, copied, tip, 7, shown)
