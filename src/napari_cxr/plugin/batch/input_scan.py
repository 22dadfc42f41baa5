"""What the input contains, before anyone clicks Score: how many images, and which classes.

Also finds the sub-folders named like classes of the model, and free names for tables. No Qt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cxr import image_files
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.scoring.journal import journal_of

__all__ = ['ImageCount', 'count_images', 'folders_matching_classes', 'next_free_table']

#: Seconds between two updates of the count, and after which counting is given up.
_PAUSE, _PATIENCE = 0.5, 30.0


@dataclass(frozen=True)
class ImageCount:
    """Number of images found in a folder.

    Parameters
    ----------
    folder : str
        The folder.
    images : int
        Files that are images, by their contents or their name.
    whole : bool
        Whether the count is complete.
    """

    folder: str
    images: int
    whole: bool


def count_images(folder: str) -> Iterator[ImageCount]:
    """Count the images in a folder, for half a minute at most.

    Parameters
    ----------
    folder : str
        The folder.

    Yields
    ------
    ImageCount
        Now and then the count so far; at the end the complete one, unless it took too long.
    """
    start = last = time.monotonic()
    images = 0
    for found in image_files.walk_images(folder, named=True):
        images += found is not None
        now = time.monotonic()
        if now - start > _PATIENCE:
            return
        if now - last > _PAUSE:
            last = now
            yield ImageCount(folder, images, whole=False)
    yield ImageCount(folder, images, whole=True)


def folders_matching_classes(folders: Sequence[str], rule: LabelRule) -> list[str]:
    """Return the sub-folders that give labels to evaluate a model by, in any letter case.

    They have the name of a class of the model, or of its negative class.
    """
    known = {label.casefold() for label in rule.labels}
    return [name for name in folders if name.casefold() in known or rule.is_negative(name)]


def next_free_table(folder: Path, name: str, ending: str) -> Path:
    """Return the path of a table that does not exist, finished or not: 'NAME-1.csv' and so on."""
    number = 1
    while True:
        table = folder / f'{name}-{number}{ending}'
        if not table.exists() and not journal_of(table).exists():
            return table
        number += 1
