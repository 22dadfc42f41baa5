"""Where the keys of reading are heard: in the dock, and in napari's canvas once a row is open."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from qtpy.QtCore import QObject
from qtpy.QtGui import QShortcut
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_cxr.plugin.reading.keys import ReadingKeys
from napari_cxr.plugin.reading.panel import ReadingPanel
from napari_cxr.plugin.when_gone import when_gone

__all__ = ['KeysInReach']

#: Layers whose tools have keys of their own.
_EDITED = (Labels, Points, Shapes)


class KeysInReach(QObject):
    """Installs the keys of a reading panel, and takes those in the canvas away again.

    Parameters
    ----------
    viewer : ViewerModel
        Whose active layer may need the keys of the canvas.
    panel : ReadingPanel
        What the keys work.
    dock : QWidget
        Where they always are.
    seen : callable
        Whether the canvas shows the row of the panel.
    """

    def __init__(
        self, viewer: ViewerModel, panel: ReadingPanel, dock: QWidget, seen: Callable[[], bool]
    ) -> None:
        super().__init__(dock)
        self._viewer, self._panel, self._dock, self._seen = viewer, panel, dock, seen
        self._in_dock = ReadingKeys(panel, dock)
        self._in_canvas: ReadingKeys | None = None
        self._theirs: list[QShortcut] = []  # of the canvas, which may outlive the dock
        when_gone(self, partial(_disable, self._theirs))

    def reach_canvas(self) -> None:
        """Hear the keys also while the canvas has the focus."""
        window = self._dock.window()
        if self._in_canvas is not None or not isinstance(window, QMainWindow):
            return
        canvas = window.centralWidget()
        if canvas is not None:
            keys = ReadingKeys(self._panel, canvas, self._is_edited, self._seen)
            self._in_canvas, self._theirs[:] = keys, keys.shortcuts

    def leave_canvas(self) -> None:
        """Leave the canvas to napari: with the keys of two docks neither would work."""
        if self._in_canvas is not None:
            self._in_canvas.remove()
        self._in_canvas = None
        self._theirs.clear()

    def _is_edited(self) -> bool:
        """Whether the tools of a layer that is being edited need the keys."""
        return isinstance(self._viewer.layers.selection.active, _EDITED)


def _disable(shortcuts: list[QShortcut]) -> None:
    for shortcut in shortcuts:
        try:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        except RuntimeError:  # gone with its window
            pass
