"""A table of the rows that are done, after scoring was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from napari_cxr.scoring import reopening, tables
from napari_cxr.scoring.journal import journal_of, read_header
from napari_cxr.scoring.row import Row

__all__ = ['write_so_far']


def write_so_far(out: str | Path) -> int:
    """Write a table of the rows that are done, after scoring was stopped.

    The rows stay in the journal too, so scoring can be resumed.

    Parameters
    ----------
    out : str or Path
        The table.

    Returns
    -------
    int
        How many rows there are; without any, no table is written.

    Raises
    ------
    ScoringError
        If the table cannot be written.
    """
    out = Path(out)
    if not read_header(journal_of(out)):
        return 0
    run, rows = reopening.reopen(out)
    done = 0

    def counted() -> Iterator[Row]:
        nonlocal done
        for row in rows:
            done += 1
            yield row

    first = next(every := counted(), None)
    if first is not None:
        tables.write(out, chain([first], every), run)
    return done
