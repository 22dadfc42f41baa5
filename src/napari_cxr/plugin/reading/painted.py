"""When the canvas was painted: drivers end the program where layers go without that."""

from __future__ import annotations

from contextlib import suppress

from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication

__all__ = ['Painted']

#: Milliseconds after which it is looked whether all were painted.
_WHILE = 300


class Painted(QObject):
    """Tells when all canvases on screen were painted, a while after it was asked.

    Where there is no canvas on screen, the while is all that passes.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: They were.
    done = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._unpainted: set[QObject] = set()
        self._watched: set[QOpenGLWidget] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WHILE)
        self._timer.timeout.connect(self._look)

    def start(self) -> None:
        """Wait anew: what has been painted so far does not count."""
        self._watch(_on_screen())
        self._unpainted = set(self._watched)
        self._timer.start()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Note which canvas is about to be painted."""
        if event is not None and event.type() == QEvent.Type.Paint and watched is not None:
            self._unpainted.discard(watched)
        return False

    def _look(self) -> None:
        left = _on_screen() & self._unpainted
        for canvas in left:
            canvas.update()
        if left:
            self._timer.start()
            return
        self._watch(set())
        self.done.emit()

    def _watch(self, canvases: set[QOpenGLWidget]) -> None:
        for canvas in self._watched - canvases:
            with suppress(RuntimeError):  # gone with its window
                canvas.removeEventFilter(self)
        for canvas in canvases - self._watched:
            canvas.installEventFilter(self)
        self._watched = canvases


def _on_screen() -> set[QOpenGLWidget]:
    return {
        canvas
        for window in QApplication.topLevelWidgets()
        for canvas in window.findChildren(QOpenGLWidget)
        if canvas.isVisible()
    }
