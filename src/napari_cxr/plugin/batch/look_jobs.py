"""Looking at what shall be scored: labels, rows that are done, and how many images there are."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event

from napari.qt.threading import thread_worker

from napari_cxr.plugin.batch.counting import Counted, count
from napari_cxr.plugin.batch.problems import gone
from napari_cxr.plugin.classifying import failure
from napari_cxr.scoring.looking import Looked, look_at

__all__ = ['look']


@thread_worker
def look(
    paths: tuple[str, ...], out: str, counts: bool, cancelled: Event
) -> Generator[Looked | Counted, None, None]:
    """See what there is to score; see `look_at`. Yields `Looked` first, then `Counted`.

    Parameters
    ----------
    paths : tuple of str
        Images, folders or lists of them.
    out : str
        The table that they shall be scored into.
    counts : bool
        Whether the images of a folder shall be counted.
    cancelled : threading.Event
        Ends the counting when set.
    """
    try:
        found = look_at(paths, out)
        # Many files on a slow disk are not asked for in the GUI's thread.
        found = replace(found, error=found.error or gone(paths))
    except Exception as error:
        found = Looked(paths, out, error=failure(error, 'Looking at the images').text)
    yield found
    if counts and not found.error and len(paths) == 1 and Path(paths[0]).is_dir():
        with suppress(OSError):  # it goes on without a number
            yield from count(paths[0], cancelled)
