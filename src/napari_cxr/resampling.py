"""A part of a radiograph as it should look, at another size.

Windows and tables are no linear functions, so they come before the resampling. They come strip
by strip: the whole image is never there in floating point.

A radiograph may have been decoded at a part of its size (`Radiograph.step`). Places are given
and returned in pixels of the whole image all the same. A wavelet's low band samples the image
at every step-th pixel, from the first one on; it is no mean of blocks. So its pixels lie
(step - 1) / 2 pixels further up and to the left than blocks would, and what is resampled from
them allows for that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cxr.radiograph import Radiograph

__all__ = ['resample', 'resample_array', 'resample_padding']

#: New rows that are made at once: their strip of the image should fit into a core's cache.
_AT_ONCE = 8


def resample(
    radiograph: Radiograph,
    part: tuple[float, float, float, float],
    height: int,
    width: int,
    preset: int = 0,
) -> np.ndarray:
    """Return a part of a radiograph as it should look, resampled.

    The filter is a triangle as wide as a new pixel, so nothing aliases. Pixels beyond the part
    play no role.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    part : tuple of float
        Top, left, bottom and right edge in pixels of the whole image.
    height, width : int
        Rows and columns wanted.
    preset : int
        Which of its presets to use.

    Returns
    -------
    ndarray of float32, shape (height, width)
        Display values, see `Radiograph.to_display`.
    """
    rows, columns = _spans(radiograph, part)

    def strip(first: int, last: int) -> np.ndarray:
        left, right = columns[2:]
        return radiograph.crop(first, left, last - first, right - left).to_display(preset)

    return _resampled(strip, rows, columns, height, width)


def resample_padding(
    radiograph: Radiograph, part: tuple[float, float, float, float], height: int, width: int
) -> np.ndarray | None:
    """Return how much of each new pixel is padding, as `resample`; None where there is none."""
    padding = radiograph.padding
    if padding is None:
        return None
    rows, columns = _spans(radiograph, part)

    def strip(first: int, last: int) -> np.ndarray:
        return padding[first:last, columns[2] : columns[3]].astype(np.float32)

    return _resampled(strip, rows, columns, height, width)


def resample_array(
    image: np.ndarray, part: tuple[float, float, float, float], height: int, width: int
) -> np.ndarray:
    """Return a part of a small array of float32, in its own pixels, as `resample`.

    The part may lie a little beyond the array, which then goes on as it ends. Sums are taken in
    double precision, so what is uniform stays so to the last digit.
    """
    top, left, bottom, right = part
    image = image.astype(np.float64)
    rows = (top, bottom, 0, image.shape[0])
    columns = (left, right, 0, image.shape[1])
    made = _resampled(lambda first, last: image[first:last], rows, columns, height, width)
    return made.astype(np.float32)


#: First and last edge in pixels of an array, as fractions, and the pixels that count.
_Span = tuple[float, float, int, int]


def _spans(radiograph: Radiograph, part: tuple[float, float, float, float]) -> tuple[_Span, _Span]:
    """Return where a part lies in the rows and in the columns of the array."""
    top, left, bottom, right = part
    rows, columns = radiograph.values.shape[:2]
    step = radiograph.step
    return _span(top, bottom, step, rows), _span(left, right, step, columns)


def _span(start: float, stop: float, step: int, size: int) -> _Span:
    # Pixel k covers k to k + 1; its centre, k + 0.5, is that of pixel k * step of the image.
    first = min(int(np.ceil(start / step)), size - 1)
    last = min(max(int(np.ceil(stop / step)), first + 1), size)
    return (start - 0.5) / step + 0.5, (stop - 0.5) / step + 0.5, first, last


def _resampled(
    strip: Callable[[int, int], np.ndarray],
    rows: _Span,
    columns: _Span,
    height: int,
    width: int,
) -> np.ndarray:
    """Resample rows, strip by strip, and then columns.

    `strip` returns rows from one number up to another one, and of them only the columns that
    count.
    """
    upright = _resampled_rows(strip, rows, height)
    start, stop, first, last = columns
    across = np.ascontiguousarray(upright.T)
    inside = (start - first, stop - first, 0, last - first)
    turned = _resampled_rows(lambda one, end: across[one:end], inside, width)
    return np.ascontiguousarray(turned.T)


def _resampled_rows(
    strip: Callable[[int, int], np.ndarray], span: _Span, count: int
) -> np.ndarray:
    start, stop, first, last = span
    scale = (stop - start) / count
    reach = max(scale, 1.0)
    centres = start + (np.arange(count) + 0.5) * scale
    made: list[np.ndarray] = []
    # The last rows of a strip are the first ones of the next, and are not asked for twice.
    begun = first
    pixels: np.ndarray | None = None
    for at in range(0, count, _AT_ONCE):
        some = centres[at : at + _AT_ONCE]
        low = min(max(int(some[0] - reach + 0.5), first), last - 1)
        high = max(min(int(some[-1] + reach + 0.5), last), low + 1)
        distances = np.abs(np.arange(low, high) + 0.5 - some[:, None])
        weights = np.maximum(1 - distances / reach, 0)
        weights /= weights.sum(axis=1, keepdims=True)
        parts, cut = [], 0
        if pixels is not None and begun <= low < begun + len(pixels):
            known = pixels[low - begun :][: high - low]
            cut = len(known)
            parts.append(weights[:, :cut].astype(known.dtype) @ known)
        if low + cut < high:
            begun, pixels = low + cut, strip(low + cut, high)
            parts.append(weights[:, cut:].astype(pixels.dtype) @ pixels)
        made.append(parts[0] if len(parts) == 1 else parts[0] + parts[1])
    return np.concatenate(made)
