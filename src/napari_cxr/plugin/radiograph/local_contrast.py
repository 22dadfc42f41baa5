"""Local contrast (CLAHE) of a radiograph, as a layer on it that is for the eye alone.

Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), by
scikit-image. It changes which of two places is brighter, so no model and no measurement of grey
values ever sees it.
"""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_cxr.plugin.layers import KEY, lay_on, name_without_identity
from napari_cxr.plugin.standard_windows import windows_of

__all__ = ['local_contrast', 'local_contrast_layer']

#: Tiles along the longer side; each is equalised by itself.
_TILES = 8
#: Where the histogram of a tile is cut, so that noise is not made contrast.
_CLIP = 0.012


def local_contrast(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return an image with its local contrast made equal.

    Parameters
    ----------
    values : ndarray, shape (rows, columns)
        Any real type.
    limits : tuple of float
        The values that count as the darkest and the brightest.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
    """
    from skimage.exposure import equalize_adapthist

    low, high = limits
    scaled = np.clip((values.astype(np.float32) - low) / max(high - low, 1e-30), 0, 1)
    scaled = np.nan_to_num(scaled)
    tile = max(8, max(values.shape) // _TILES)
    equal = equalize_adapthist(scaled, kernel_size=tile, clip_limit=_CLIP)
    return np.asarray(np.round(255 * equal), np.uint8)


def local_contrast_layer(base: Image, equal: np.ndarray) -> Image:
    """Return a layer with local contrast, in place on a radiograph.

    Parameters
    ----------
    base : napari.layers.Image
        The radiograph's layer.
    equal : ndarray of uint8
        What `local_contrast` made of its data.
    """
    about = name_without_identity(base)
    layer = Image(
        equal,
        name=f'Local contrast · {about}' if about else 'Local contrast',
        colormap=base.colormap,
        contrast_limits=(0, 255),
        axis_labels=base.axis_labels,
        metadata={KEY: {'local_contrast': True}},
    )
    for name in ('scale', 'translate', 'rotate', 'shear', 'affine', 'units'):
        setattr(layer, name, getattr(base, name))
    lay_on(layer, base)
    return layer


def contrast_range(base: Image) -> tuple[float, float]:
    """Return the values of a radiograph between which its local contrast counts."""
    found = {window.name: window.limits for window in windows_of(base)}
    low, high = found.get('Automatic') or base.contrast_limits
    return float(low), float(high)
