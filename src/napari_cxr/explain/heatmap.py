"""A heatmap: the small map that a network produced, with its place on the radiograph.

Also the picture of one. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cxr.messages import message_type

if TYPE_CHECKING:
    from napari_cxr.networks.receptive_field import Grid

__all__ = [
    'FRAME',
    'HEAT_COLOURS',
    'Heatmap',
    'cell_to_input',
    'cell_to_radiograph',
    'draw_heatmap',
    'full_colour',
    'input_bounds',
]

#: Width of the outer frame in which markers and borders lie, as a fraction of each side.
#: It is 29 % of the area (1 - 0.84 ** 2).
FRAME = 0.08

#: Fractions in a region are counted on about as many points a side: plenty for a smooth map,
#: and a radiograph of 3000 x 2500 pixels would take seconds.
_POINTS = 256


@message_type
@dataclass(frozen=True, eq=False)
class Heatmap:
    """A class activation map in place.

    The values stay the few cells that the network really has; whoever draws them
    enlarges them.

    Parameters
    ----------
    values : ndarray of float32, shape (h, w)
        What each cell adds to the class's logit, 0 or above, as the method gives it.
    to_radiograph : ndarray, shape (3, 3)
        Takes a cell (y, x, 1) to the radiograph's pixel (y, x, 1) at which it looks;
        whole numbers are centres of both. It turns nothing.
    label : str
        The class.
    probability, logit : float
        What the network says about that class.
    method : str
        How the map was made.
    model : str
        Name of the model.
    input_bounds : tuple of float, optional
        Top, left, bottom and right edge, in pixels of the radiograph, of what the
        network was shown. The map says nothing outside. None if it saw everything.
    against : str
        The class that it is contrasted with: it shows what raises the logit of `label` above
        that of this one. Empty for a map of `label` alone.

    Raises
    ------
    ValueError
        If the values are not a finite, non-negative map, or the matrix does not fit or turns it.
    """

    values: np.ndarray
    to_radiograph: np.ndarray
    label: str
    probability: float
    logit: float
    method: str
    model: str
    input_bounds: tuple[float, float, float, float] | None = None
    against: str = ''

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise ValueError(f'a heatmap has rows and columns, not shape {self.values.shape}')
        if not (np.isfinite(self.values).all() and self.values.min() >= 0):
            raise ValueError('the values of a heatmap are finite and at least 0')
        if self.to_radiograph.shape != (3, 3):
            raise ValueError('a heatmap is placed by a 3x3 matrix')
        if self.to_radiograph[0, 1] or self.to_radiograph[1, 0]:
            raise ValueError('a heatmap lies straight on its radiograph')

    @property
    def title(self) -> str:
        """The class, and what it is contrasted with."""
        return f'{self.label} rather than {self.against}' if self.against else self.label

    def normalised(self) -> np.ndarray:
        """Return the values over their own maximum; a map of zeros stays one."""
        strongest = self.values.max()
        return self.values / strongest if strongest > 0 else np.zeros_like(self.values)

    def sample_on(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the map on the radiograph's own pixels.

        Linear between the centres of the cells, constant from the outermost centres
        to the edge of what the network saw, and 0 beyond.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the radiograph.

        Returns
        -------
        ndarray of float32, shape `shape`
        """
        return self.sample_at(np.eye(3), shape)

    def peak(self) -> tuple[float, float] | None:
        """Return where the strongest cell looks, as (y, x) in pixels of the radiograph.

        Within what the network saw, even where half of that cell lies outside. None for a map
        that is the same everywhere, which has no peak.
        """
        if self.values.max() == self.values.min():
            return None
        cell = np.unravel_index(self.values.argmax(), self.values.shape)
        place = (self.to_radiograph @ np.array([*cell, 1.0]))[:2]
        if self.input_bounds is not None:
            place = np.clip(place, self.input_bounds[:2], self.input_bounds[2:])
        return float(place[0]), float(place[1])

    def crops(self, shape: tuple[int, int]) -> bool:
        """Return whether the network was shown less than the whole radiograph.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the radiograph.
        """
        if self.input_bounds is None:
            return False
        top, left, bottom, right = self.input_bounds
        # Half a pixel, the outer edge of the first one, is no crop.
        return top > 0.5 or left > 0.5 or bottom < shape[0] - 1.5 or right < shape[1] - 1.5

    def uniform(self) -> Heatmap:
        """Return a uniform map over what the network saw, with which to compare a fraction."""
        return replace(self, values=np.ones((1, 1), dtype=np.float32))

    def fraction_in(self, mask: np.ndarray, shape: tuple[int, int] | None = None) -> float | None:
        """Return the fraction of the map that lies in a region.

        Large masks are looked at in evenly spaced points, at least 256 a side.

        Parameters
        ----------
        mask : ndarray, shape (rows, columns)
            On the radiograph's pixels: bool, or how much of each pixel belongs to it.
        shape : tuple of int, optional
            Rows and columns of the radiograph, where the mask is coarser: it then
            stretches over all of it.

        Returns
        -------
        float or None
            In [0, 1]; None for a map of zeros, which lies nowhere.
        """
        if mask.ndim != 2:
            raise ValueError('a region is a mask of rows and columns')
        step = np.maximum(np.array(mask.shape) // _POINTS, 1)
        thinned = mask[step[0] // 2 :: step[0], step[1] // 2 :: step[1]]
        pixels = np.array(mask.shape if shape is None else shape) / mask.shape
        to_radiograph = np.diag([*(step * pixels), 1.0])
        to_radiograph[:2, 2] = (step // 2 + 0.5) * pixels - 0.5
        return _fraction(self.sample_at(to_radiograph, thinned.shape), thinned)

    def frame_fraction(self, shape: tuple[int, int]) -> float | None:
        """Return the fraction of the map that lies at the edge of what the network saw.

        The frame is the outer 8 % along each side of the part of the radiograph that the
        network was shown: measured on the whole radiograph, a network that crops it would
        look innocent whatever it does. An even map has .29 of itself there. Much more
        speaks for markers, borders or collimation as the reason of an answer.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the radiograph.

        Returns
        -------
        float or None
            In [0, 1]; None for a map of zeros, which lies nowhere.
        """
        edges = np.array([[-0.5, -0.5], [shape[0] - 0.5, shape[1] - 0.5]])
        if self.input_bounds is not None:  # padding around the radiograph is no part of it
            edges = np.clip(np.reshape(self.input_bounds, (2, 2)), *edges)
        # 100 x 100 evenly spaced points are plenty for a smooth map, and make the frame
        # the same fraction of every radiograph.
        points = 100
        wide = round(FRAME * points)
        frame = np.ones((points, points), dtype=bool)
        frame[wide:-wide, wide:-wide] = False
        step = (edges[1] - edges[0]) / points
        to_radiograph = np.diag([*step, 1.0])
        to_radiograph[:2, 2] = edges[0] + step / 2
        return _fraction(self.sample_at(to_radiograph, frame.shape), frame)

    def sample_at(self, to_radiograph: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Sample at points (i, j) of a raster that a matrix places on the radiograph.

        Parameters
        ----------
        to_radiograph : ndarray, shape (3, 3)
            Takes a point (i, j, 1) to (y, x, 1) in pixels of the radiograph.
        shape : tuple of int
            Rows and columns of the raster.

        Returns
        -------
        ndarray of float32, shape `shape`
        """
        # Neither matrix turns anything, so rows and columns are weighted one after the other.
        to_cells = np.linalg.inv(self.to_radiograph) @ to_radiograph
        down, across = (
            _linear_weights(to_cells[axis, axis] * np.arange(n) + to_cells[axis, 2], cells)
            for axis, (n, cells) in enumerate(zip(shape, self.values.shape, strict=True))
        )
        sampled: np.ndarray = (down @ self.values @ across.T).astype(np.float32)
        if self.input_bounds is not None:
            top, left, bottom, right = self.input_bounds
            y = to_radiograph[0, 0] * np.arange(shape[0]) + to_radiograph[0, 2]
            x = to_radiograph[1, 1] * np.arange(shape[1]) + to_radiograph[1, 2]
            sampled[(y < top) | (y > bottom)] = 0
            sampled[:, (x < left) | (x > right)] = 0
        return sampled


def full_colour(heatmaps: Sequence[Heatmap]) -> float:
    """Return the value that is drawn in full colour, the same for the maps of all classes.

    The strongest of the most probable class: so what speaks for the answer is always to be
    seen, and what speaks for another class is seen to be weaker or at least as strong.
    Where that map is empty, the strongest of all.

    Parameters
    ----------
    heatmaps : sequence of Heatmap
        Of all classes of one radiograph.

    Returns
    -------
    float
        0 where all are empty.
    """
    if not heatmaps:
        return 0.0
    answer = max(heatmaps, key=lambda heatmap: heatmap.probability)
    own = float(answer.values.max())
    return own if own > 0 else max(float(heatmap.values.max()) for heatmap in heatmaps)


def _linear_weights(places: np.ndarray, cells: int) -> np.ndarray:
    """Return the weight of each cell at each place, shape (places, cells); edges go on."""
    places = np.clip(places, 0, cells - 1)[:, None]
    return np.maximum(1 - np.abs(places - np.arange(cells)), 0)


def _fraction(sampled: np.ndarray, mask: np.ndarray) -> float | None:
    whole = float(sampled.sum(dtype=np.float64))
    if whole <= 0:
        return None
    return float((sampled * mask).sum(dtype=np.float64)) / whole


#: Red, green, blue and opacity from no evidence to the strongest, at even steps.
HEAT_COLOURS = np.array(
    [
        [0.10, 0.20, 0.85, 0.00],
        [0.10, 0.45, 1.00, 0.12],
        [0.10, 0.85, 0.75, 0.50],
        [0.95, 0.90, 0.15, 0.85],
        [1.00, 0.45, 0.05, 1.00],
        [0.85, 0.05, 0.05, 1.00],
    ]
)


def draw_heatmap(
    display: np.ndarray, heatmap: Heatmap, strongest: float, opacity: float = 0.5
) -> np.ndarray:
    """Return a radiograph with a heatmap over it.

    Parameters
    ----------
    display : ndarray of float32, shape (h, w)
        The radiograph as it should look, in [0, 1].
    heatmap : Heatmap
        Its map.
    strongest : float
        The value drawn in the last colour.
    opacity : float
        Opacity of that colour, in [0, 1].

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    strength = heatmap.sample_on(display.shape) / max(strongest, 1e-12)
    steps = np.linspace(0, 1, len(HEAT_COLOURS))
    colour = np.stack([np.interp(strength, steps, HEAT_COLOURS[:, i]) for i in range(3)], axis=-1)
    alpha = opacity * np.interp(strength, steps, HEAT_COLOURS[:, 3])[..., None]
    mixed = display[..., None] * (1 - alpha) + colour * alpha
    return (np.clip(mixed, 0, 1) * 255).round().astype(np.uint8)


def cell_to_input(grid: Grid) -> np.ndarray:
    """Return the matrix from a cell to the centre of its receptive field.

    Parameters
    ----------
    grid : Grid
        Of the network, for the size of its input.

    Returns
    -------
    ndarray of float64, shape (3, 3)
        Takes (row, column, 1) to the pixel (y, x, 1) of the network's input.
    """
    matrix = np.diag([*grid.jump, 1.0])
    matrix[:2, 2] = grid.start
    return matrix


def cell_to_radiograph(grid: Grid, to_radiograph: np.ndarray) -> np.ndarray:
    """Return the matrix from a cell to the pixel of the radiograph at which it looks.

    Parameters
    ----------
    grid : Grid
        Of the network, for the size of its input.
    to_radiograph : ndarray, shape (3, 3)
        From a pixel of the network's input to one of the radiograph.
    """
    return np.asarray(to_radiograph, dtype=np.float64) @ cell_to_input(grid)


def input_bounds(
    to_radiograph: np.ndarray, height: int, width: int
) -> tuple[float, float, float, float]:
    """Return which part of the radiograph a network's input shows.

    Parameters
    ----------
    to_radiograph : ndarray, shape (3, 3)
        From a pixel of the network's input to one of the radiograph; no rotation.
    height, width : int
        Size of the input.

    Returns
    -------
    tuple of float
        Top, left, bottom and right edge in pixels of the radiograph, where pixel
        centres are whole numbers; beyond the radiograph where the input is padded.
    """
    corners = np.array([[-0.5, height - 0.5], [-0.5, width - 0.5], [1, 1]])
    (top, bottom), (left, right), _ = np.asarray(to_radiograph) @ corners
    return float(top), float(left), float(bottom), float(right)
