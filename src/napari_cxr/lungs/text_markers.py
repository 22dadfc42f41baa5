"""Burnt-in text and side markers on a radiograph: bright, sharp, small things outside the lungs.

Letters and lead markers are drawn or cast on the picture at its very brightest, with an edge of a
pixel or two, while ribs and vessels are blurred by geometry and motion. So a component counts
where it stands out of its surroundings (white top-hat), is near the top of the grey values, has a
sharp outline, has the size of writing, and does not lie in the lungs. How often that is right is
measured in docs/explanations.md. Electrodes and clips outside the lungs look alike, and are
counted too; dark writing is not found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_cxr.lungs.lung_field import LungField
from napari_cxr.messages import message_type
from napari_cxr.radiograph import Radiograph
from napari_cxr.resampling import resample, resample_array

__all__ = ['TextMarkers', 'find_text_markers', 'text_markers']

#: Longer side of the raster on which they are looked for, in pixels: writing of 2 % of the side
#: is then 10 pixels high.
_SIDE = 512

#: Sides of writing, as fractions of the longer side: neither specks of noise nor plates.
_LOWEST, _HIGHEST, _LONGEST = 0.010, 0.09, 0.35

#: How far it stands out of what is around it, and how bright it is, of the image's white.
_CONTRAST, _WHITE = 0.22, 0.72

#: The least steepness of its outline, per pixel of the raster.
_STEEPNESS = 0.16

#: What is filled more than this, and so many times as long as wide, is the edge of a plate.
_SOLID, _STRIP = 0.8, 5

#: The most of it that may lie in the lungs.
_IN_LUNGS = 0.2


@message_type
@dataclass(frozen=True, eq=False)
class TextMarkers:
    """Where text and markers are on a radiograph.

    Parameters
    ----------
    mask : ndarray of bool
        Rectangles around them, on a raster that stretches over the whole radiograph.
    boxes : tuple of tuple of float
        Top, left, bottom and right of each, as fractions of the radiograph's height and width.
    """

    mask: np.ndarray
    boxes: tuple[tuple[float, float, float, float], ...]


def text_markers(radiograph: Radiograph, field: LungField | None = None) -> TextMarkers:
    """Find burnt-in text and side markers on a radiograph, of which the lungs may be known."""
    scale = min(1.0, _SIDE / max(radiograph.shape))
    rows, columns = (max(8, round(side * scale)) for side in radiograph.shape)
    small = resample(radiograph, (0, 0, *radiograph.shape), rows, columns)
    inside = None
    if field is not None:
        inside = replace(field, shape=(rows, columns)).labels() > 0
    return find_text_markers(small, inside)


def find_text_markers(display: np.ndarray, lungs: np.ndarray | None = None) -> TextMarkers:
    """Find burnt-in text and side markers on a picture.

    Parameters
    ----------
    display : ndarray, shape (rows, columns)
        The radiograph as it looks, in [0, 1].
    lungs : ndarray of bool, optional
        Where the lungs are, on any raster that stretches over the radiograph.
    """
    from scipy import ndimage

    scale = _SIDE / max(display.shape)
    shape = max(8, round(display.shape[0] * scale)), max(8, round(display.shape[1] * scale))
    image = display.astype(np.float32)
    if shape != display.shape:
        whole = 0, 0, display.shape[0], display.shape[1]
        image = resample_array(image, whole, *shape)
    low, high = np.percentile(image, (0.5, 99.8))
    mask = np.zeros(shape, dtype=bool)
    if high - low < 0.05:
        return TextMarkers(mask, ())
    image = np.clip((image - low) / (high - low), 0, 1)
    size = round(_HIGHEST * _SIDE)
    standing_out = image - ndimage.minimum_filter(_median(image), size // 3)
    opened = ndimage.grey_opening(image, size // 2)
    bright = (image - opened > _CONTRAST) & (image > _WHITE) & (standing_out > _CONTRAST)
    steepness = ndimage.gaussian_gradient_magnitude(image, 0.7)
    inside = np.zeros(shape, dtype=bool)
    if lungs is not None and lungs.any():
        rows, columns = (
            ((np.arange(n) + 0.5) * m / n).astype(int)
            for n, m in zip(shape, lungs.shape, strict=True)
        )
        inside = lungs[np.ix_(rows, columns)]
    labels, _ = ndimage.label(bright, structure=np.ones((3, 3)))
    boxes = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[place] == number
        height, width = own.shape
        thin, long = sorted((height, width))
        if not (
            thin <= _HIGHEST * _SIDE
            and round(_LOWEST * _SIDE) <= long <= _LONGEST * _SIDE
            and own.sum() >= 8
        ):
            continue
        if own.mean() > _SOLID and long > _STRIP * thin:
            continue
        outline = own & ~ndimage.binary_erosion(own)
        if np.median(steepness[place][outline]) < _STEEPNESS:
            continue
        if inside[place][own].mean() > _IN_LUNGS:
            continue
        rows, columns = (
            slice(max(axis.start - 2, 0), min(axis.stop + 2, side))
            for axis, side in zip(place, shape, strict=True)
        )
        mask[rows, columns] = True
        boxes.append(
            (
                rows.start / shape[0],
                columns.start / shape[1],
                rows.stop / shape[0],
                columns.stop / shape[1],
            )
        )
    return TextMarkers(mask, tuple(boxes))


def _median(image: np.ndarray) -> np.ndarray:
    """Return the median of each pixel and its eight neighbours; the edge is mirrored.

    Of three sorted columns of three: the greatest of the least, the middle one of the middle
    ones, and the least of the greatest have the same median as all nine. A tenth of the time of
    a filter that takes any size.
    """
    around = np.pad(image, 1, mode='symmetric')
    above, at, below = around[:-2], around[1:-1], around[2:]
    low, high = np.minimum(above, at), np.maximum(above, at)
    least, greatest = _beside(np.minimum(low, below)), _beside(np.maximum(high, below))
    return _middle(
        np.maximum.reduce(least),
        _middle(*_beside(np.maximum(low, np.minimum(high, below)))),
        np.minimum.reduce(greatest),
    )


def _beside(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return image[:, :-2], image[:, 1:-1], image[:, 2:]


def _middle(one: np.ndarray, two: np.ndarray, three: np.ndarray) -> np.ndarray:
    low, high = np.minimum(one, two), np.maximum(one, two)
    return np.asarray(np.maximum(low, np.minimum(high, three)))
