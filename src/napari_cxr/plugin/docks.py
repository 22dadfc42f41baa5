"""Docks that stand together in one viewer: as tabs, one opening another, and their signals.

A dock knows nothing of the others: it emits a signal of `dock_signals()`, and whichever dock it
concerns listens.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any, cast

from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QWidget

__all__ = [
    'DockSignals',
    'TabsTogether',
    'dock_signals',
    'is_same_viewer',
    'open_dock',
    'shorten_title',
    'unwrap_viewer',
]


class TabsTogether(QObject):
    """Makes a dock a tab beside another of ours on the same side when it opens.

    Each of them needs the full height: napari would stack them, and the third one made
    its window higher than the screen. Whoever wants them otherwise drags them.

    Parameters
    ----------
    dock : QWidget
        What napari puts into a dock widget.
    """

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        dock.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Wait until the dock is shown for the first time."""
        if watched is not None and event is not None and event.type() == QEvent.Type.Show:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self._join)  # when napari has placed it
        return False

    def _join(self) -> None:
        mine = self.parent()
        while mine is not None and not isinstance(mine, QDockWidget):
            mine = mine.parent()
        window = mine.parent() if mine is not None else None
        if mine is None:
            return
        shorten_title(mine)
        if mine.isFloating() or not isinstance(window, QMainWindow):
            return
        side = window.dockWidgetArea(mine)
        for other in window.findChildren(QDockWidget):
            beside = not other.isFloating() and window.dockWidgetArea(other) == side
            if other is not mine and beside and other.findChild(TabsTogether) is not None:
                window.tabifyDockWidget(other, mine)
                mine.show()
                mine.raise_()
                return


def shorten_title(dock: QDockWidget) -> None:
    """Take the plugin's name off the title of a dock, which is cut in narrow docks otherwise.

    The title bar is napari's own, and another one once the dock floats.
    """
    whole = dock.windowTitle()
    short, _, rest = whole.partition(' (')
    if not rest:
        return

    def shorten() -> None:
        with suppress(RuntimeError):  # the dock is gone
            bar = dock.titleBarWidget()
            for label in bar.findChildren(QLabel) if bar is not None else ():
                if label.text() == whole:
                    label.setText(short)
                    label.setToolTip(whole)

    dock.setWindowTitle(short)  # also that of its tab
    shorten()
    dock.topLevelChanged.connect(lambda _: QTimer.singleShot(0, shorten))


def open_dock(viewer: ViewerModel, name: str) -> QWidget | None:
    """Bring one of our docks to the front, and open it if it is not there.

    Parameters
    ----------
    viewer : ViewerModel
        Without a window, nothing happens.
    name : str
        The dock's name in the manifest.

    Returns
    -------
    QWidget or None
        The dock; None without a window.
    """
    window = getattr(viewer, 'window', None)
    if window is None:
        return None
    manifest = PluginManager.instance().get_manifest('napari-cxr')
    widgets = manifest.contributions.widgets or ()
    kind: Any = next(one for one in widgets if one.display_name == name).get_callable()
    inner: Any = next((one for one in window.dock_widgets.values() if isinstance(one, kind)), None)
    if inner is None:
        # Called as by napari's menu, so that the menu finds it, and opens no other.
        # (`add_plugin_dock_widget` calls it by the package's name.)
        inner = kind(viewer)
        window.add_dock_widget(inner, name=f'{name} ({manifest.display_name})')
    around: Any = inner.parent()
    while not isinstance(around, QDockWidget):
        around = around.parent()
    around.show()
    around.raise_()
    return cast(QWidget, inner)


def is_same_viewer(viewer: ViewerModel, other: ViewerModel) -> bool:
    """Return whether two docks belong to one viewer; napari gives each dock a proxy of it."""
    return unwrap_viewer(viewer) is unwrap_viewer(other)


def unwrap_viewer(viewer: ViewerModel) -> ViewerModel:
    """Return the viewer itself: napari gives plugins a proxy of it.

    Layers of a proxy may be proxies too, each time others; what is kept about one of these would
    be about nothing.
    """
    wrapped: ViewerModel = getattr(viewer, '__wrapped__', viewer)
    return wrapped


class DockSignals(QObject):
    """Signals between docks; a receiver does not know the sender."""

    #: A model was added to the person's own: its name.
    model_added = Signal(str)
    #: To choose a model in the Classify dock of this viewer: its name or file.
    model_requested = Signal(object, str)
    #: To load the settings of a run into the Train dock of this viewer: its folder.
    run_requested = Signal(object, str)
    #: To open labelled images in the Train dock of this viewer: a folder or table, and
    #: the pattern that finds the patient in the names of its files, or an empty string.
    images_requested = Signal(object, str, str)
    #: To open a table of scores in the Score dock of this viewer: the table; the only rows of it
    #: that are to be shown, by their paths, or none for all; and what they are, in a few words.
    rows_requested = Signal(object, str, object, str)
    #: To resume a run in the Train dock of this viewer: its folder.
    resume_requested = Signal(object, str)
    #: To let a finished run go on in the Train dock of this viewer: its folder, and for how many
    #: epochs in all.
    more_epochs_requested = Signal(object, str, int)
    #: To show the header of a file in the Header tags dock of this viewer: its path.
    tags_requested = Signal(object, str)
    #: A layer is about to show another radiograph, which its metadata hold already: the layer.
    image_changing = Signal(object)
    #: A radiograph's layer was classified without a click: the layer, an
    #: `ExplainedPrediction`, and the class whose heatmap is to be shown.
    prediction_ready = Signal(object, object, str)
    #: A run has ended: its folder and None; or one of a series: the folder that holds
    #: them, and the `RunsDone`.
    run_done = Signal(str, object)


@cache
def dock_signals() -> DockSignals:
    """Return the one object that the docks of this napari share."""
    return DockSignals()
