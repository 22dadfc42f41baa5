"""Small pictures in the table of scores: which of them are read, and when."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtGui import QImage

from napari_cxr.plugin.scores.table_model import ScoreModel
from napari_cxr.plugin.scores.table_view import ScoreView
from napari_cxr.plugin.scores.thumbnails import Thumbnails

__all__ = ['ScorePictures']

#: Milliseconds without scrolling before pictures are read.
_PAUSE = 80
#: Pixels that a line with a picture is high.
_TALL = 68


class ScorePictures(QObject):
    """Reads the pictures of the lines that can be seen, and of no others.

    Parameters
    ----------
    view : ScoreView
        Where they are drawn.
    model : ScoreModel
        Whose files they are of.
    """

    def __init__(self, view: ScoreView, model: ScoreModel) -> None:
        super().__init__(view)
        self._view, self._model = view, model
        self._shown = False
        self.thumbnails = Thumbnails(self)
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

    def turn_to(self, table: str) -> None:
        """Forget all pictures: those of another table's files will be wanted."""
        self.thumbnails.turn_to(table)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Read nothing while nobody can see it."""
        if event is not None and event.type() in (QEvent.Type.Hide, QEvent.Type.Show):
            self._pause.start()
        return False

    def _want(self) -> None:
        shown = self._shown and self._view.isVisible()
        lines = self._view.lines_on_screen if shown else range(0)
        self.thumbnails.want([self._model.row_at(line).path for line in lines])
