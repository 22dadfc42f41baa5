"""A stack of feature maps as a napari layer that lies on its radiograph."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.plugin.layers import KEY

__all__ = ['feature_map_layer', 'show_feature_maps']


def feature_map_layer(
    maps: FeatureMaps, order: np.ndarray, dead: np.ndarray, base: Image
) -> Image:
    """Return a layer with a map a filter along its first axis; see `show_feature_maps`."""
    layer = Image(
        np.ascontiguousarray(maps.values[order]),
        colormap='inferno',
        blending='translucent_no_depth',
        opacity=0.75,
        interpolation2d='nearest',
        axis_labels=('filter', *base.axis_labels[-2:]),
        units=('pixel', *base.units[-2:]),
    )
    show_feature_maps(layer, maps, order, dead, base)
    return layer


def show_feature_maps(
    layer: Image, maps: FeatureMaps, order: np.ndarray, dead: np.ndarray, base: Image
) -> None:
    """Put maps into an existing layer, each in place on the radiograph's layer.

    The maps keep the few cells that the network produced. All filters share their
    contrast limits, so that a weak map looks weak.

    Parameters
    ----------
    layer : napari.layers.Image
        A layer that `feature_map_layer` made.
    maps : FeatureMaps
        What to show.
    order : ndarray of int, shape (C,)
        The filter at each place of the stack.
    dead : ndarray of bool, shape (C,)
        Which filters are dead, by their own numbers.
    base : napari.layers.Image
        The radiograph's layer, with rows and columns.
    """
    layer.data = np.ascontiguousarray(maps.values[order])
    for name, value in _place(maps, base).items():
        if not np.array_equal(np.asarray(getattr(layer, name)), value):
            setattr(layer, name, value)
    low, high = float(maps.values.min()), float(maps.values.max())
    low = min(low, 0.0)
    # A few cells are often far above all others; they may be drawn alike.
    top = max(float(np.quantile(maps.values, 0.999)), low + 1e-12)
    layer.contrast_limits_range = (low, max(high, top))
    layer.contrast_limits = (low, top)
    layer.name = f'Feature maps · {maps.stage} · {maps.model}'
    layer.metadata = {
        KEY: {
            'method': 'feature maps',
            'stage': maps.stage,
            'model': maps.model,
            'filters': order.tolist(),
            'dead': np.flatnonzero(dead).tolist(),
            'place': maps.untraceable or 'by the receptive fields of the cells',
            'base': base.name,
        }
    }


def _place(maps: FeatureMaps, base: Image) -> dict[str, Any]:
    """Return where napari must draw the stack so that cells lie where they look."""
    origin = np.asarray(base.data_to_world((0, 0)))
    axes = [np.asarray(base.data_to_world(point)) - origin for point in ((1, 0), (0, 1))]
    to_world = np.eye(3)
    to_world[:2] = np.column_stack([*axes, origin])
    matrix = to_world @ maps.to_radiograph
    affine = np.eye(4)
    if np.allclose(matrix[[0, 1], [1, 0]], 0):
        scale = (1.0, matrix[0, 0], matrix[1, 1])
        return {'affine': affine, 'scale': scale, 'translate': (0.0, *matrix[:2, 2])}
    affine[1:, 1:] = matrix  # the radiograph's layer is turned or sheared
    return {'affine': affine, 'scale': (1.0,) * 3, 'translate': (0.0,) * 3}
