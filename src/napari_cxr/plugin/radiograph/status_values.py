"""napari's status bar says what the radiograph under the cursor holds, whatever is selected."""

from __future__ import annotations

import weakref
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image

from napari_cxr.measurements import SPACING_KINDS
from napari_cxr.plugin.radiograph.pixel_values import pixel_value
from napari_cxr.plugin.radiograph.zoom import geometry_of
from napari_cxr.plugin.radiograph_views import RadiographViews

__all__ = ['StatusValues']


class StatusValues:
    """Puts values and spacing into the status of a viewer while the cursor is on a radiograph.

    napari works out the status of the selected layer in a thread of its own. What it says of a
    layer that is not the radiograph stays, after ours.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    views : RadiographViews
        Of the viewer.
    """

    def __init__(self, viewer: ViewerModel, views: RadiographViews) -> None:
        self._viewer, self._views = weakref.ref(viewer), views
        #: What we said last; napari tells of it after this code has ended.
        self._said = ''
        # After napari's own window, which would show the value that it was told of.
        viewer.events.status.connect(self._extend, position='last')

    def _extend(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is None or not viewer.mouse_over_canvas:
            return
        others, text = viewer.status, self.text(viewer)
        if not text or others == self._said:
            return
        active = viewer.layers.selection.active
        if isinstance(others, dict) and active is not None and active is not self._base(viewer):
            value = others.get('value')
            text += f'   {active.name}: {value}' if value not in (None, '') else ''
        self._said = text
        viewer.status = text

    def _base(self, viewer: ViewerModel) -> Image | None:
        return self._views.at(viewer.cursor.position)

    def text(self, viewer: ViewerModel) -> str:
        """Return what the status says of the radiograph under the cursor; empty beside one."""
        base = self._base(viewer)
        found = (
            pixel_value(base, self._views.shown_of(base), viewer.cursor.position)
            if base is not None
            else None
        )
        if base is None or found is None:
            return ''
        return f'{base.name}   {found} · {_spacing(base)}'


def _spacing(base: Image) -> str:
    geometry = geometry_of(base)
    if geometry.spacing is None:
        return 'no pixel spacing'
    row, column = geometry.spacing
    size = f'{row:.4g} mm' if abs(row - column) < 1e-6 else f'{row:.4g} x {column:.4g} mm'
    return f'{size} a pixel {SPACING_KINDS.get(geometry.source, "")}'.strip()
