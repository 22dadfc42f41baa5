"""What all docks of the plugin have in common."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_cxr.plugin.docks import TabsTogether
from napari_cxr.plugin.theme import style_sheet

__all__ = ['Dock']


class Dock(QWidget):
    """A dock that knows its viewer, looks as its theme, and stands beside the others as a tab.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: A job has ended: with a result, an error, or because it was cancelled.
    settled = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        TabsTogether(self)
        self.setStyleSheet(style_sheet(napari_viewer.theme))
        napari_viewer.events.theme.connect(self._theme_changed)

    def set_theme(self, theme: str) -> None:
        """Let parts that paint themselves take the colours of a theme."""

    def _theme_changed(self, event: Any) -> None:
        self.setStyleSheet(style_sheet(event.value))
        self.set_theme(event.value)
