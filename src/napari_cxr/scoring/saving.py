"""Whether a table of scores can be saved again under a name."""

from __future__ import annotations

import os
from pathlib import Path

from napari_cxr.scoring import tables
from napari_cxr.scoring.journal import ScoringError, journal_of
from napari_cxr.scoring.reading.reading_list import labels_of

__all__ = ['check_save_as']


def check_save_as(path: str | Path) -> None:
    """See whether a copy of a table may get this name; a table that is there is overwritten.

    Labels and notes stay with the table that they were given in, and rows of a run that was
    stopped with theirs: beside a copy they would pass for its own.

    Raises
    ------
    ScoringError
        If such a table cannot be written, or rows or labels of another one lie beside it.
    """
    path = Path(path)
    tables.check_name(path)
    if journal_of(path).exists():
        raise ScoringError(
            f'{path.name} was begun by scoring and is not finished: choose another name.'
        )
    if os.path.lexists(labels_of(path)):
        raise ScoringError(
            f'Beside {path.name} lie labels that were given in another table of this name: choose '
            f'another name, or move {labels_of(path).name} away.'
        )
