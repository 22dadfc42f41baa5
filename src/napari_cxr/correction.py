"""What a person has put right about how an image lies: polarity, mirroring, quarter turns.

A header may lie, and a film may have been scanned from behind. A `Correction` says what is done
to the pixels before anything else looks at them; it is recorded with every result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cxr.messages import message_type

__all__ = ['NO_CORRECTION', 'Correction']

_TURNS = ('', 'turned by 90° clockwise', 'turned by 180°', 'turned by 90° anticlockwise')


@message_type
@dataclass(frozen=True)
class Correction:
    """Black and white exchanged, then left and right, then quarter turns.

    Parameters
    ----------
    inverted : bool
        Whether black and white are exchanged.
    mirrored : bool
        Whether left and right are exchanged, before it is turned.
    turns : int
        Quarter turns clockwise, 0 to 3.
    """

    inverted: bool = False
    mirrored: bool = False
    turns: int = 0

    def __post_init__(self) -> None:
        if self.turns not in (0, 1, 2, 3):
            raise ValueError(f'turns must be 0, 1, 2 or 3, not {self.turns!r}')

    def __bool__(self) -> bool:
        return self.inverted or self.moves

    def __str__(self) -> str:
        parts = ['inverted'] * self.inverted
        if self.mirrored and self.turns == 2:
            parts.append('flipped top to bottom')
        else:
            parts += ['mirrored'] * self.mirrored + [_TURNS[self.turns]] * bool(self.turns)
        return f'{", ".join(parts[:-1])} and {parts[-1]}' if len(parts) > 1 else ''.join(parts)

    @property
    def moves(self) -> bool:
        """Whether any pixel goes elsewhere."""
        return self.mirrored or self.turns != 0

    def then(self, other: Correction) -> Correction:
        """Return one correction that does what this one does and then another."""
        # A mirror image turns the other way round.
        turns = other.turns - self.turns if other.mirrored else other.turns + self.turns
        return Correction(
            self.inverted != other.inverted, self.mirrored != other.mirrored, turns % 4
        )

    def inverse(self) -> Correction:
        """Return the correction that takes this one back."""
        turns = self.turns if self.mirrored else -self.turns % 4
        return Correction(self.inverted, self.mirrored, turns)

    def apply(self, array: np.ndarray, *, colour: bool = False) -> np.ndarray:
        """Move pixels to their new places; polarity is for whoever draws them.

        Parameters
        ----------
        array : ndarray
            Its last two axes are rows and columns, or the two before the last with `colour`.
        colour : bool
            Whether the last axis is colour.

        Returns
        -------
        ndarray
            A view, or a contiguous copy where a pixel has moved.
        """
        if not self.moves:
            return array
        axes = (array.ndim - 3, array.ndim - 2) if colour else (array.ndim - 2, array.ndim - 1)
        moved = np.flip(array, axes[1]) if self.mirrored else array
        return np.ascontiguousarray(np.rot90(moved, -self.turns, axes))

    def shape(self, rows: int, columns: int) -> tuple[int, int]:
        """Return rows and columns after the turn."""
        return (columns, rows) if self.turns % 2 else (rows, columns)

    def matrix(self, rows: int, columns: int) -> np.ndarray:
        """Return where the pixels of an image go.

        Parameters
        ----------
        rows, columns : int
            Of the image before it is corrected.

        Returns
        -------
        ndarray, shape (3, 3)
            Takes a pixel centre (y, x, 1) to its new place.
        """
        matrix = np.eye(3)
        if self.mirrored:
            matrix = np.array([[1.0, 0, 0], [0, -1, columns - 1], [0, 0, 1]])
        for _ in range(self.turns):
            matrix = np.array([[0.0, 1, 0], [-1, 0, rows - 1], [0, 0, 1]]) @ matrix
            rows, columns = columns, rows
        return matrix

    def about(self, center: np.ndarray) -> np.ndarray:
        """Return the movement as a matrix that leaves a point where it is.

        Parameters
        ----------
        center : ndarray, shape (2,)
            The point (y, x), in any unit of length.

        Returns
        -------
        ndarray, shape (3, 3)
            Takes (y, x, 1) to where it goes.
        """
        matrix = self.matrix(1, 1)
        matrix[:2, 2] = np.asarray(center) - matrix[:2, :2] @ np.asarray(center)
        return matrix


#: The image as it was read.
NO_CORRECTION = Correction()
