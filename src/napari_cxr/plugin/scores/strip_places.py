"""Where the filters above the table of scores stand, by the width that there is. No Qt."""

from __future__ import annotations

__all__ = ['PARTS', 'WIDE', 'Place', 'places', 'stretches']

#: What stands there: filters, and below them the count and the buttons.
PARTS = ('text', 'which', 'answer', 'truth', 'threshold', 'foot')
#: Line and column of a grid with six columns, and over how many of each.
Place = tuple[int, int, int, int]
#: Pixels from which on all filters stand in one line; below which a threshold has a line of its
#: own; and below which three lists beside each other would be cut.
WIDE, _MIDDLE, _NARROW = 700, 480, 380


def places(width: int, *, truth: bool, threshold: bool) -> dict[str, Place]:
    """Return where each filter stands, on as few lines as fit.

    Parameters
    ----------
    width : int
        Pixels.
    truth, threshold : bool
        Whether there are given labels to filter by, and whether a class is chosen for whose
        probability there is a threshold.
    """
    wide = width >= WIDE
    classes: tuple[Place, Place, Place]
    if wide and truth:
        classes = (0, 2, 1, 1), (0, 3, 1, 1), (0, 4, 1, 2)
    elif wide:
        classes = (0, 2, 1, 1), (0, 2, 1, 1), (0, 3, 1, 3)
    elif truth and width < (_MIDDLE if threshold else _NARROW):
        classes = (1, 0, 1, 3), (1, 3, 1, 3), (2, 0, 1, 6)
    elif truth:
        classes = (1, 0, 1, 2), (1, 2, 1, 2), (1, 4, 1, 2)
    else:
        classes = (1, 0, 1, 3), (1, 0, 1, 1), (1, 3, 1, 3)
    over = 1 if wide else 3
    first: tuple[Place, Place] = (0, 0, 1, over), (0, over, 1, over)
    return dict(zip(PARTS, (*first, *classes, (3, 0, 1, 6)), strict=True))


def stretches(width: int) -> tuple[int, ...]:
    """Return the shares of the six columns."""
    return (3, 3, 2, 2, 3, 0) if width >= WIDE else (1,) * 6
