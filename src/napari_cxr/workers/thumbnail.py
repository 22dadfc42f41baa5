"""The decoder's job for lists of images: a radiograph, small."""

from __future__ import annotations

import numpy as np
from PIL import Image

from napari_cxr import files

__all__ = ['thumbnail']


def thumbnail(path: str, side: int) -> np.ndarray:
    """Read one file and return it as it should look, small.

    Parameters
    ----------
    path : str
        Any image file; of several frames the first is drawn.
    side : int
        Pixels of its longer side; a smaller image stays as it is.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)

    Raises
    ------
    UnreadableImage
        If it holds no image.
    """
    display = files.read(path).to_display()
    while display.ndim > 2:
        display = display[0]
    height, width = display.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(np.ascontiguousarray(display, dtype=np.float32))
    small = np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
