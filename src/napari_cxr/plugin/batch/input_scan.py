"""What the input holds before anyone clicks Score: how many images, and which classes.

It also finds the sub-folders that are classes of the model, and names of tables that are not
taken. No Qt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from napari_cxr import image_files
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.scoring.journal import journal_of

__all__ = ['ImageCount', 'count_images', 'folders_matching_classes', 'next_free_table']

#: Seconds between two words on how many there are so far, and after which nobody counts on.
_PAUSE, _PATIENCE = 0.5, 30.0


@dataclass(frozen=True)
class ImageCount:
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


def count_images(folder: str, cancelled: Event) -> Iterator[ImageCount]:
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
    for found in image_files.walk_images(folder, named=True):
        images += found is not None
        now = time.monotonic()
        if cancelled.is_set() or now - begun > _PATIENCE:
            return
        if now - told > _PAUSE:
            told = now
            yield ImageCount(folder, images, whole=False)
    yield ImageCount(folder, images, whole=True)


def folders_matching_classes(folders: Sequence[str], rule: LabelRule) -> list[str]:
    """Return the sub-folders by which a model is measured, whatever their case.

    They are called as classes of the model, or as its word for none of them.
    """
    known = {label.casefold() for label in rule.labels}
    return [name for name in folders if name.casefold() in known or rule.is_negative(name)]


def next_free_table(folder: Path, name: str, ending: str) -> Path:
    """Return a table that does not exist yet and was not begun: 'NAME-1.csv' and so on."""
    number = 1
    while True:
        table = folder / f'{name}-{number}{ending}'
        if not table.exists() and not journal_of(table).exists():
            return table
        number += 1
