"""What is said of the row on show, and of labels that cannot be saved, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cxr.plugin.reading.row import ReadingRow
    from napari_cxr.scoring.reading.reading_list import ReadingList

__all__ = ['Sight', 'at_end', 'hint', 'refusal', 'unsaved_problem']

_UNSEEN = 'Not on screen: '


@dataclass(frozen=True)
class Sight:
    """What there is to see of the row on show.

    Parameters
    ----------
    seen : bool
        Whether its image is on screen, or is about to be.
    coming : bool
        Whether nobody can have seen it yet. What is said so soon is about the image before.
    awaited : bool
        Whether it was not there at once, so that nothing is on screen meanwhile.
    problem : str
        Why it cannot be shown, or not with its heatmap; empty if it can, or nobody tried.
    """

    seen: bool = True
    coming: bool = False
    awaited: bool = False
    problem: str = ''


def hint(reads: ReadingRow, why_not: str, sight: Sight) -> str:
    """Return where the reading stands, or what to do next.

    Parameters
    ----------
    reads : ReadingRow
        With the row on show.
    why_not : str
        Why there is no reading list, where there is none.
    sight : Sight
        What there is to see.
    """
    words, problem = _said(reads, why_not), sight.problem
    if reads.row is None or reads.reading is None:
        return words
    if problem:
        return words if problem in words else f'{words} {"" if sight.seen else _UNSEEN}{problem}'
    if sight.awaited:
        return f'{words} Its image is coming…'
    return words if sight.seen else f'{words} {_UNSEEN}Enter opens it.'


def refusal(coming: bool) -> str:
    """Return what is said where a row was to be labelled before anybody could see it."""
    if coming:
        return 'Not labelled: its image is still to come.'
    return 'What was said before its image came was not taken.'


def at_end(reads: ReadingRow) -> str:
    """Return what to do where there is no further row."""
    left = reads.total - reads.counts.read
    if not left:
        return 'This is the last row, and all images are read.'
    return f'This is the last row. Filter above for those not read: {left:,} of {reads.total:,}.'


def unsaved_problem(reading: ReadingList) -> str:
    """Return what is not on the disk and why; empty where nothing is known to prevent it."""
    unsaved, problem = reading.unsaved, reading.problem
    if not (unsaved and problem):
        return ''
    changes = '1 change is' if unsaved == 1 else f'{unsaved:,} changes are'
    return (
        f'{changes} not saved: {reading.path} cannot be written ({problem}). Make room, or '
        'connect its drive again; until then do not close napari.'
    )


def _said(reads: ReadingRow, why_not: str) -> str:
    row, entry = reads.row, reads.entry
    if not reads.labels:
        return 'Nothing to read yet: score a folder, or open a table.'
    if reads.reading is None:
        return why_not or 'Opening the reading list…'
    if row is None:
        if reads.failed and not reads.total:
            return 'No image of this table could be scored, so there is nothing to read.'
        return 'Choose a row of the table to read it.'
    if row.status != 'scored':
        return f'This file was not scored: {row.error}'
    if entry.unsure:
        return f'You are unsure{", and the model cannot say" if reads.is_undecided else ""}.'
    if not entry.read:
        return 'Not read yet.'
    yours = _listed(reads.chosen)
    if entry.agreed:
        return f'Your answer: {yours}, as the model.'
    if reads.is_undecided:
        return f'Your answer: {yours}. The model cannot say.'
    if reads.several and len(reads.labels) > 1:
        # What the model says can be long, and stands on the buttons.
        return f'Your answer: {yours}, not as the model.'
    return f'Your answer: {yours}. The model says {_listed(reads.models_choices)}.'


def _listed(labels: tuple[str, ...]) -> str:
    return ', '.join(labels) or 'none of these'
