"""Where the cells of a feature map look."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['Grid']


@dataclass(frozen=True)
class Grid:
    """Centres of the receptive fields of a feature map's cells.

    Cell i of an axis looks at ``start + i * jump``, in input pixels, where pixel
    centres are whole numbers.

    Parameters
    ----------
    start : tuple of float
        Rows and columns of the first cell's centre.
    jump : tuple of float
        Distance between the centres of neighbouring cells.
    cells : tuple of int
        How many cells there are.
    """

    start: tuple[float, float]
    jump: tuple[float, float]
    cells: tuple[int, int]

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """Return the input pixel (y, x) that a cell looks at."""
        return self.start[0] + row * self.jump[0], self.start[1] + column * self.jump[1]
