"""One dock opens another, in its own viewer."""

from __future__ import annotations

from napari.components import ViewerModel

__all__ = ['is_same', 'open_dock']


def open_dock(viewer: ViewerModel, name: str) -> None:
    """Bring one of our docks to the front; a new one becomes a tab, not half of the height.

    Parameters
    ----------
    viewer : ViewerModel
        Without a window, nothing happens.
    name : str
        The dock's name in the manifest.
    """
    window = getattr(viewer, 'window', None)
    if window is not None:
        dock, _ = window.add_plugin_dock_widget('napari-cxr', name, tabify=True)
        dock.show()
        dock.raise_()


def is_same(viewer: ViewerModel, other: ViewerModel) -> bool:
    """Return whether two docks belong to one viewer; napari gives each dock a proxy of it."""
    first, second = (getattr(each, '__wrapped__', each) for each in (viewer, other))
    return first is second
