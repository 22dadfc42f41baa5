"""The commands of napari's menus and palette that change how a radiograph is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    'fit',
    'invert',
    'local_contrast',
    'magnifier',
    'measure_angle',
    'measure_length',
    'measure_ratio',
    'mirror',
    'next_window',
    'real_size',
    'reset',
    'scale_bar',
    'turn_left',
    'turn_right',
    'undo',
    'use_file_for_model',
    'use_view_for_model',
    'whole_pixels',
]


def _act(viewer: napari.viewer.Viewer, name: str) -> None:
    from napari_cxr.plugin.radiograph.tools import tools_of

    tools_of(viewer).act(name)


def next_window(viewer: napari.viewer.Viewer) -> None:
    """Show the radiograph with the next of its windows."""
    _act(viewer, 'next_window')


def invert(viewer: napari.viewer.Viewer) -> None:
    """Exchange black and white on screen."""
    _act(viewer, 'invert')


def mirror(viewer: napari.viewer.Viewer) -> None:
    """Exchange left and right on screen."""
    _act(viewer, 'mirror')


def turn_right(viewer: napari.viewer.Viewer) -> None:
    """Turn the view clockwise."""
    _act(viewer, 'turn_right')


def turn_left(viewer: napari.viewer.Viewer) -> None:
    """Turn the view anticlockwise."""
    _act(viewer, 'turn_left')


def local_contrast(viewer: napari.viewer.Viewer) -> None:
    """Show the radiograph with more local contrast, or without."""
    _act(viewer, 'toggle_local_contrast')


def magnifier(viewer: napari.viewer.Viewer) -> None:
    """Let a magnifier follow the cursor, or no more."""
    _act(viewer, 'toggle_magnifier')


def fit(viewer: napari.viewer.Viewer) -> None:
    """Fit the view to the radiograph."""
    _act(viewer, 'fit')


def whole_pixels(viewer: napari.viewer.Viewer) -> None:
    """Draw a pixel of the radiograph as one of the screen."""
    _act(viewer, 'whole_pixels')


def real_size(viewer: napari.viewer.Viewer) -> None:
    """Draw the radiograph as large as its spacing says."""
    _act(viewer, 'real_size')


def reset(viewer: napari.viewer.Viewer) -> None:
    """Show the radiograph as its file says."""
    _act(viewer, 'reset')


def undo(viewer: napari.viewer.Viewer) -> None:
    """Take back the last change of the view."""
    _act(viewer, 'undo')


def use_view_for_model(viewer: napari.viewer.Viewer) -> None:
    """Let models see the radiograph as it lies on screen."""
    _act(viewer, 'use_view_for_model')


def use_file_for_model(viewer: napari.viewer.Viewer) -> None:
    """Let models see the radiograph as its file says again."""
    _act(viewer, 'use_file_for_model')


def measure_length(viewer: napari.viewer.Viewer) -> None:
    """Begin to draw a length on the radiograph."""
    _act(viewer, 'measure_length')


def measure_angle(viewer: napari.viewer.Viewer) -> None:
    """Begin to draw an angle on the radiograph."""
    _act(viewer, 'measure_angle')


def measure_ratio(viewer: napari.viewer.Viewer) -> None:
    """Propose the lines of the cardiothoracic ratio."""
    _act(viewer, 'measure_ratio')


def scale_bar(viewer: napari.viewer.Viewer) -> None:
    """Show napari's scale bar, or hide it."""
    from napari_cxr.plugin.radiograph.tools import tools_of

    tools = tools_of(viewer)
    tools.show_scale_bar(not tools.has_scale_bar)
    tools.switched.emit()
