"""Where the keys of reading are heard: in the dock, and around the image once a row is open."""

from __future__ import annotations

from functools import partial

from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from qtpy.QtCore import QObject
from qtpy.QtGui import QShortcut
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_cxr.plugin.reading.keys import ReadingKeys
from napari_cxr.plugin.reading.panel import ReadingPanel
from napari_cxr.plugin.when_gone import when_gone

__all__ = ['KeysInReach']

#: Layers whose tools have keys of their own.
_EDITED = (Labels, Points, Shapes)
#: napari's docks in which a person hides the heatmap, or changes how dark the image is.
_BESIDE = ('layer list', 'layer controls')


class KeysInReach(QObject):
    """Installs the keys of a reading panel, and takes those around the image away again.

    Parameters
    ----------
    viewer : ViewerModel
        Whose active layer may need the keys around the image.
    panel : ReadingPanel
        What the keys work.
    dock : QWidget
        Where they always are.
    """

    def __init__(self, viewer: ViewerModel, panel: ReadingPanel, dock: QWidget) -> None:
        super().__init__(dock)
        self._viewer, self._panel, self._dock = viewer, panel, dock
        self._in_dock = ReadingKeys(panel, dock)
        self._around: list[ReadingKeys] = []
        self._theirs: list[QShortcut] = []  # of the window, which may outlive the dock
        when_gone(self, partial(_disable, self._theirs))

    def reach_image(self) -> None:
        """Hear the keys also while the canvas, or what napari has beside it, has the focus."""
        window = self._dock.window()
        if self._around or not isinstance(window, QMainWindow):
            return
        beside = (window.findChild(QDockWidget, name) for name in _BESIDE)
        for place in (window.centralWidget(), *beside):
            if place is not None:
                keys = ReadingKeys(self._panel, place, self._is_edited)
                self._around.append(keys)
                self._theirs += keys.shortcuts

    def leave_image(self) -> None:
        """Leave the image to napari: with the keys of two docks neither would work."""
        for keys in self._around:
            keys.remove()
        self._around.clear()
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
