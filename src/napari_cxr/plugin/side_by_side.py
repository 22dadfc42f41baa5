"""Two radiographs side by side: each in a cell of napari's grid, at the same place of its own.

The cells of the grid share one camera, and both radiographs lie in the world middle to middle.
So zooming into the left lung of one zooms into the left lung of the other, however far apart they
are on screen. napari groups layers into cells by their places in the list of layers, which would
tear heatmaps and measurements off their radiographs; here a cell is that of a radiograph.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence

from napari.components import ViewerModel
from napari.layers import Image, Layer

__all__ = ['SideBySide', 'is_under_cursor']

#: Pixels between the two cells.
_GAP = 6


class SideBySide:
    """Gives two radiographs a cell each of a viewer's grid, until `end`.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    right : napari.layers.Image
        The one in the right cell, with what lies on it. Everything else is in the left one.
    companions : callable
        Returns what lies on a radiograph, of the layers given to it.
    left_grid : callable
        Called when a person switches the grid off.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        right: Image,
        companions: Callable[[Image, Iterable[Layer]], list[Layer]],
        left_grid: Callable[[], None],
    ) -> None:
        self._viewer = weakref.ref(viewer)
        self._right = right
        self._companions, self._left_grid = companions, left_grid
        grid = viewer.canvas.grid
        self._before = (grid.enabled, grid.stride, grid.shape, grid.spacing)
        grid.enabled = False  # so that it is laid out once, by the change at the end
        # Takes the place of the grid's method, for this one grid: fields stay what they are.
        grid.__dict__['position'] = self._position
        grid.stride, grid.shape, grid.spacing = 1, (1, 2), _GAP
        grid.enabled = True
        grid.events.enabled.connect(self._switched)

    def end(self) -> None:
        """Leave the grid as it was."""
        viewer = self._viewer()
        if viewer is None:
            return
        grid = viewer.canvas.grid
        grid.events.enabled.disconnect(self._switched)
        grid.enabled = False
        grid.__dict__.pop('position', None)
        enabled, grid.stride, grid.shape, grid.spacing = self._before
        grid.enabled = enabled

    def _switched(self) -> None:
        viewer = self._viewer()
        if viewer is not None and not viewer.canvas.grid.enabled:
            self._left_grid()

    def _position(self, index: int, layers: Sequence[Layer]) -> tuple[int, int]:
        """Return the row and column of a layer; (-1, -1) for one that is hidden."""
        viewer = self._viewer()
        if viewer is None or not viewer.canvas.grid.enabled:
            return 0, 0
        layer = layers[index]
        if not layer.visible:
            return -1, -1
        on_right = layer is self._right or bool(self._companions(self._right, [layer]))
        return 0, int(on_right)


def is_under_cursor(viewer: ViewerModel, layer: Layer) -> bool:
    """Return whether a layer is in the cell of the grid that the cursor is in."""
    grid, cell = viewer.canvas.grid, viewer.cursor.viewbox
    if not grid.enabled or cell is None:
        return True
    return grid.position(viewer.layers.index(layer), viewer.layers) == tuple(cell)
