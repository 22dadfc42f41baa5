"""From the cells of a feature map to the pixels they look at, as 3x3 matrices.

Matrices act on column vectors (y, x, 1) of centres. Enlarging a map to the size of
the input instead draws ResNet-50's cells half a cell too far to the lower right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_cxr.networks.receptive_field import Grid

__all__ = ['cell_to_input', 'cell_to_radiograph', 'input_bounds']


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
