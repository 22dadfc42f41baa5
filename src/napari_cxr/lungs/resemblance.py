"""Whether an image resembles a frontal chest radiograph, with black and white the right way.

One number: the correlation of a small version of the image with the average
radiograph (`average_chest.csv`, made by `scripts/fit_average_chest.py`). An
inverted radiograph has the same correlation with the opposite sign.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from PIL import Image

__all__ = ['SIZE', 'looks_inverted', 'looks_like_a_chest', 'resemblance']

#: Rows and columns of the average radiograph.
SIZE = 24
#: Bounds for the two questions. With the average fitted on three of the four sources of the
#: training data, 0.3 % of the radiographs of the fourth lay below 0.12, and 0.04 % below -0.1.
_CHEST = 0.12
_INVERTED = -0.1


def resemblance(image: np.ndarray) -> float:
    """Return the correlation with the average frontal chest radiograph.

    Parameters
    ----------
    image : ndarray of float32, shape (h, w)
        Display values in [0, 1].

    Returns
    -------
    float
        In [-1, 1]; 0 for a blank image.
    """
    picture = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    small = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR), dtype=float)
    small = small - small.mean()
    norm = np.linalg.norm(small)
    return float((small * _average()).sum() / norm) if norm > 1e-6 else 0.0


def looks_inverted(image: np.ndarray) -> bool:
    """Return whether black and white seem exchanged."""
    return resemblance(image) < _INVERTED


def looks_like_a_chest(image: np.ndarray) -> bool:
    """Return whether it could be a frontal chest radiograph, inverted or not."""
    return abs(resemblance(image)) >= _CHEST


@cache
def _average() -> np.ndarray:
    """Return the average radiograph, with mean 0 and norm 1."""
    text = files('napari_cxr.lungs').joinpath('average_chest.csv').read_text('ascii')
    average = np.array([row.split(',') for row in text.split()], dtype=float)
    average -= average.mean()
    return average / np.linalg.norm(average)
