"""Synthetic radiographs that ways to run a model are compared on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from napari_cxr import samples
from napari_cxr.radiograph import Radiograph, UnreadableImage

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['trial_images']

_SHAPE = (480, 416)


def trial_images(classifier: Classifier, count: int) -> np.ndarray:
    """Return prepared images of synthetic radiographs, on which ways are compared.

    Returns
    -------
    ndarray of float32, shape (count, height, width)
        As `Classifier.logits` takes them: eight, unlike each other in what decides
        probabilities, and then these again.
    """
    fit = classifier.preprocessing
    images = []
    for pixels in _unlike(samples.phantom(_SHAPE)):
        with suppress(UnreadableImage):
            images.append(fit.apply(Radiograph.from_array(pixels)).image)
        if len(images) == count:
            break
    if not images:
        images = [samples.phantom((fit.height, fit.width))]
    return np.stack([images[i % len(images)] for i in range(count)])


def _unlike(chest: np.ndarray) -> Iterator[np.ndarray]:
    """Make eight radiographs of one, which takes as long to draw as all the rest together."""
    rows, columns = chest.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    right, left = (np.exp(-(((y - 0.2) / 0.3) ** 2) - ((x - at) / 0.2) ** 2) for at in (-0.5, 0.5))
    grain = np.random.default_rng(0).normal(0, 0.06, chest.shape)
    yield chest
    yield chest + 0.35 * left
    yield chest[:, ::-1] ** 2
    yield np.sqrt(chest) + 0.2 * right + 0.2 * left
    yield chest[rows // 8 : -rows // 8, columns // 8 : -columns // 8]
    yield chest + grain
    yield (chest + 0.3 * right + grain)[rows // 10 :]
    yield 1 - chest
