"""The whole radiograph as a small square, made alike for every file, header and size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_cxr.radiograph import Radiograph, UnreadableImage

__all__ = ['downscale']

#: Percentiles of the small view that become 0 and 1.
_BLACK, _WHITE = 0.5, 99.5
#: Below this there is no contrast to stretch.
_FLAT = 1e-6


def downscale(radiograph: Radiograph, size: int, preset: int = 0) -> np.ndarray:
    """Return the whole radiograph as a small square of display values.

    The window of the header and the polarity are applied once. Both sides are
    stretched to `size`, with a triangle filter as wide as a new pixel, and the
    percentiles 0.5 and 99.5 become 0 and 1; padding is black and does not count.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    size : int
        Rows and columns wanted.
    preset : int
        Which of its presets to use.

    Returns
    -------
    ndarray of float32, shape (size, size)
        In [0, 1]; pixel (i, j) covers the part of the radiograph from i / size to
        (i + 1) / size of its rows, and likewise of its columns.

    Raises
    ------
    UnreadableImage
        If it has several frames.
    """
    if radiograph.frames is not None:
        raise UnreadableImage(
            'Lungs can be found only in a single image, and this file has several frames.'
        )
    # A full radiograph has hundreds of pixels for each new one, and a window takes its time
    # on all of them: whole blocks are averaged first, as far as 4 x 4 remain for each.
    rows, columns = radiograph.shape
    blocks = (1, 1)
    if not radiograph.is_colour:
        blocks = max(1, rows // (4 * size)), max(1, columns // (4 * size))
    reduced = _reduced(radiograph, *blocks)
    # Where the radiograph ends, in blocks: the last ones may be cut off by its edge.
    box = (0.0, 0.0, columns / blocks[1], rows / blocks[0])
    small = _resize(reduced.to_display(preset), size, box)
    inside = small
    if reduced.padding is not None:
        covered = _resize(reduced.padding.astype(np.float32), size, box)
        inside = small[covered < 0.01]  # mixed pixels are darker than the radiograph is
    if inside.size == 0:
        return small
    low, high = np.percentile(inside, (_BLACK, _WHITE))
    if high - low < _FLAT:
        return np.clip(small, 0, 1)
    return np.clip((small - np.float32(low)) / np.float32(high - low), 0, 1)


def _reduced(radiograph: Radiograph, down: int, across: int) -> Radiograph:
    """Average blocks of so many rows and columns; those at the far edges may be smaller."""
    if down == across == 1:
        return radiograph
    values = _block_means(radiograph.values, down, across)
    padding = radiograph.padding
    if padding is not None:
        # A block with padding in it is padding: its mean says nothing.
        padding = _block_means(padding, down, across) > 0
    return replace(radiograph, values=values, padding=padding, overlays=())


def _block_means(values: np.ndarray, down: int, across: int) -> np.ndarray:
    from PIL import Image

    # Rows first, in numpy, one of each block after the other: a sum over an axis of few rows
    # takes four times as long, and a copy of them all in single precision longer still.
    end = len(values) // down * down
    means = values[0:end:down].astype(np.float32)
    for row in range(1, down):
        means += values[row:end:down]
    means /= np.float32(down)
    if len(values) > end:
        rest = values[end:].mean(axis=0, dtype=np.float32)
        means = np.concatenate([means, rest[None]])
    return np.asarray(Image.fromarray(means).reduce((across, 1)))


def _resize(image: np.ndarray, size: int, box: tuple[float, float, float, float]) -> np.ndarray:
    """Resample a part of an image with a triangle filter as wide as a new pixel."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))
