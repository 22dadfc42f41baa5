"""A finished table that is gone on with: for files that are new, and for errors to try again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from napari_cxr.scoring import reopening
from napari_cxr.scoring.item import Item
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.row import Row, Run

__all__ = ['rows_to_keep']

#: What must be the same for old and new rows to stand in one table, for a person.
_SAME = {
    'model_hash': 'another model',
    'version': 'another version of napari-cxr',
    'preprocessing': 'another preprocessing',
    'rule': 'other thresholds',
    'decision': 'another decision',
    'heatmaps': 'another choice of heatmaps',
    'shares': 'another choice of what is said of heatmaps',
    'identify': 'another choice of what identifies',
    'truth': 'labels where there are none now, or none where there are',
    'patients': 'another table of patients',
}


def rows_to_keep(out: Path, items: Sequence[Item], run: Run) -> Iterator[Row]:
    """Yield the rows of a finished table that need not be made again.

    Parameters
    ----------
    out : Path
        The table.
    items : sequence of Item
        The listing as it is now; a row takes its number, label, source and patient from it.
    run : Run
        What the rows to come have in common.

    Raises
    ------
    ScoringError
        If the table is damaged, is of another run, has a row of a file that is no longer
        listed, which would get lost, or heatmaps whose numbers would be those of others.
    """
    there, rows = reopening.reopen_table(out)
    for name, words in _SAME.items():
        if getattr(there, name) != getattr(run, name):
            raise ScoringError(
                f'{out} was made with {words}: give the options that it was made with, or '
                'choose another name.'
            )
    places: dict[str, int] = {}
    for number, item in enumerate(items):
        places.setdefault(item.path, number)
    for row in rows:
        if (number := places.get(row.path, -1)) < 0:
            raise ScoringError(
                f'{out} has a row of {row.path}, which is not among the files now, and would lose '
                'it: list that file as well, or choose another name.'
            )
        if run.heatmaps and number != row.number:
            raise ScoringError(
                f'Files were added before {row.path}, and the heatmaps of {out} are numbered: '
                'choose another name for the table and another folder for the heatmaps.'
            )
        item = items[number]
        yield replace(
            row,
            number=number,
            truth=item.truth,
            source=item.source or row.source,
            patient=item.patient,
        )
