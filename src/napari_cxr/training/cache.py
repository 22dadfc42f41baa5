"""Every image decoded once, and kept as small integers at the network's size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.metrics.baseline import baseline_features
from napari_cxr.radiograph import Radiograph, UnreadableImage, View
from napari_cxr.training.dataset import Dataset

__all__ = ['Cache', 'Progress', 'fill']

_LATERAL = 'This is a lateral view, and the networks here learn from frontal views only.'


@dataclass(frozen=True, eq=False)
class Cache:
    """Decoded images of a data set.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height, width)
        As `Preprocessing.apply` makes them, times 255.
    features : ndarray of float32, shape (n, f)
        What the no-anatomy baselines see of each whole radiograph.
    unreadable : dict of int to str
        Places in the data set that could not be used, and why: unreadable files, and
        lateral views by the table or the header. They are not in `images`.
    """

    images: np.ndarray
    features: np.ndarray
    unreadable: dict[int, str]

    def digests(self) -> list[str]:
        """Return a short hash of each image's content, which names it without its path."""
        return [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in self.images]


@dataclass(frozen=True)
class Progress:
    """One image was read: its place in the data set, and why it is left out, if it is."""

    place: int
    reason: str = ''


def fill(
    dataset: Dataset, preprocessing: Preprocessing, read: Callable[[Path], Radiograph]
) -> Iterator[Progress | Cache]:
    """Read all images of a data set.

    Parameters
    ----------
    dataset : Dataset
        The images.
    preprocessing : Preprocessing
        How they become the network's input.
    read : callable
        From a path to a Radiograph; raises UnreadableImage. Decoding belongs to
        whoever calls: a file may hang or abort a codec.

    Yields
    ------
    Progress
        One for each image.
    Cache
        Last.
    """
    images, features, unreadable = [], [], {}
    for place, sample in enumerate(dataset.samples):
        try:
            if sample.is_lateral:
                raise UnreadableImage(_LATERAL)
            radiograph = read(sample.path)
            if radiograph.refusal:
                raise UnreadableImage(radiograph.refusal)
            if radiograph.geometry.view is View.LATERAL:
                raise UnreadableImage(_LATERAL)
            image = preprocessing.apply(radiograph).image
            features.append(baseline_features(radiograph))
        except (UnreadableImage, OSError) as error:
            unreadable[place] = str(error)
            yield Progress(place, str(error))
            continue
        images.append(np.rint(image * 255).astype(np.uint8))
        yield Progress(place)
    shape = (0, preprocessing.height, preprocessing.width)
    yield Cache(
        images=np.stack(images) if images else np.zeros(shape, np.uint8),
        features=np.stack(features) if features else np.zeros((0, 0), np.float32),
        unreadable=unreadable,
    )
