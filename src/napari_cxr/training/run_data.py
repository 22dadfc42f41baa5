"""The images of one run: those that it uses, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_cxr.training.dataset import SPLITS, Dataset
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.sampling import balanced
from napari_cxr.training.splits import Split

__all__ = ['RunData']


@dataclass(frozen=True, eq=False)
class RunData:
    """The images of one run.

    Parameters
    ----------
    dataset : Dataset
        Of n images.
    split : Split
        Which of them are for what; each is in one.
    images : callable
        From places in the data set to images, uint8 or uint16, shape (m, h, w).
    features : ndarray, shape (n, f)
        What the no-anatomy baselines see.
    digests : list of str
        A short hash of the content of each.
    """

    dataset: Dataset
    split: Split
    images: Callable[[np.ndarray], np.ndarray]
    features: np.ndarray
    digests: list[str]

    def for_recipe(self, recipe: Recipe) -> RunData:
        """Return what is left where the recipe balances the classes of the training split."""
        if not recipe.data.balance:
            return self
        split = balanced(self.dataset, self.split, recipe.seed)
        kept = np.sort(np.concatenate([getattr(split, name) for name in SPLITS]))
        new = {name: np.searchsorted(kept, getattr(split, name)) for name in SPLITS}
        left_out = np.setdiff1d(np.arange(len(self.dataset.samples)), kept)
        images = self.images
        return RunData(
            dataset=self.dataset.without(left_out.tolist()),
            split=replace(split, **new),
            images=lambda places: images(kept[places]),
            features=self.features[kept],
            digests=[self.digests[i] for i in kept],
        )
