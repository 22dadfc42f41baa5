"""Images as the model will see them in use, from which thresholds and the card's metrics come.

Training takes images with 8 bits, decoded in full. `classify` and `score` take floats, and may
decode a part of an image's size. That moves probabilities in the third digit, enough for a
threshold to miss the image that it was made from. So the validation and test images are read a
second time, as `napari_cxr.scoring.image_preparation` reads them, and cached like the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import numpy as np

from napari_cxr.training.data_preparation import LoadedImages
from napari_cxr.training.dataset import DatasetError
from napari_cxr.training.image_cache import cache_key
from napari_cxr.training.training_events import ReadingProgress, TrainingEvent
from napari_cxr.training.training_image import INFERENCE_BITS, TrainingImage

__all__ = ['cache_inference_images', 'inference_images']

_EVENT_EVERY = 0.2  # seconds between two events
_KEEP_AT_ONCE = 64  # images in one transaction


def cache_inference_images(
    images: LoadedImages, places: np.ndarray, run: str
) -> Iterator[TrainingEvent]:
    """Read images as the model will see them in use, those that are not in the cache yet.

    Parameters
    ----------
    images : LoadedImages
        The images.
    places : ndarray of int
        Which of them.
    run : str
        Name of the run in events.

    Yields
    ------
    ReadingProgress

    Raises
    ------
    DatasetError
        If a file was changed or removed after it was first read, or cannot be read again.
    """
    keys = {int(place): _key(images, int(place)) for place in places}
    there = images.cache.find(list(dict.fromkeys(keys.values())))
    # Identical files are read once.
    first = {key: place for place, key in reversed(keys.items()) if key not in there}
    items = [(place, images.dataset.samples[place].path) for place in sorted(first.values())]
    if not items:
        return
    pending: dict[bytes, TrainingImage] = {}
    total, last = len(items), 0.0
    results: Any = images.reader(items, images.preprocessing, INFERENCE_BITS)
    try:
        for done, (place, result) in enumerate(results, start=1):
            if isinstance(result, str):
                raise DatasetError(
                    f'The image {images.dataset.name_of(place)} could not be read again, to '
                    f'evaluate the model: {result}'
                )
            pending[keys[place]] = result
            if len(pending) == _KEEP_AT_ONCE:
                images.cache.put(pending)
                pending = {}
            if done == total or time.monotonic() - last >= _EVENT_EVERY:
                last = time.monotonic()
                yield ReadingProgress(run, done, total)
    finally:  # what was decoded is kept even if the run is cancelled
        if hasattr(results, 'close'):
            results.close()
        images.cache.put(pending)


def inference_images(images: LoadedImages, places: np.ndarray) -> np.ndarray:
    """Return images as the model will see them in use, before normalisation.

    Those that are no longer in the cache are read again.

    Returns
    -------
    ndarray of float32, shape (n, height, width)

    Raises
    ------
    DatasetError
        As `cache_inference_images`.
    """
    keys = [_key(images, int(place)) for place in places]
    found = images.cache.images(list(dict.fromkeys(keys)))
    if any(key not in found for key in keys):
        lost = np.array([p for p, key in zip(places, keys, strict=True) if key not in found])
        with closing(cast(Any, cache_inference_images(images, lost, ''))) as events:
            for _ in events:
                pass
        found |= images.cache.images(keys)
    shape = images.preprocessing.height, images.preprocessing.width
    return np.stack([np.frombuffer(found[key], np.float32).reshape(shape) for key in keys])


def _key(images: LoadedImages, place: int) -> bytes:
    path, known = images.dataset.samples[place].path, images.digests[place]
    try:
        digest = images.cache.digest_of(path)
    except OSError:
        digest = b''
    if digest.hex()[: len(known)] != known:
        raise DatasetError(
            f'The image {images.dataset.name_of(place)} was changed or removed after '
            'it was read; start the run again.'
        )
    return cache_key(digest, images.preprocessing, INFERENCE_BITS)
