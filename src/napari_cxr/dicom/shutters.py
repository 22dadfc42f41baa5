"""Display shutters: what of an image must not be shown, PS3.3 C.7.6.11."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import functional_groups, integer, numbers, texts

__all__ = ['shutter_mask']

_BROKEN = 'The display shutter of this file is broken and was left out.'
#: More corners than any collimator has; each costs a pass over the image.
_MAX_CORNERS = 1024


def shutter_mask(
    dataset: Dataset, rows: int, columns: int, aspect: float = 1.0
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Find the pixels that a display shutter hides.

    Edges and corners are lines between pixels: the pixels up to the left edge are hidden, and
    those beyond the right one. Of several shapes, what all of them leave open is shown.

    Parameters
    ----------
    dataset : Dataset
        The object.
    rows, columns : int
        Size of the image.
    aspect : float
        Height over width of a pixel: a circle is round in the patient.

    Returns
    -------
    ndarray of bool, shape (rows, columns), or None
        True where the image is hidden; None where nothing is.
    tuple of str
        A note on what was hidden or broken.
    """
    frames = functional_groups(dataset, 'FrameDisplayShutterSequence')[:1]
    source = next((s for s in (dataset, *frames) if texts(s, 'ShutterShape')), None)
    if source is None:
        return None, ()
    open_ = np.ones((rows, columns), dtype=bool)
    broken = False
    for shape in (word.upper() for word in texts(source, 'ShutterShape') if word):
        part = _open(source, shape, rows, columns, aspect)
        if part is None:
            broken = True
        else:
            open_ &= part
    notes = (_BROKEN,) if broken or not open_.any() else ()
    if open_.all() or not open_.any():
        return None, notes
    hidden = ~open_
    share = f'{100 * hidden.mean():.0f} %'
    said = (
        f'A display shutter hides {share} of the image: it is drawn black and left out of '
        'what is measured and classified.'
    )
    return hidden, (said, *notes)


def _open(
    source: Dataset, shape: str, rows: int, columns: int, aspect: float
) -> np.ndarray | None:
    """Return what a shape leaves open, rows by columns; None if it is broken."""
    # Pixel number 1 covers the line from 0 to 1.
    y, x = np.arange(rows)[:, None] + 0.5, np.arange(columns)[None, :] + 0.5
    if shape == 'RECTANGULAR':
        names = 'LeftVertical', 'RightVertical', 'UpperHorizontal', 'LowerHorizontal'
        edges = [integer(source, f'Shutter{name}Edge') for name in names]
        if None in edges:
            return None
        left, right, upper, lower = (edge or 0 for edge in edges)
        left, right = min(left, right), max(left, right)
        upper, lower = min(upper, lower), max(upper, lower)
        inside: np.ndarray = (x > left) & (x < right) & (y > upper) & (y < lower)
        return inside
    if shape == 'CIRCULAR':
        center = numbers(source, 'CenterOfCircularShutter')
        radius = integer(source, 'RadiusOfCircularShutter')
        if len(center) != 2 or center[0] is None or center[1] is None or not radius:
            return None
        down, aside = (y + 0.5 - center[0]) * aspect, x + 0.5 - center[1]
        round_: np.ndarray = down**2 + aside**2 <= radius**2
        return round_
    if shape == 'POLYGONAL':
        corners = numbers(source, 'VerticesOfThePolygonalShutter')
        if None in corners or len(corners) % 2 or not 6 <= len(corners) <= 2 * _MAX_CORNERS:
            return None
        points = [float(number or 0) for number in corners]
        return _inside_polygon(y, x, points[::2], points[1::2])
    return None


def _inside_polygon(
    y: np.ndarray, x: np.ndarray, down: list[float], aside: list[float]
) -> np.ndarray:
    """Tell which points a polygon encloses, by counting the edges to the right of each."""
    inside = np.zeros((y.size, x.size), dtype=bool)
    ends = zip(down, aside, down[1:] + down[:1], aside[1:] + aside[:1], strict=True)
    for y0, x0, y1, x1 in ends:
        if y0 == y1:
            continue
        crossed = np.flatnonzero((y[:, 0] < y0) != (y[:, 0] < y1))
        at = x0 + (y[crossed] - y0) * (x1 - x0) / (y1 - y0)
        inside[crossed] ^= x < at
    return inside
