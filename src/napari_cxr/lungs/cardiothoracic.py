"""A first guess at the two lines of the cardiothoracic ratio, from the lung field.

The thorax is as wide as the lungs are where they are widest. The edge of the heart is where,
on the way from the outer edge of a lung to the middle, the image gets bright most steeply. It is
a proposal for a person to correct: fluid, consolidation or a raised diaphragm hide that edge.
"""

from __future__ import annotations

import numpy as np

__all__ = ['cardiothoracic_lines']

#: Rows of the lungs, from their top to their bottom, in which the heart is looked for.
_HEART_ROWS = (0.45, 0.95)
#: Part of the way from the outer edge of a lung to the middle where an edge may be the heart's.
_WAY = (0.20, 0.95)
#: Places on that way, from the middle outwards, that are lung above the diaphragm.
_OPEN = np.array([0.45, 0.6, 0.75])
#: Rows whose edge is this fraction of the strongest one count.
_STRONG = 0.4
#: Rows and columns of the image that is searched.
_SIZE = 256

Lines = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


def cardiothoracic_lines(labels: np.ndarray, display: np.ndarray) -> Lines | None:
    """Propose the ends of the widths of heart and thorax.

    Parameters
    ----------
    labels : ndarray of uint8, shape (rows, columns)
        1 and 2 where the lungs are, as `LungField.labels` returns them.
    display : ndarray of float32, shape (rows, columns)
        The radiograph in [0, 1], bones bright.

    Returns
    -------
    tuple of (float, float) or None
        Rows and columns: left and right end of the heart's width, then of the thorax's, each
        on one row; None without two lungs.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.transform import resize

    rows, columns = labels.shape
    step = max(rows, columns) / _SIZE
    height, width = max(8, round(rows / step)), max(8, round(columns / step))
    places = (np.arange(height) * rows // height, np.arange(width) * columns // width)
    lungs = labels[np.ix_(*places)]
    image = gaussian_filter(resize(display, (height, width), anti_aliasing=True), 1.5)
    spans = _spans(lungs)
    if spans is None:
        return None
    first, left, right = spans
    # The widest row; of several the median, so that a spike of one row does not decide.
    wide = right - left
    at = int(np.median(np.flatnonzero(wide >= 0.98 * wide.max())))
    thorax = (first + at, float(left[at])), (first + at, float(right[at]))
    middle = _middle(lungs)
    heart = _heart(image, lungs, first, left, right, middle)
    if heart is None:
        quarter = (right[at] - left[at]) / 4
        heart = first + at, middle - quarter, middle + quarter
    row, start, end = heart
    ends = ((row, start), (row, end), *thorax)
    back = np.array([rows / height, columns / width])
    placed = [(np.asarray(point, float) + 0.5) * back - 0.5 for point in ends]
    one, two, three, four = ((float(y), float(x)) for y, x in placed)
    return one, two, three, four


def _spans(lungs: np.ndarray) -> tuple[int, np.ndarray, np.ndarray] | None:
    """Return the first row with both lungs, and where the lungs begin and end from there on."""
    both = np.flatnonzero([{1, 2} <= set(np.unique(row)) for row in lungs])
    if len(both) < 8:
        return None
    found = [
        np.flatnonzero(lungs[row] > 0)[[0, -1]]
        for row in range(both[0], both[-1] + 1)
        if (lungs[row] > 0).any()
    ]
    if len(found) != both[-1] - both[0] + 1:
        return None
    ends = np.array(found, float)
    return int(both[0]), ends[:, 0], ends[:, 1]


def _middle(lungs: np.ndarray) -> float:
    """Return the column halfway between the lungs, by the rows in their upper half."""
    rows = np.flatnonzero([{1, 2} <= set(np.unique(row)) for row in lungs])
    between = []
    for row in rows[: max(1, len(rows) * 2 // 3)]:
        sides = [np.flatnonzero(lungs[row] == side) for side in (1, 2)]
        low, high = sorted(sides, key=lambda side: float(side.mean()))
        between.append((low[-1] + high[0]) / 2)
    return float(np.median(between))


def _heart(
    image: np.ndarray,
    lungs: np.ndarray,
    first: int,
    left: np.ndarray,
    right: np.ndarray,
    middle: float,
) -> tuple[float, float, float] | None:
    """Return the row of the heart's width and both its ends; None where no edge stands out."""
    count = len(left)
    rows = range(int(_HEART_ROWS[0] * count), int(_HEART_ROWS[1] * count))
    edges: dict[int, list[tuple[int, float, float]]] = {-1: [], 1: []}
    for at in rows:
        profile = image[first + at]
        for side, outer in ((-1, left[at]), (1, right[at])):
            way = abs(middle - outer)
            # Below the dome of the diaphragm an edge is the dome's.
            inside = np.clip(np.round(middle + side * _OPEN * way), 0, lungs.shape[1] - 1)
            if not lungs[first + at, inside.astype(int)].all():
                continue
            away = np.arange(int((1 - _WAY[1]) * way), int((1 - _WAY[0]) * way))
            if len(away) < 4:
                continue
            columns = np.clip(np.round(middle + side * away).astype(int), 0, len(profile) - 1)
            fall = -np.gradient(profile[columns])  # bright in the middle, dark outside
            best = int(fall.argmax())
            edges[side].append((at, float(columns[best]), float(fall[best])))
    ends: dict[int, tuple[int, float]] = {}
    for side, found in edges.items():
        if not found:
            return None
        strongest = max(edge[2] for edge in found)
        if strongest <= 0:
            return None
        strong = [edge for edge in found if edge[2] >= _STRONG * strongest]
        distances = np.array([abs(edge[1] - middle) for edge in strong])
        # The outermost, but for a few that are something else's.
        chosen = strong[int(np.abs(distances - np.quantile(distances, 0.9)).argmin())]
        ends[side] = chosen[0], chosen[1]
    row = first + ends[1 if abs(ends[1][1] - middle) > abs(ends[-1][1] - middle) else -1][0]
    return float(row), ends[-1][1], ends[1][1]
