"""How tables of scores are called, and which sub-folders are classes. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_cxr.scoring.journal import journal_of

__all__ = ['matching', 'next_table']


def matching(folders: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Return the sub-folders that are called as classes of the model, whatever their case."""
    known = {label.casefold() for label in labels}
    return [folder for folder in folders if folder.casefold() in known]


def next_table(folder: Path, name: str, ending: str) -> Path:
    """Return a table that does not exist yet and was not begun: 'NAME-1.csv' and so on."""
    number = 1
    while True:
        table = folder / f'{name}-{number}{ending}'
        if not table.exists() and not journal_of(table).exists():
            return table
        number += 1
