"""What is said of the row on show, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cxr.plugin.reading_desk import ReadingDesk

__all__ = ['hint']


def hint(desk: ReadingDesk, why_not: str) -> str:
    """Return where the reading stands, or what to do next.

    Parameters
    ----------
    desk : ReadingDesk
        With the row on show.
    why_not : str
        Why there is no reading list, where there is none.
    """
    row, entry = desk.row, desk.entry
    if not desk.labels:
        return 'Nothing to read yet: score a folder, or open a table.'
    if desk.reading is None:
        return why_not or 'Opening the reading list…'
    if row is None:
        if desk.failed and not desk.total:
            return 'No image of this table could be scored, so there is nothing to read.'
        return 'Choose a row of the table to read it.'
    if row.status != 'scored':
        return f'Not scored, and not to be read: {row.error}'
    if entry.unsure:
        return 'You are unsure.'
    if not entry.read:
        return 'Not read yet.'
    answer = f'You: {", ".join(entry.labels) or "none of these"}.'
    return f'{answer} You agree with the model.' if entry.agreed else f'{answer} Not as the model.'
