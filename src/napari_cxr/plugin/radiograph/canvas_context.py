"""Whose OpenGL context is current when a layer goes.

napari 0.9.2 has vispy carry out all that is queued when a layer was removed, in whichever OpenGL
context is current. That is mostly Qt's own, which composes the window. A shader that is deleted
there, and was used by the canvas, stays behind in the driver's books: Mesa's software renderer
22.3 then draws with no vertex shader, and the process ends. Other drivers only skip what is drawn.
"""

from __future__ import annotations

import weakref
from typing import Any

from napari.components import ViewerModel
from qtpy.QtWidgets import QOpenGLWidget

__all__ = ['keep_canvas_current']


def keep_canvas_current(viewer: ViewerModel) -> None:
    """Make the context of a viewer's canvas the current one before each layer that goes.

    Parameters
    ----------
    viewer : ViewerModel
        A viewer with a window; it is not kept alive.
    """
    reference = weakref.ref(viewer)

    def make_current(event: Any = None) -> None:
        window = getattr(reference(), 'window', None)
        main = getattr(window, '_qt_window', None)
        for canvas in main.findChildren(QOpenGLWidget) if main is not None else ():
            if canvas.isValid():
                canvas.makeCurrent()

    viewer.layers.events.removing.connect(make_current)
