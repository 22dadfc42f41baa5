"""Where the lungs are on one radiograph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

import numpy as np

from napari_cxr.lungs.lung_network import LUNG_INPUT_SIZE, downscale, lung_probabilities
from napari_cxr.messages import message_type
from napari_cxr.radiograph import Radiograph

__all__ = [
    'LungField',
    'average_lungs',
    'find_lungs',
    'measures',
    'plausibility',
]


@message_type
@dataclass(frozen=True, eq=False)
class LungField:
    """Both lungs on one radiograph, with how far to believe it.

    The lungs are what radiologists outline: all of them that would be seen if nothing
    were in front, so also where pneumonia made them white, and behind the heart; what
    lies below the domes of the diaphragm is left out.

    Parameters
    ----------
    right, left : ndarray of float32, shape (n, n)
        Probability, for each of n x n cells that stretch over all of the radiograph,
        that it is the patient's right lung (on the left of an upright frontal image),
        and the left one.
    shape : tuple of int
        Rows and columns of the radiograph.
    source : {'network', 'atlas'}
        What the probabilities come from: the network that looked at this radiograph, or
        the mean of many, where the network's answer looked like no lungs.
    plausibility : float
        How much the network's answer looks like two lungs, in [0, 1].
    implausible : str
        One phrase that says what is odd about it; empty if nothing is.
    drawn : bool
        Whether a person has drawn them: small pieces and holes are then meant.
    """

    right: np.ndarray
    left: np.ndarray
    shape: tuple[int, int]
    source: Literal['network', 'atlas'] = 'network'
    plausibility: float = 1.0
    implausible: str = ''
    drawn: bool = False

    def __post_init__(self) -> None:
        if self.right.ndim != 2 or self.right.shape != self.left.shape:
            raise ValueError('both lungs need maps of the same rows and columns')
        if min(self.shape) < 1:
            raise ValueError('a radiograph has at least one row and one column')

    def labels(self) -> np.ndarray:
        """Return the lungs on the radiograph's own pixels.

        A pixel is lung where that is more probable than not, by the probabilities of
        the cells around it, linear between their centres, and belongs to the lung that
        is more probable. Of each lung only the largest piece counts, without holes, unless
        a person has drawn them.

        Returns
        -------
        ndarray of uint8, shape `shape`
            0 outside, 1 for the patient's right lung, 2 for the left one.
        """
        labels = np.zeros(self.shape, dtype=np.uint8)
        right, left = self.tidied
        top, left_edge, bottom, right_edge = self._cells(margin=1)
        if bottom <= top:
            return labels
        rows, columns = self.right.shape
        # Only the part around the lungs is enlarged: whole pixels that cover these cells.
        y0, y1 = top * self.shape[0] // rows, -(-bottom * self.shape[0] // rows)
        x0, x1 = left_edge * self.shape[1] // columns, -(-right_edge * self.shape[1] // columns)
        part = (y0, y1, x0, x1)
        lung = self._enlarged(right + left, part) > 0.5
        further_left = self._enlarged(left - right, part) > 0
        labels[y0:y1, x0:x1] = lung + (lung & further_left).astype(np.uint8)
        return labels

    @property
    def found(self) -> bool:
        """Whether there is any lung."""
        right, left = self.tidied
        return bool((right + left > 0.5).any())

    def mask(self) -> np.ndarray:
        """Return which pixels of the radiograph are lung, as bool of shape `shape`."""
        return self.labels() > 0

    def covering(self, part: tuple[int, int, int, int], height: int, width: int) -> np.ndarray:
        """Return how probable lung is on a raster that stretches over a part of the radiograph.

        Parameters
        ----------
        part : tuple of int
            Top, left, bottom and right edge in pixels of the radiograph.
        height, width : int
            Rows and columns of the raster.

        Returns
        -------
        ndarray of float32, shape (height, width)
        """
        from PIL import Image

        right, left = self.tidied
        down, across = (n / m for n, m in zip(right.shape, self.shape, strict=True))
        box = (part[1] * across, part[0] * down, part[3] * across, part[2] * down)
        cells = Image.fromarray(right + left)
        return np.asarray(cells.resize((width, height), Image.Resampling.BILINEAR, box=box))

    def box(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """Return the smallest upright rectangle around both lungs.

        Parameters
        ----------
        margin : float
            What to add on each side, as a fraction of the rectangle's height above and
            below, and of its width to the left and the right.

        Returns
        -------
        tuple of float
            Top, left, bottom and right edge in pixels of the radiograph, from 0 at the
            outer edge of the first pixel to the number of rows or columns at that of
            the last; never beyond. All of the radiograph if no lung was found.
        """
        top, left, bottom, right = self._cells()
        if bottom <= top:
            top, left, bottom, right = 0, 0, *self.right.shape
        rows, columns = self.right.shape
        down, across = self.shape[0] / rows, self.shape[1] / columns
        above, aside = margin * (bottom - top), margin * (right - left)
        return (
            max(0.0, (top - above) * down),
            max(0.0, (left - aside) * across),
            min(float(self.shape[0]), (bottom + above) * down),
            min(float(self.shape[1]), (right + aside) * across),
        )

    @cached_property
    def tidied(self) -> tuple[np.ndarray, np.ndarray]:
        """Both maps, of right and left lung, with small pieces taken away and holes filled.

        As they are where a person has drawn them.
        """
        if self.drawn:
            return self.right, self.left
        lung = self.right + self.left > 0.5
        sides = [lung & (self.right >= self.left), lung & (self.left > self.right)]
        pieces = [_largest_piece(side) for side in sides]
        # What was torn off one lung but lies against the other one belongs to that.
        pieces = [
            _piece_around(piece, side & ~other)
            for piece, side, other in zip(pieces, sides[::-1], pieces[::-1], strict=True)
        ]
        maps = [self.right.copy(), self.left.copy()]
        both = pieces[0] | pieces[1]
        for own in maps:
            own[lung & ~both] = 0
        for own, other, side, piece in zip(maps, maps[::-1], sides, pieces, strict=True):
            added = (piece | (_filled(piece) & ~both)) & ~side
            own[added] = 1
            other[added] = 0
        return maps[0], maps[1]

    def _cells(self, margin: int = 0) -> tuple[int, int, int, int]:
        """Return first and end rows and columns of the cells that are lung."""
        right, left = self.tidied
        lung = right + left > 0.5
        rows, columns = np.flatnonzero(lung.any(1)), np.flatnonzero(lung.any(0))
        if not len(rows):
            return 0, 0, 0, 0
        return (
            max(0, int(rows[0]) - margin),
            max(0, int(columns[0]) - margin),
            min(lung.shape[0], int(rows[-1]) + 1 + margin),
            min(lung.shape[1], int(columns[-1]) + 1 + margin),
        )

    def _enlarged(self, cells: np.ndarray, part: tuple[int, int, int, int]) -> np.ndarray:
        """Return a map on some of the radiograph's pixels, linear between centres of cells."""
        from PIL import Image

        y0, y1, x0, x1 = part
        down, across = (n / m for n, m in zip(cells.shape, self.shape, strict=True))
        enlarged = Image.fromarray(cells).resize(
            (x1 - x0, y1 - y0),
            Image.Resampling.BILINEAR,
            box=(x0 * across, y0 * down, x1 * across, y1 * down),
        )
        return np.asarray(enlarged)


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """Return the largest of the connected parts of a mask."""
    from scipy.ndimage import label

    parts, count = label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _piece_around(core: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Return the connected part of `core` and `more` together that holds `core`."""
    from scipy.ndimage import label

    if not (core.any() and more.any()):
        return core
    parts, _ = label(core | more)
    return np.asarray(parts == parts[core][0])


def _filled(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(mask))


#: How often a cell must be lung to count as lung. Reference for this kind of atlas and its
#: threshold: a leave-one-out Dice of .81 on radiographs of COVID-19.
_OFTEN = 0.45


@cache
def average_lungs() -> tuple[np.ndarray, np.ndarray]:
    """Return the average right and left lung.

    Returns
    -------
    tuple of two ndarrays of float32, shape (128, 128)
        For each cell of a view of the whole radiograph, a number that is above 0.5 (both
        together) where more than 45 % of the training radiographs have lung.
    """
    from PIL import Image

    text = files('napari_cxr.lungs').joinpath('average_lungs.csv').read_text('ascii')
    percent = np.array([row.split(',') for row in text.split()], dtype=np.float32)
    lungs = [
        np.asarray(
            Image.fromarray(half).resize(
                (LUNG_INPUT_SIZE, LUNG_INPUT_SIZE), Image.Resampling.BILINEAR
            )
        )
        / 100
        for half in np.split(percent, 2)
    ]
    both = np.maximum(lungs[0] + lungs[1], 1e-6)
    # Linear up to the threshold and beyond it, with the ends kept.
    moved = np.interp(both, (0, _OFTEN, 1), (0, 0.5, 1)).astype(np.float32)
    right, left = (lung * (moved / both) for lung in lungs)
    right.flags.writeable = left.flags.writeable = False  # shared by all who ask
    return right, left


#: What is said where a measure is too low, and where it is too high.
_PHRASES = {
    'larger lung': ('no lungs were found', 'a lung is implausibly large'),
    'smaller lung': ('one lung was hardly found', 'both lungs are implausibly large'),
    'balance': ('one lung is much smaller than the other', ''),
    'apart': ('the lungs are not beside each other', 'the lungs are too far apart'),
    'level': ('the left lung stands far above the right one', 'the left lung lies far too low'),
    'tidiness': ('the lungs found are in many pieces', ''),
    'place': ('the lungs are not where lungs usually are', ''),
    'fullness': ('the shapes found are not lungs', 'the shapes found are not lungs'),
    'certainty': ('the network is unsure everywhere', ''),
}


def plausibility(field: LungField) -> tuple[float, str]:
    """Return how much a field looks like two lungs, and what is odd about it.

    Parameters
    ----------
    field : LungField
        As the network found it.

    Returns
    -------
    float
        In [0, 1]: 1 where all measures are usual, falling evenly to 0 where one of
        them reaches the bound; the oddest decides.
    str
        One phrase where a measure is at its bound or beyond, so that the answer must
        not be believed; otherwise empty.
    """
    least, phrase = 1.0, ''
    for name, value in measures(field).items():
        low, usually_low, usually_high, high = _bounds()[name]
        words = _PHRASES[name]
        for fraction, message in (
            (_fraction(value, low, usually_low), words[0]),
            (_fraction(-value, -high, -usually_high), words[1]),
        ):
            if message and fraction < least:
                least, phrase = fraction, message if fraction == 0 else ''
    return least, phrase


def measures(field: LungField) -> dict[str, float]:
    """Return what is measured, each a number that needs no unit.

    Areas are fractions of the radiograph; distances between the lungs' centres are over the
    square root of their area. Tidiness is what `LungField.tidied` left as it was, place the
    Dice coefficient with the atlas, fullness the area over that of the rectangle around it,
    for the worse lung, and certainty the mean probability inside. Where a lung is missing
    the areas say all there is to say.

    Returns
    -------
    dict of str to float
    """
    right, left = field.tidied
    lung = right + left > 0.5
    sides = [lung & (right >= left), lung & (left > right)]
    areas = [float(side.mean()) for side in sides]
    if min(areas) == 0:
        return {'larger lung': max(areas), 'smaller lung': 0.0}
    boxes = [_extent(side) for side in sides]
    centres = [np.array(np.nonzero(side)).mean(axis=1) / side.shape for side in sides]
    before = field.right + field.left > 0.5
    usual = np.add(*average_lungs()) > 0.5
    return {
        'larger lung': max(areas),
        'smaller lung': min(areas),
        'balance': min(areas) / max(areas),
        'apart': float(centres[1][1] - centres[0][1]) / float(np.sqrt(sum(areas))),
        'level': float(centres[1][0] - centres[0][0]) / float(np.sqrt(sum(areas))),
        'tidiness': float((lung & before).sum() / max((lung | before).sum(), 1)),
        'place': float(2 * (lung & usual).sum() / (lung.sum() + usual.sum())),
        'fullness': min(area / box for area, box in zip(areas, boxes, strict=True)),
        'certainty': float((field.right + field.left)[lung].mean()),
    }


def _extent(side: np.ndarray) -> float:
    """Return the area of the upright rectangle around a mask, as a fraction of the image."""
    rows, columns = np.flatnonzero(side.any(1)), np.flatnonzero(side.any(0))
    return float((np.ptp(rows) + 1) * (np.ptp(columns) + 1) / side.size)


def _fraction(value: float, bound: float, usual: float) -> float:
    """Return 0 up to the bound, 1 from what is usual on, evenly between."""
    if value <= bound:
        return 0.0
    return min(1.0, (value - bound) / (usual - bound)) if usual > bound else 1.0


@cache
def _bounds() -> dict[str, tuple[float, ...]]:
    """Read the table: name, bound, usual from, usual to, bound."""
    text = files('napari_cxr.lungs').joinpath('plausible_lungs.csv').read_text('ascii')
    rows = (line.split(',') for line in text.splitlines()[1:])
    return {name: tuple(map(float, numbers)) for name, *numbers in rows}


def find_lungs(radiograph: Radiograph, preset: int = 0) -> LungField:
    """Find both lungs on an upright frontal radiograph.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    preset : int
        Which of its presets to show the network.

    Returns
    -------
    LungField
        The network's answer, or the atlas where that looks like no pair of lungs; then
        `implausible` says what is odd about it.

    Raises
    ------
    UnreadableImage
        If it has several frames.
    """
    _, right, left = lung_probabilities(downscale(radiograph, LUNG_INPUT_SIZE, preset))
    found = LungField(right, left, radiograph.shape)
    score, phrase = plausibility(found)
    if phrase:
        return LungField(*average_lungs(), radiograph.shape, 'atlas', score, phrase)
    return replace(found, plausibility=score)
