"""The images of one run: those that it uses, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cxr.training.dataset import Dataset
from napari_cxr.training.prepare import Material
from napari_cxr.training.splits import Split

__all__ = ['RunData']


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
