"""Small pictures of the files that are on the screen, read when they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QImage

from napari_cxr.plugin.scores.thumbnail_jobs import Wishes, read_thumbnails

__all__ = ['Thumbnails']

#: Pixels of a picture's longer side: enough for a screen of double resolution.
_SIDE = 128
#: Pictures in memory, of at most 16 kB each.
_MOST = 1000


class Thumbnails(QObject):
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
        self._wishes = Wishes()
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

    def turn_to(self, table: str) -> None:
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
