"""Rows that were opened or read ahead, as many as fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container

from napari_cxr.plugin.reading.opener_job import Key, Opened

__all__ = ['RowCache']


class RowCache:
    """Keeps the rows that were used last, within a bound on their memory.

    Parameters
    ----------
    most : int
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Opened] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        return sum(opened.nbytes for opened in self._kept.values())

    def get(self, key: Key) -> Opened | None:
        """Return what is kept of a row; it counts as used."""
        opened = self._kept.get(key)
        if opened is not None:
            self._kept.move_to_end(key)
        return opened

    def put(self, key: Key, opened: Opened, precious: Container[Key] = ()) -> bool:
        """Keep a row, in place of those that were not used for longest.

        Parameters
        ----------
        key, opened
            The row.
        precious : container of keys
            Rows that stay in any case.

        Returns
        -------
        bool
            Whether there was room for it beside the precious ones.
        """
        if opened.nbytes > self._most:
            return False
        self._kept[key] = opened
        self._kept.move_to_end(key)
        for old in list(self._kept):
            if self.nbytes <= self._most:
                return True
            if old != key and old not in precious:
                del self._kept[old]
        if self.nbytes <= self._most:
            return True
        del self._kept[key]
        return False

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
