"""How tables of scores are called, and which sub-folders are classes. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.scoring.journal import journal_of

__all__ = ['matching', 'next_table']


def matching(folders: Sequence[str], rule: LabelRule) -> list[str]:
    """Return the sub-folders by which a model is measured, whatever their case.

    They are called as classes of the model, or as its word for none of them.
    """
    known = {label.casefold() for label in rule.labels}
    return [name for name in folders if name.casefold() in known or rule.is_negative(name)]


def next_table(folder: Path, name: str, ending: str) -> Path:
    """Return a table that does not exist yet and was not begun: 'NAME-1.csv' and so on."""
    number = 1
    while True:
        table = folder / f'{name}-{number}{ending}'
        if not table.exists() and not journal_of(table).exists():
            return table
        number += 1
