"""What reading a table needs of the disk, in threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from threading import Event
from typing import Any

from napari.qt.threading import thread_worker

from napari_cxr.plugin.classifying import Failure, failure
from napari_cxr.scoring.reading.entry import Entry
from napari_cxr.scoring.reading.export import Exported, export_csv
from napari_cxr.scoring.reading.folders import export_folders
from napari_cxr.scoring.reading.reading_list import ReadingList, labels_of
from napari_cxr.scoring.row import Row, Run

__all__ = ['export', 'open_reading']

#: Seconds until a list that is being closed is looked at again.
_LOOK = 0.2


@thread_worker
def open_reading(
    table: str,
    labels: Sequence[str],
    changed: Callable[[], None],
    before: Sequence[ReadingList] = (),
) -> ReadingList | Failure:
    """Open the labels of a table.

    Parameters
    ----------
    table, labels, changed
        As `ReadingList.open` takes them; `changed` is called in another thread.
    before : sequence of ReadingList
        Lists that are being closed; the one of this table has to be, first.

    Returns
    -------
    ReadingList or Failure
    """
    try:
        for reading in before:
            while reading.path == labels_of(table) and not reading.closed:
                time.sleep(_LOOK)
                if reading.problem:
                    return Failure(
                        'The labels that you gave before are not saved yet: '
                        f'{reading.path} cannot be written ({reading.problem}). Make room, or '
                        'connect its drive again, and open the table again.',
                        '',
                    )
        return ReadingList.open(table, labels, later=changed)
    except Exception as error:
        return failure(error, 'Opening the labels')


@thread_worker
def export(
    form: str,
    out: str,
    rows: Sequence[Row],
    entries: Mapping[str, Entry],
    run: Run,
    table: str,
    cancelled: Event,
) -> Generator[Any, None, Exported | Failure | None]:
    """Save labels; yields the share that is done.

    Parameters
    ----------
    form : {'csv', 'all', 'folders'}
        A table for training, one of everything that was said, or a folder a class.
    out : str
        The table or folder.
    rows, entries, run, table
        As `napari_cxr.scoring.reading.export.export_csv` takes them.
    cancelled : threading.Event
        Ends the job when set.

    Returns
    -------
    Exported, Failure or None
        None if it was cancelled.
    """
    try:
        if form == 'folders':
            saving = export_folders(out, rows, entries, run, table)
        else:
            saving = export_csv(out, rows, entries, run, table, everything=form == 'all')
        with closing(saving):
            while not cancelled.is_set():
                try:
                    yield next(saving)
                except StopIteration as end:
                    exported: Exported = end.value
                    return exported
    except Exception as error:
        return failure(error, 'Saving the labels')
    return None
