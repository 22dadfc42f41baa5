"""What reading a table needs of the disk, in threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from threading import Event
from typing import Any

from napari.qt.threading import thread_worker

from napari_cxr.plugin.classifying import Failure, failure
from napari_cxr.scoring.reading.entry import Entry
from napari_cxr.scoring.reading.export import Exported, export_csv
from napari_cxr.scoring.reading.folders import export_folders
from napari_cxr.scoring.reading.reading_list import ReadingList
from napari_cxr.scoring.row import Row, Run

__all__ = ['export', 'open_reading']


@thread_worker
def open_reading(
    table: str, labels: Sequence[str], changed: Callable[[], None]
) -> ReadingList | Failure:
    """Open the labels of a table; `changed` is called in another thread, see `ReadingList.open`.

    Returns
    -------
    ReadingList or Failure
    """
    try:
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
