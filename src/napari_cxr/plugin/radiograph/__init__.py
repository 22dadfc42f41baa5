"""The radiograph on screen: its window, which way it lies, its size, its grey values."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_cxr.plugin.radiographs_on_show import RadiographsOnShow

__all__ = ['prepare_viewer']


def prepare_viewer(viewer: ViewerModel) -> RadiographsOnShow:
    """Make a viewer one for radiographs, the first time: called by all that brings one in.

    Mouse and keys of the radiograph work from then on, with or without a dock.

    Returns
    -------
    RadiographsOnShow
        What keeps one radiograph of the viewer on show, see `watch_viewer`.
    """
    from napari_cxr.plugin.radiographs_on_show import watch_viewer

    if getattr(viewer, 'window', None) is not None:
        from napari_cxr.plugin.radiograph.tools import tools_of

        tools_of(viewer)
    return watch_viewer(viewer)
