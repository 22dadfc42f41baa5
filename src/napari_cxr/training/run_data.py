"""The images of one run: those that it uses, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_cxr.training.dataset import SPLITS, Dataset
from napari_cxr.training.prepare import Material
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.sampling import balanced
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
        Which of them are for what; each is in one.
    """

    material: Material
    split: Split

    @classmethod
    def of(cls, material: Material, split: Split, recipe: Recipe) -> RunData:
        """Return what a recipe leaves, where it balances the classes of the training split."""
        if not recipe.data.balance:
            return cls(material, split)
        split = balanced(material.dataset, split, recipe.seed)
        kept = np.sort(np.concatenate([getattr(split, name) for name in SPLITS]))
        new = {name: np.searchsorted(kept, getattr(split, name)) for name in SPLITS}
        return cls(material.at(kept), replace(split, **new))

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
