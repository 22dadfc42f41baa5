"""The outline of a heatmap at a level, as a shapes layer on the radiograph."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Shapes

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.plugin.layers import lay_on

__all__ = ['contour_layer', 'outline', 'show_contour']

#: Points between two cells; enough for a curve that looks smooth on screen.
_FINER = 12


def outline(heatmap: Heatmap, level: float) -> list[np.ndarray]:
    """Return where the heatmap crosses a level.

    Parameters
    ----------
    heatmap : Heatmap
        The map.
    level : float
        Share of the map's own maximum, in (0, 1).

    Returns
    -------
    list of ndarray, shape (n, 2)
        Paths of (y, x) in pixels of the radiograph; empty for a map of zeros. They run
        along the edge of what the network saw rather than beyond it.
    """
    from scipy.ndimage import zoom
    from skimage.measure import find_contours

    values = heatmap.values.astype(float)
    top = values.max()
    if top <= 0:
        return []
    # One cell of nothing around it closes every path.
    padded = np.pad(values / top, 1)
    # As smooth as the layer is drawn; splines swing below zero beside a peak.
    fine = np.clip(zoom(padded, _FINER, order=3, grid_mode=False, mode='nearest'), 0, None)
    step = (np.array(padded.shape) - 1) / (np.array(fine.shape) - 1)
    paths = []
    for points in find_contours(fine, level):
        cells = points * step - 1
        homogeneous = np.column_stack([cells, np.ones(len(cells))])
        path = (homogeneous @ heatmap.to_radiograph.T)[:, :2]
        if heatmap.seen is not None:
            path = np.clip(path, heatmap.seen[:2], heatmap.seen[2:])
        paths.append(path)
    return paths


def contour_layer(heatmap: Heatmap, level: float, base: Image) -> Shapes:
    """Return a layer with the outline, in place on the radiograph's layer."""
    layer = Shapes(ndim=2, axis_labels=base.axis_labels)
    show_contour(layer, heatmap, level, base)
    lay_on(layer, base)
    return layer


def show_contour(layer: Shapes, heatmap: Heatmap, level: float, base: Image) -> None:
    """Put the outline of a heatmap into an existing layer, where the radiograph is now."""
    for name in ('scale', 'translate', 'rotate', 'shear', 'affine', 'units'):
        setattr(layer, name, getattr(base, name))
    rows = heatmap.to_radiograph[0, 0] * heatmap.values.shape[0]
    layer.data = []
    paths = outline(heatmap, level)
    if paths:
        layer.add_paths(paths, edge_color='#ff3b30', edge_width=max(rows / 250, 0.5))
    layer.name = f'{heatmap.method} outline · {heatmap.label} · {100 * level:.0f} %'
