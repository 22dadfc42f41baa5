"""Thumbnails of the visible rows: the process that reads them, a queue and a cache.

The process is not the decoder of the images that are opened, so that thumbnails never delay them.
Only those of visible rows are read.
"""

from __future__ import annotations

import atexit
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import cache

import numpy as np
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtGui import QImage

from napari_cxr.plugin.background import end_worker, run_job
from napari_cxr.plugin.score_table.score_model import ScoreTableModel
from napari_cxr.plugin.score_table.score_view import ScoreTableView
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.scoring import table_reader
from napari_cxr.workers.decoder_pool import Decoder

__all__ = [
    'ThumbnailCache',
    'ThumbnailQueue',
    'VisibleThumbnails',
    'read_thumbnails',
    'shared_thumbnail_reader',
]

#: Time limit for one file in seconds.
_TIMEOUT = 15.0


class ThumbnailQueue:
    """Files whose thumbnails are wanted; may change while they are read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: list[str] = []
        self._table = ''

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._paths)

    def set(self, paths: Sequence[str], table: str) -> None:
        """Replace the wanted files, in their order; `table` is the path of their table."""
        with self._lock:
            self._paths, self._table = list(paths), table

    def next(self) -> tuple[str, str] | None:
        """Remove and return the next file with its table; None if there is none."""
        with self._lock:
            return (self._paths.pop(0), self._table) if self._paths else None


@cache
def shared_thumbnail_reader() -> Decoder:
    """Return the decoder that reads thumbnails; it starts with the first one."""
    decoder = Decoder(_TIMEOUT)
    atexit.register(end_worker, decoder)
    return decoder


def read_thumbnails(
    queue: ThumbnailQueue, side: int
) -> Generator[tuple[str, str, np.ndarray | None] | None, None, None]:
    """Read thumbnails until no more are wanted; a job for `run_job`.

    Parameters
    ----------
    queue : ThumbnailQueue
        The wanted files.
    side : int
        Size of the longer side in pixels.

    Yields
    ------
    tuple or None
        A path as in the table, the path of the table, and the thumbnail, shape (rows, columns)
        of uint8, or None if the file contains no image; None while one is being read.
    """
    while (wanted := queue.next()) is not None:
        thumbnail, file = None, table_reader.image_path_of(*wanted)
        with suppress(UnreadableImage):  # the table shows that there is none
            thumbnail = yield from shared_thumbnail_reader().thumbnail(file, side)
        yield *wanted, thumbnail


#: Size of the longer side in pixels, enough for a high-resolution screen.
_SIDE = 128

#: Number of thumbnails in memory, of at most 16 kB each.
_MOST = 1000


class ThumbnailCache(QObject):
    """Thumbnails in memory, which are read when they are first wanted.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: A thumbnail was read, or could not be.
    ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = ''
        self._thumbnails: OrderedDict[str, QImage] = OrderedDict()
        self._queue = ThumbnailQueue()
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether thumbnails are being read."""
        return self._busy

    def get(self, path: str) -> QImage | None:
        """Return a thumbnail: None until it is read, an empty image if the file contains none."""
        if (thumbnail := self._thumbnails.get(path)) is not None:
            self._thumbnails.move_to_end(path)
        return thumbnail

    def request(self, paths: Sequence[str]) -> None:
        """Read the thumbnails of these files that are not cached, and no others."""
        missing = [path for path in paths if path not in self._thumbnails]
        self._queue.set(missing, self._table)
        self._start()

    def set_table(self, table: str) -> None:
        """Clear the cache, before thumbnails of another table."""
        self._table = table
        self._queue.set([], table)
        self._thumbnails.clear()

    def _start(self) -> None:
        if self._busy or not self._queue:
            return
        self._busy = True
        reading = read_thumbnails(self._queue, _SIDE)
        run_job(self, reading, 'Reading thumbnails', relay=self._take, ended=self._ended)

    def _take(self, found: tuple[str, str, np.ndarray | None]) -> None:
        path, table, thumbnail = found
        if table != self._table:
            return
        self._thumbnails[path] = QImage() if thumbnail is None else _image(thumbnail)
        while len(self._thumbnails) > _MOST:
            self._thumbnails.popitem(last=False)
        self.ready.emit()

    def _ended(self) -> None:
        self._busy = False
        self._start()  # more may have been wanted meanwhile


def _image(thumbnail: np.ndarray) -> QImage:
    height, width = thumbnail.shape
    kind = QImage.Format.Format_Grayscale8
    # The copy owns its bytes.
    return QImage(thumbnail.tobytes(), width, height, width, kind).copy()


#: Milliseconds after scrolling before thumbnails are read.
_PAUSE = 80

#: Height of a line with a thumbnail in pixels.
_TALL = 68


class VisibleThumbnails(QObject):
    """Reads the thumbnails of the visible lines, and no others.

    Parameters
    ----------
    view : ScoreTableView
        Where they are drawn.
    model : ScoreTableModel
        The rows.
    """

    def __init__(self, view: ScoreTableView, model: ScoreTableModel) -> None:
        super().__init__(view)
        self._view, self._model = view, model
        self._shown = False
        self.thumbnails = ThumbnailCache(self)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        self._pause.timeout.connect(self._request)
        view.scrolled.connect(self._pause.start)
        view.installEventFilter(self)
        self.thumbnails.ready.connect(view.repaint_lines)

    def get(self, path: str) -> QImage | None:
        """Return a thumbnail, see `ThumbnailCache.get`."""
        return self.thumbnails.get(path)

    def show(self, shown: bool) -> None:
        """Show thumbnails, in higher lines, or hide them."""
        self._shown = shown
        self._view.set_line_height(_TALL if shown else 0)
        self._pause.start()

    def set_table(self, table: str) -> None:
        """Clear the cache, before thumbnails of another table."""
        self.thumbnails.set_table(table)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Read nothing while the view is hidden."""
        if event is not None and event.type() in (QEvent.Type.Hide, QEvent.Type.Show):
            self._pause.start()
        return False

    def _request(self) -> None:
        shown = self._shown and self._view.isVisible()
        lines = self._view.lines_on_screen if shown else range(0)
        self.thumbnails.request([self._model.row_at(line).path for line in lines])
