"""Thumbnails of the rows on screen: the process that reads them, a cache, and which are wanted.

The process is not the decoder that opens what a person clicks, so a list never makes an image
wait. Only rows that can be seen are read.
"""

from __future__ import annotations

import atexit
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import cache

import numpy as np
from napari.qt.threading import thread_worker
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtGui import QImage

from napari_cxr.plugin.background import end_worker
from napari_cxr.plugin.score_table.score_model import ScoreTableModel
from napari_cxr.plugin.score_table.score_view import ScoreTableView
from napari_cxr.scoring import table_reader
from napari_cxr.workers.worker_process import JobFailed, WorkerDied, WorkerProcess

__all__ = [
    'ThumbnailCache',
    'ThumbnailQueue',
    'VisibleThumbnails',
    'read_thumbnails',
    'shared_thumbnail_reader',
]

#: Seconds that one file may take; a picture is not worth more.
_PATIENCE = 15.0


class ThumbnailQueue:
    """Files whose pictures are wanted; the list may change while it is worked off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: list[str] = []
        self._table = ''

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._paths)

    def set(self, paths: Sequence[str], table: str) -> None:
        """Want these of a table now, the first one first, and no others."""
        with self._lock:
            self._paths, self._table = list(paths), table

    def next(self) -> tuple[str, str] | None:
        """Return the next one with its table, then no wish any more; None if there is none."""
        with self._lock:
            return (self._paths.pop(0), self._table) if self._paths else None


@cache
def shared_thumbnail_reader() -> WorkerProcess:
    """Return the process that reads small pictures; it starts with the first one."""
    worker = WorkerProcess('decoder')
    atexit.register(end_worker, worker)
    return worker


@thread_worker
def read_thumbnails(
    wishes: ThumbnailQueue, side: int
) -> Generator[tuple[str, str, np.ndarray | None] | None, None, None]:
    """Read pictures until no more are wanted.

    Parameters
    ----------
    wishes : Wishes
        Which.
    side : int
        Pixels of their longer side.

    Yields
    ------
    tuple or None
        A path as its table has it, that table, and the picture, shape (rows, columns) of
        uint8, or None where the file gives none; None while one is read.
    """
    while (wish := wishes.next()) is not None:
        picture, file = None, table_reader.image_path_of(*wish)
        with suppress(JobFailed, WorkerDied, OSError):  # the list shows that there is none
            picture = yield from shared_thumbnail_reader().run(
                'thumbnail', timeout=_PATIENCE, path=file, side=side
            )
        yield *wish, picture


#: Pixels of a picture's longer side: enough for a screen of double resolution.
_SIDE = 128

#: Pictures in memory, of at most 16 kB each.
_MOST = 1000


class ThumbnailCache(QObject):
    """Pictures that are asked for again and again, and read once.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: A picture has been read, or could not be.
    ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = ''
        self._pictures: OrderedDict[str, QImage] = OrderedDict()
        self._wishes = ThumbnailQueue()
        self._working = False

    @property
    def busy(self) -> bool:
        """Whether pictures are being read."""
        return self._working

    def get(self, path: str) -> QImage | None:
        """Return a file's picture: None before it is read, an empty one if there is none."""
        if (picture := self._pictures.get(path)) is not None:
            self._pictures.move_to_end(path)
        return picture

    def want(self, paths: Sequence[str]) -> None:
        """Read the pictures of these files, as far as they are not there, and of no others."""
        missing = [path for path in paths if path not in self._pictures]
        self._wishes.set(missing, self._table)
        self._start()

    def set_table(self, table: str) -> None:
        """Forget all pictures: those of another table's files will be wanted."""
        self._table = table
        self._wishes.set([], table)
        self._pictures.clear()

    def _start(self) -> None:
        if self._working or not self._wishes:
            return
        self._working = True
        self._worker = read_thumbnails(self._wishes, _SIDE)
        self._worker.yielded.connect(self._take)
        self._worker.finished.connect(self._ended)
        self._worker.start()

    def _take(self, found: tuple[str, str, np.ndarray | None] | None) -> None:
        if found is None or found[1] != self._table:
            return
        path, _, picture = found
        self._pictures[path] = QImage() if picture is None else _image(picture)
        while len(self._pictures) > _MOST:
            self._pictures.popitem(last=False)
        self.ready.emit()

    def _ended(self) -> None:
        self._working = False
        self._start()  # what was wished for in the last moment


def _image(picture: np.ndarray) -> QImage:
    height, width = picture.shape
    kind = QImage.Format.Format_Grayscale8
    # The copy owns its bytes; the array may go.
    return QImage(picture.tobytes(), width, height, width, kind).copy()


#: Milliseconds without scrolling before pictures are read.
_PAUSE = 80

#: Pixels that a line with a picture is high.
_TALL = 68


class VisibleThumbnails(QObject):
    """Reads the pictures of the lines that can be seen, and of no others.

    Parameters
    ----------
    view : ScoreView
        Where they are drawn.
    model : ScoreModel
        Whose files they are of.
    """

    def __init__(self, view: ScoreTableView, model: ScoreTableModel) -> None:
        super().__init__(view)
        self._view, self._model = view, model
        self._shown = False
        self.thumbnails = ThumbnailCache(self)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        self._pause.timeout.connect(self._want)
        view.scrolled.connect(self._pause.start)
        view.installEventFilter(self)
        self.thumbnails.ready.connect(view.repaint_lines)

    def get(self, path: str) -> QImage | None:
        """Return a file's picture, see `Thumbnails.get`."""
        return self.thumbnails.get(path)

    def show(self, shown: bool) -> None:
        """Make room for pictures and read them, or neither."""
        self._shown = shown
        self._view.set_line_height(_TALL if shown else 0)
        self._pause.start()

    def set_table(self, table: str) -> None:
        """Forget all pictures: those of another table's files will be wanted."""
        self.thumbnails.set_table(table)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Read nothing while nobody can see it."""
        if event is not None and event.type() in (QEvent.Type.Hide, QEvent.Type.Show):
            self._pause.start()
        return False

    def _want(self) -> None:
        shown = self._shown and self._view.isVisible()
        lines = self._view.lines_on_screen if shown else range(0)
        self.thumbnails.want([self._model.row_at(line).path for line in lines])
