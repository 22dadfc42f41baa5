"""The command that shows a radiograph's lungs without classifying it."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning

from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.layers import is_heatmap
from napari_cxr.plugin.lungs import jobs
from napari_cxr.plugin.lungs.desk import insert_lungs
from napari_cxr.plugin.lungs.jobs import Found
from napari_cxr.plugin.lungs.layer import field_of, lungs_of, radiograph_under

__all__ = ['chosen_radiograph', 'show_lungs']

#: Workers under way: one that nobody holds may go before its result arrives.
_under_way: set[Any] = set()


def show_lungs(viewer: ViewerModel) -> None:
    """Find the lungs of the chosen radiograph and lay them on it; returns at once.

    Lungs that are there already are shown and selected, never made anew, because a
    person may have edited them.

    Parameters
    ----------
    viewer : ViewerModel
        Whose radiograph is meant.
    """
    # napari hands plugins a proxy, and layers from it are proxies too, each time others:
    # what is kept about one of these would be about nothing.
    viewer = getattr(viewer, '__wrapped__', viewer)
    base = chosen_radiograph(viewer)
    if base is None:
        show_info('Open a chest radiograph first, then show its lung field.')
        return
    there = lungs_of(base, viewer.layers)
    if there is not None:
        there.visible = True
        viewer.layers.selection.active = there
        return
    worker = jobs.find(base)

    def take(found: Found | Failure) -> None:
        if isinstance(found, Failure):
            show_error(found.text)
            return
        layer = insert_lungs(viewer, found)
        if layer is None:
            return
        viewer.layers.selection.active = layer
        field = field_of(layer)
        if field.source == 'atlas':
            show_warning(
                f'The lungs could not be found here ({field.implausible}): the layer shows '
                'where they are on average. Correct it with the brush before you use it.'
            )

    worker.returned.connect(take)
    worker.finished.connect(lambda: _under_way.discard(worker))
    _under_way.add(worker)
    worker.start()


def chosen_radiograph(viewer: ViewerModel) -> Image | None:
    """Return the selected radiograph's layer, or the topmost if none is selected."""
    active = viewer.layers.selection.active
    images = [x for x in viewer.layers if isinstance(x, Image) and not is_heatmap(x)]
    if active is not None and active not in images:
        active = radiograph_under(active)
    return active if active is not None else (images[-1] if images else None)
