"""How many images a folder holds, before anyone clicks Score. No Qt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event

from napari_cxr import files

__all__ = ['Counted', 'count']

#: Seconds between two words on how many there are so far, and after which nobody counts on.
_PAUSE, _PATIENCE = 0.5, 30.0


@dataclass(frozen=True)
class Counted:
    """How many images were found in a folder.

    Parameters
    ----------
    folder : str
        Where.
    images : int
        Images, and files that are called one.
    whole : bool
        Whether these are all.
    """

    folder: str
    images: int
    whole: bool


def count(folder: str, cancelled: Event) -> Iterator[Counted]:
    """Count the images in a folder, as far as there is patience for it.

    Parameters
    ----------
    folder : str
        Where.
    cancelled : threading.Event
        Ends it when set.

    Yields
    ------
    Counted
        Now and then, and all of them at the end, if it is reached.
    """
    begun = told = time.monotonic()
    images = 0
    for found in files.walk_images(folder, named=True):
        images += found is not None
        now = time.monotonic()
        if cancelled.is_set() or now - begun > _PATIENCE:
            return
        if now - told > _PAUSE:
            told = now
            yield Counted(folder, images, whole=False)
    yield Counted(folder, images, whole=True)
