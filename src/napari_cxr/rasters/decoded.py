"""What a decoder of PNG, JPEG or TIFF hands over, and what it may decode at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cxr.radiograph import UnreadableImage

__all__ = ['MAX_SAMPLES', 'Decoded', 'check_size', 'upright']

#: Pixels x channels x pages that are decoded at most.
MAX_SAMPLES = 1 << 28

_TURNED = 'The file asks to be turned or mirrored for showing (orientation {}), which was done.'


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels as the file means them.

    Parameters
    ----------
    values : ndarray
        Shape (rows, columns), (pages, rows, columns), or with a last axis of 3 for colour.
    bits : int
        Of each sample, by the file.
    is_colour : bool
        Whether the last axis is red, green, blue.
    inverted : bool
        Whether the lowest value is white.
    lossy : bool
        Whether the compression was.
    notes : tuple of str
        What a person should know.
    """

    values: np.ndarray
    bits: int
    is_colour: bool = False
    inverted: bool = False
    lossy: bool = False
    notes: tuple[str, ...] = ()


def check_size(samples: int) -> None:
    """Refuse an image by its header.

    Raises
    ------
    UnreadableImage
        If it has no pixel, or more than any radiograph.
    """
    if samples < 1:
        raise UnreadableImage('The image has a side of 0 pixels, so there is nothing to open.')
    if samples > MAX_SAMPLES:
        raise UnreadableImage(
            'The image claims more pixels than any radiograph has; it was not opened.'
        )


def upright(
    values: np.ndarray, orientation: int, is_colour: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn and mirror pixels as tag 274 asks, TIFF 6.0 and EXIF 2.3.

    Parameters
    ----------
    values : ndarray
        As of `Decoded`.
    orientation : int
        1 to 8; anything else means 1.
    is_colour : bool
        Whether the last axis is colour.

    Returns
    -------
    ndarray
        The image upright.
    tuple of str
        A note, if anything was done.
    """
    if orientation not in range(2, 9):
        return values, ()
    y = values.ndim - (3 if is_colour else 2)
    if orientation >= 5:  # row 0 of the file is a side of the image
        values = np.swapaxes(values, y, y + 1)
    # which of the image's axes then run backwards
    if orientation in (3, 4, 7, 8):
        values = np.flip(values, y)
    if orientation in (2, 3, 6, 7):
        values = np.flip(values, y + 1)
    return np.ascontiguousarray(values), (_TURNED.format(orientation),)
