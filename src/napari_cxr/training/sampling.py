"""Which training images an epoch goes through, in which order, and which of them change.

What is drawn is called an item: a number of which ``item % n`` is the image's place in a
data set of n, and ``item // n`` tells apart what of one image comes in one epoch: odd for
a copy that an image was doubled with, and 2 more for each time it was drawn again.
Augmentation is seeded with the item, so no two of them are changed alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.recipe import AugmentationRecipe, Recipe, RecipeError
from napari_cxr.training.splits import Split

__all__ = ['Items']


@dataclass(frozen=True, eq=False)
class Items:
    """What an epoch goes through.

    Parameters
    ----------
    items : ndarray of int, shape (m,)
        One for each training image, and for each copy.
    often : ndarray of float64, shape (m,)
        How often each is expected in an epoch; the sum is m.
    images : int
        Images in the data set.
    changed : ndarray of bool, shape (images,)
        Whose class is augmented.
    recipe : Recipe
        Its augmentation, sampler and seed.
    """

    items: np.ndarray
    often: np.ndarray
    images: int
    changed: np.ndarray
    recipe: Recipe

    @classmethod
    def of(cls, dataset: Dataset, split: Split, recipe: Recipe) -> Items:
        """List what the training split comes to by a recipe.

        Raises
        ------
        RecipeError
            If `augmentation.only` names a class that is not there.
        """
        n = len(dataset.samples)
        changed = _changed(dataset, recipe.augmentation)
        items = split.train
        if recipe.augmentation.doubled:
            items = np.concatenate([items, items[changed[items]] + n])
        often = np.ones(len(items))
        if recipe.sampler == 'balanced':
            # Images without any of several labels are a class of their own here.
            names = [dataset.samples[i % n].labels or ('',) for i in items]
            inside = np.array([[k in own for k in (*dataset.labels, '')] for own in names])
            # A class is drawn first, then one of its images.
            shares = (inside / np.maximum(inside.sum(axis=0), 1)).sum(axis=1)
            often = len(items) * shares / shares.sum()
        return cls(items, often, n, changed, recipe)

    @property
    def batches(self) -> int:
        """Steps an epoch; all of about the same size, and none of one image alone."""
        full = -(-len(self.items) // self.recipe.batch)
        return max(1, min(full, len(self.items) // 2))

    def places(self, items: np.ndarray) -> np.ndarray:
        """Return the images that items are of."""
        return items % self.images

    def epoch(self, number: int) -> list[np.ndarray]:
        """Return the items of each batch of an epoch, counted from 0."""
        random = np.random.default_rng((self.recipe.seed, number))
        if self.recipe.sampler == 'balanced':
            share = self.often / self.often.sum()
            order = random.choice(self.items, size=len(self.items), p=share)
            again: Counter[int] = Counter()
            for row, item in enumerate(order.tolist()):
                order[row] += 2 * self.images * again[item]
                again[item] += 1
        else:
            order = random.permutation(self.items)
        # Batches of equal size: no last batch of one image, which batch norm cannot use.
        return np.array_split(order, self.batches)

    def augment(self, images: Tensor, items: np.ndarray, epoch: int) -> Tensor:
        """Change those images of a batch that the recipe changes.

        Parameters
        ----------
        images : Tensor of float32, shape (n, 1, h, w)
            In [0, 1].
        items : ndarray of int, shape (n,)
            What they are.
        epoch : int
            From 0.

        Returns
        -------
        Tensor of float32, shape (n, 1, h, w), or (n, 3, h, w) where colours change
        """
        plan = self.recipe.augmentation
        if not plan.changes:
            return images
        if plan.doubled:  # a copy is changed once and for all
            rows, epoch = np.flatnonzero(items // self.images % 2), 0
        else:
            rows = np.flatnonzero(self.changed[self.places(items)])
        if not len(rows):
            return images
        changes = draw(plan, self.recipe.seed, epoch, items[rows].tolist())
        if len(rows) == len(items):
            return augment(images, changes)
        where = torch.from_numpy(rows).to(images.device)
        new = augment(images[where], changes)
        return images.expand(-1, new.shape[1], -1, -1).index_copy(0, where, new)


def _changed(dataset: Dataset, plan: AugmentationRecipe) -> np.ndarray:
    unknown = [label for label in plan.only if label not in dataset.labels]
    if unknown:
        raise RecipeError(
            f'augmentation.only names the class {unknown[0]!r}, which is not there; '
            f'the classes are {", ".join(dataset.labels)}.'
        )
    only = set(plan.only or dataset.labels)
    return np.array([not only.isdisjoint(sample.labels) for sample in dataset.samples])
