"""Images that differ in one thing only, to see whether a network's answer depends on it.

Arrays in, arrays out; on the pixels of a network's input, before normalisation. What is taken
away becomes the mean grey of what is left: black would be air. Neighbours in a batch lend each
other their frames and surroundings, so whoever makes batches shuffles the images.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_cxr.explain.heatmap import FRAME

__all__ = ['CHANGES', 'Change', 'InputBatch']

#: How far beyond the lungs pixels are taken for lung, as a fraction of the image's side: a lung
#: that is cut off at its edge would leave the outline of an opacity there.
_BEYOND = 0.03

_QUALITY = 30


@dataclass(frozen=True, eq=False)
class InputBatch:
    """Images as a network sees them, and what is known of their pixels.

    Parameters
    ----------
    images : ndarray of float32, shape (n, height, width)
        In [0, 1].
    lungs, markers : ndarray of bool, shape (n, height, width)
        Where the lungs are, and burnt-in text and side markers.
    """

    images: np.ndarray
    lungs: np.ndarray
    markers: np.ndarray


@dataclass(frozen=True)
class Change:
    """One change, and what its outcome would mean.

    Parameters
    ----------
    name : str
        As in reports.
    apply : callable
        Takes an `InputBatch`; returns images (n, height, width).
    suspect : {'kept', 'lost'}
        What calls a network out: that it still tells the classes apart, where what shows them is
        gone; or that it tells them apart less, where nothing that shows them has changed.
    meaning : str
        What it means if it does, in one sentence.
    least : float
        With 'lost': how much of what is above chance must be lost.
    """

    name: str
    apply: Callable[[InputBatch], np.ndarray]
    suspect: Literal['kept', 'lost']
    meaning: str
    least: float = 0.1


def _kept(images: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return images where `kept`, and elsewhere the mean grey of what is kept.

    The mean of the whole image would tell of what was taken away.
    """
    kept = np.broadcast_to(kept, images.shape)
    counts = np.maximum(kept.sum(axis=(1, 2), keepdims=True), 1)
    means = np.where(kept, images, 0).sum(axis=(1, 2), keepdims=True, dtype=np.float64) / counts
    return np.where(kept, images, means).astype(np.float32)


def _around_lungs(batch: InputBatch) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    rounds = max(1, round(_BEYOND * max(batch.images.shape[1:])))
    return np.stack([binary_dilation(lungs, iterations=rounds) for lungs in batch.lungs])


def _without_lungs(batch: InputBatch) -> np.ndarray:
    return _kept(batch.images, ~_around_lungs(batch))


def _only_lungs(batch: InputBatch) -> np.ndarray:
    """Put the lungs into the surroundings of the next image, whose own lungs are grey.

    Grey surroundings are unlike all that a network was trained on.
    """
    others = np.roll(_without_lungs(batch), -1, axis=0)
    return np.where(_around_lungs(batch), batch.images, others)


def _frame(shape: tuple[int, ...]) -> np.ndarray:
    """Return the outer 8 % along each side."""
    rows, columns = (max(1, round(FRAME * side)) for side in shape)
    frame = np.ones(shape, dtype=bool)
    frame[rows:-rows, columns:-columns] = False
    return frame


def _only_frame(batch: InputBatch) -> np.ndarray:
    return _kept(batch.images, _frame(batch.images.shape[1:]))


def _other_frame(batch: InputBatch) -> np.ndarray:
    """Give each image the frame of the next one."""
    others = np.roll(batch.images, -1, axis=0)
    return np.where(_frame(batch.images.shape[1:]), others, batch.images)


def _without_markers(batch: InputBatch) -> np.ndarray:
    """Fill text and markers with the median of the pixels around each."""
    from scipy.ndimage import find_objects, label

    changed = batch.images.copy()
    for image, markers in zip(changed, batch.markers, strict=True):
        for place in find_objects(label(markers)[0]):
            wider = tuple(slice(max(axis.start - 4, 0), axis.stop + 4) for axis in place)
            around = image[wider][~markers[wider]]
            image[place] = np.median(around) if around.size else image.mean()
    return changed


def _mirrored(batch: InputBatch) -> np.ndarray:
    return np.ascontiguousarray(batch.images[:, :, ::-1])


def _half_resolution(batch: InputBatch) -> np.ndarray:
    from skimage.transform import resize

    rows, columns = batch.images.shape[1:]
    half = (max(1, rows // 2), max(1, columns // 2))
    return np.stack(
        [
            resize(resize(image, half, anti_aliasing=True), (rows, columns), order=1)
            for image in batch.images
        ]
    ).astype(np.float32)


def _jpeg(batch: InputBatch) -> np.ndarray:
    from PIL import Image

    changed = []
    for image in batch.images:
        packed = io.BytesIO()
        pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(packed, 'JPEG', quality=_QUALITY)
        changed.append(np.asarray(Image.open(packed), np.float32) / 255)
    return np.stack(changed)


#: All changes, in the order of reports.
CHANGES = (
    Change(
        'only the frame',
        _only_frame,
        'kept',
        'The outer 8 % of the image, where markers and borders lie, are enough to tell the '
        'classes apart.',
    ),
    Change(
        'lungs removed',
        _without_lungs,
        'kept',
        'The classes can be told apart without the lungs.',
    ),
    Change(
        'only the lungs',
        _only_lungs,
        'lost',
        'What tells the classes apart lies around the lungs: in the surroundings of another image '
        'they are not enough.',
        0.5,
    ),
    Change(
        'frame replaced',
        _other_frame,
        'lost',
        'The answer depends on the outer 8 % of the image, which belong to another image here.',
    ),
    Change(
        'text and markers masked',
        _without_markers,
        'lost',
        'The answer depends on burnt-in text or side markers.',
    ),
    Change(
        'mirrored',
        _mirrored,
        'lost',
        'The answer depends on which side is left, as it may where a disease has a side.',
    ),
    Change(
        'half the resolution',
        _half_resolution,
        'lost',
        'The answer depends on fine detail, which the next scanner draws otherwise.',
    ),
    Change(
        'JPEG of low quality',
        _jpeg,
        'lost',
        'The answer depends on how the image was compressed.',
    ),
)
