"""The file that a table is: whether it can be written, and what is written when it is stopped.

No Qt.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from napari_cxr.scoring import ScoringError, journal_of, write_so_far
from napari_cxr.scoring.lines import InUse, Lines

__all__ = ['get_ready', 'so_far']


def get_ready(folder: Path) -> None:
    """Make the folder of a table, and try to write there before a model is loaded for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoringError(
            f'{folder} cannot be made: {error.strerror}. Choose another place for the table.'
        ) from None
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ScoringError(
            f'Nothing can be written to {folder}: {error.strerror}. Choose another place for the '
            'table.'
        ) from None


def so_far(out: Path) -> int | None:
    """Write a table of the rows that are done; return how many.

    None while a process adds rows to its journal, or puts the finished table in its place.
    """
    journal = journal_of(out)
    if not journal.exists():
        return 0
    try:
        held = Lines(journal)
    except InUse:
        return None
    try:
        if not journal.stat().st_size:  # finished and removed at this very moment
            held.remove()
            return 0
        return write_so_far(out)
    finally:
        held.close()
