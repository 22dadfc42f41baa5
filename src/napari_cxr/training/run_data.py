"""The images of one run: read, and what it uses of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cxr.training.cache import Reader
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.events import Event, Skipped, Warned
from napari_cxr.training.prepare import Material, prepare
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.splits import Split

__all__ = ['RunData', 'read_images']


@dataclass(frozen=True, eq=False)
class RunData:
    """The images of one run.

    Parameters
    ----------
    material : Material
        The images.
    split : Split
        Which of them are for what; some may be for nothing.
    """

    material: Material
    split: Split

    @property
    def dataset(self) -> Dataset:
        """The labelled images."""
        return self.material.dataset

    @property
    def features(self) -> np.ndarray:
        """What the no-anatomy baselines see, shape (n, f)."""
        return self.material.features

    def images(self, places: np.ndarray) -> np.ndarray:
        """Return images, uint8 or uint16, shape (m, h, w)."""
        return self.material.images(places)


def read_images(
    dataset: Dataset, recipe: Recipe, read: Reader | None, run: str
) -> Generator[Event, None, tuple[Material, tuple[str, ...]]]:
    """Yield the events of `prepare`; return the images, and what a log may say of it.

    Returns
    -------
    material : Material
        The images.
    remarks : tuple of str
        Sentences on what was left out and warned of, without names of files.
    """
    remarks: list[str] = []
    skipped = 0
    with closing(prepare(dataset, recipe, read, run)) as events:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                return end.value, tuple(remarks)
            if isinstance(event, Skipped):
                skipped += 1
                # The reason may name the file, and that may name the patient.
                reason = event.reason.replace(event.path, 'the file')
                reason = reason.replace(Path(event.path).name, 'the file')
                remarks.append(f'Image {skipped} of those left out: {reason}')
            elif isinstance(event, Warned):
                remarks.append(event.text)
            yield event
