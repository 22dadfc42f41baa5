"""Find the lungs: ask the network, and reject an answer that does not look like two lungs.

A network answers whatever it is shown. Nine plain measures of its answer are compared with
those of radiographs: `plausible_lungs.csv` says for each what is usual (the middle 90 per cent)
and what none of them, or next to none, goes beyond. It is made by
`scripts/lung_plausibility.py`, from masks and radiographs for training only.

Where the answer is rejected, the lungs of the average radiograph stand in for it:
`average_lungs.csv` holds, for 32 x 32 cells, how often each was lung on the training
radiographs; `scripts/lung_atlas.py` makes it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files

import numpy as np

from napari_cxr.lungs.lung_field import LungField
from napari_cxr.lungs.lung_network import LUNG_INPUT_SIZE, downscale, lung_probabilities
from napari_cxr.radiograph import Radiograph

__all__ = ['average_lungs', 'find_lungs', 'measures', 'plausibility']

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
