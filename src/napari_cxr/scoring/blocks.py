"""Files in the order in which they arrive, put into batches that do not depend on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cxr.scoring.preparing import Ready

__all__ = ['Blocks']


class Blocks:
    """Batches of neighbours in the listing, each handed out as soon as it is whole.

    What a network says of an image depends, in its last digits, on the size of the batch
    and on the image's place in it, though not on the other images. So each path has its
    place in one batch whatever comes first, fails, or was scored before a crash: then the
    same table comes out to the last digit. No batch waits for another. Only as many are
    begun as there are files under way, so memory does not grow with the listing.

    Parameters
    ----------
    total : int
        Paths in the listing.
    size : int
        Images in a batch; the last has what is left.
    expected : callable
        Tells of a path's number whether its file is still to come.
    """

    def __init__(self, total: int, size: int, expected: Callable[[int], bool]) -> None:
        self._total, self._size, self._expected = total, size, expected
        self._begun: dict[int, dict[int, Ready | None]] = {}

    def put(self, number: int, ready: Ready | None) -> list[tuple[int, Ready]] | None:
        """Take in a file, or None for one that gives no image.

        Returns
        -------
        list of (int, Ready), or None
            The images of its batch by number, if that was the last file of it.
        """
        block = number // self._size
        arrived = self._begun.setdefault(block, {})
        arrived[number] = ready
        if any(self._expected(n) and n not in arrived for n in self._numbers(block)):
            return None
        del self._begun[block]
        return [(n, one) for n, one in sorted(arrived.items()) if one is not None]

    def batch(self, images: list[tuple[int, Ready]]) -> tuple[np.ndarray, list[int]]:
        """Return a batch as the network takes it, with nothing where no image is.

        Returns
        -------
        ndarray of float32, shape (n, height, width)
            Always as many as the batch has paths.
        list of int
            The place in it of each image.
        """
        numbers = self._numbers(images[0][0] // self._size)
        places = [number - numbers.start for number, _ in images]
        shape = images[0][1].image.shape
        batch = np.zeros((len(numbers), *shape), dtype=np.float32)
        for place, (_, ready) in zip(places, images, strict=True):
            batch[place] = ready.image
        return batch, places

    def _numbers(self, block: int) -> range:
        return range(block * self._size, min((block + 1) * self._size, self._total))
