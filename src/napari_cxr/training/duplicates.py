"""Near-duplicates: the same radiograph, saved anew, resized, brightened or mirrored."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ['fingerprint']

_SIDE = 32
_KEPT = 8


def _cosines() -> np.ndarray:
    """Return the first rows of the discrete cosine transform (type II) of `_SIDE` points."""
    k, x = np.arange(_KEPT)[:, None], np.arange(_SIDE)
    return np.cos(np.pi * k * (2 * x + 1) / (2 * _SIDE))


_DCT = _cosines()


def fingerprint(image: np.ndarray) -> int:
    """Return a perceptual hash: 64 bits of which few change when an image is saved anew.

    The image is made 32 x 32, and each bit tells whether one of its 8 x 8 lowest
    frequencies (discrete cosine transform) is above their median (pHash; Zauner,
    "Implementation and benchmarking of perceptual image hash functions", 2010).

    Parameters
    ----------
    image : ndarray of float32, shape (h, w)
        Display values.

    Returns
    -------
    int
        The first frequency, the mean, is the highest bit; rows go from top to bottom.
    """
    picture = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    small = np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=float)
    low = _DCT @ small @ _DCT.T
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), 'big')
