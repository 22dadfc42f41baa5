"""Grey values that count from the lungs' own air to the shadow between the lungs.

Exposure, window and processing move all grey values of a radiograph; the most lucent part
of the lungs and the mediastinum move with them. After localized normalisation in the sense
of Philipsen et al. (IEEE Trans Med Imaging 2015;34:1965), reduced to two numbers.
"""

from __future__ import annotations

import numpy as np

__all__ = ['DARKEST_LUNG', 'only_lungs']

#: What the darkest lung becomes; less is outside of the lungs, which are 0.
DARKEST_LUNG = 1 / 32
#: What becomes 1, in units of the difference between the two.
_BRIGHTEST = 1.5
#: Percentile of the lungs that counts as their air: the minimum would be noise.
_AIR = 2
#: Rows and columns between the lungs, as shares of the image, where the mediastinum is.
_MIDDLE = ((5 / 16, 7 / 8), (5 / 12, 7 / 12))
#: Fewer pixels than this between the lungs say nothing; then it is this percentile of all.
_FEWEST, _ELSE = 6, 90
_FLAT = 1e-6


def only_lungs(image: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Blank everything but the lungs, and put their grey values on their own scale.

    Parameters
    ----------
    image : ndarray of float32, shape (h, w)
        Display values of the rectangle around both lungs.
    lungs : ndarray of float32, shape (h, w)
        How probable it is that each pixel is lung.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0 outside of the lungs. Inside, the 2nd percentile of the lungs becomes 1/32, and
        1 is as far above it as 1.5 times the shadow between the lungs is.
    """
    from scipy.ndimage import binary_dilation

    inside = lungs > 0.5
    if not inside.any():
        return np.zeros_like(image)
    height, width = image.shape
    rows, columns = (
        slice(round(first * n), round(last * n))
        for (first, last), n in zip(_MIDDLE, (height, width), strict=True)
    )
    between = image[rows, columns][~binary_dilation(inside)[rows, columns]]
    air = np.percentile(image[inside], _AIR)
    shadow = np.median(between) if between.size >= _FEWEST else np.percentile(image, _ELSE)
    unit = max(float(shadow - air), _FLAT)
    tones = np.clip((image - np.float32(air)) / np.float32(unit * _BRIGHTEST), 0, 1)
    return np.where(inside, DARKEST_LUNG + (1 - DARKEST_LUNG) * tones, 0).astype(np.float32)
