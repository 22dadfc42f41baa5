"""What an audit looks at in each image: its lungs' shapes and shades, and whether it is frontal.

The features are histograms of oriented gradients (Dalal and Triggs, CVPR 2005) of the rectangle
around both lungs, and its grey values on a coarse grid, reduced to their principal components
over all images. They were learnt from no label, so they cannot repeat a wrong one; and they need
no network.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.lungs.frontal_check import FrontalCheck, check_frontal
from napari_cxr.radiograph import Radiograph
from napari_cxr.resampling import resample_array
from napari_cxr.training.data_preparation import LoadedImages

__all__ = ['LUNG_VIEW', 'WHOLE_VIEW', 'frontal_checks', 'lung_features']

#: The whole radiograph as the frontal check looks at it: four times its pixels.
WHOLE_VIEW = Preprocessing(192, 192, 'stretch', stretch=None)
#: The rectangle around both lungs.
LUNG_VIEW = Preprocessing(224, 224, 'stretch', lungs='crop', margin=0.05)

#: Directions of gradients, pixels of a cell, cells of a block that is normalised as one; and rows
#: and columns of the grid of grey values.
_DIRECTIONS, _CELL, _BLOCK_CELLS, _GRID = 9, 14, 2, 14
#: Principal components that are kept, and images that suffice to find them.
_COMPONENTS, _SAMPLE = 256, 4000
#: Images in memory at once.
_BLOCK = 64


def frontal_checks(images: LoadedImages) -> Generator[int, None, tuple[FrontalCheck, ...]]:
    """Check whether images are upright frontal chest radiographs.

    Parameters
    ----------
    images : LoadedImages
        Read with `WHOLE_VIEW`.

    Yields
    ------
    int
        How many are done, now and then.

    Returns
    -------
    tuple of FrontalCheck
    """
    found: list[FrontalCheck] = []
    for start in range(0, len(images.digests), _BLOCK):
        block = images.images(range(start, min(start + _BLOCK, len(images.digests))))
        for number, pixels in enumerate(block):
            found.append(check_frontal(Radiograph.from_array(pixels)))
            if not number % 8:
                yield len(found)
    return tuple(found)


def lung_features(images: LoadedImages, seed: int = 0) -> Generator[int, None, np.ndarray]:
    """Describe the lungs of images by numbers.

    Parameters
    ----------
    images : LoadedImages
        Read with `LUNG_VIEW`.
    seed : int
        Of the sample of images by which principal components are found, where there are many.

    Yields
    ------
    int
        How many are done, now and then.

    Returns
    -------
    ndarray of float32, shape (n, f)
        Scores on at most 256 components, in units of the first one's standard deviation.
    """
    from sklearn.decomposition import PCA

    count = len(images.digests)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:_SAMPLE])
    sample = yield from _described(images, chosen)
    middle, spread = sample.mean(axis=0), sample.std(axis=0) + 1e-6
    components = min(_COMPONENTS, *sample.shape)
    found = PCA(components, svd_solver='randomized', random_state=seed)
    scores = found.fit_transform((sample - middle) / spread)
    unit = scores[:, 0].std() + 1e-12
    if len(chosen) == count:
        return np.asarray(scores / unit, dtype=np.float32)
    out = np.empty((count, components), np.float32)
    for start in range(0, count, _BLOCK):
        places = np.arange(start, min(start + _BLOCK, count))
        described = yield from _described(images, places, before=start)
        out[places] = found.transform((described - middle) / spread) / unit
    return out


def _described(
    images: LoadedImages, places: np.ndarray, before: int = 0
) -> Generator[int, None, np.ndarray]:
    """Return gradients and grey values of some images, shape (n, f)."""
    from skimage.feature import hog

    found: list[np.ndarray] = []
    for start in range(0, len(places), _BLOCK):
        for number, pixels in enumerate(images.images(places[start : start + _BLOCK])):
            image = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
            shapes = hog(image, _DIRECTIONS, (_CELL, _CELL), (_BLOCK_CELLS, _BLOCK_CELLS))
            shades = resample_array(image, (0, 0, *image.shape), _GRID, _GRID)
            found.append(np.concatenate([shapes, shades.ravel()]).astype(np.float32))
            if not number % 8:
                yield before + len(found)
    return np.stack(found)
