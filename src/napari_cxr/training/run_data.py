"""The images of one run: read, sampled for each epoch, and put on the network's device.

What is sampled is an item: a number of which ``item % n`` is the image's index in a data set
of n, and ``item // n`` tells apart the copies of an image in one epoch: odd for the doubled
copy, and 2 more for each time that it was drawn again. Augmentation is seeded with the item,
so no two of them are changed alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.data_preparation import LoadedImages, prepare
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.dataset_survey import shortcut_warnings
from napari_cxr.training.image_operations import to_input
from napari_cxr.training.recipe import AugmentationRecipe, Recipe, RecipeError
from napari_cxr.training.splits import Split
from napari_cxr.training.training_events import ImageSkipped, TrainingEvent, WarningRaised
from napari_cxr.training.training_image import ImageReader

__all__ = ['EpochItems', 'NetworkInputs', 'RunData', 'fits_in_memory', 'read_images']


@dataclass(frozen=True, eq=False)
class RunData:
    """The images of one run.

    Parameters
    ----------
    loaded : LoadedImages
        The images.
    split : Split
        Their split; some images may be in none.
    """

    loaded: LoadedImages
    split: Split

    @property
    def dataset(self) -> Dataset:
        """The labelled images."""
        return self.loaded.dataset

    @property
    def features(self) -> np.ndarray:
        """Input of the no-anatomy baselines, shape (n, f)."""
        return self.loaded.features

    def images(self, places: np.ndarray) -> np.ndarray:
        """Return images, uint8 or uint16, shape (m, h, w)."""
        return self.loaded.images(places)


def read_images(
    dataset: Dataset, recipe: Recipe, read: ImageReader | None, run: str
) -> Generator[TrainingEvent, None, tuple[LoadedImages, tuple[str, ...]]]:
    """Yield the events of `prepare`; return the images, and remarks for the log.

    Returns
    -------
    images : LoadedImages
        The images.
    remarks : tuple of str
        Sentences on skipped images and warnings, without file names.
    """
    remarks: list[str] = []
    skipped = 0
    with closing(prepare(dataset, recipe, read, run)) as events:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                images: LoadedImages = end.value
                break
            if isinstance(event, ImageSkipped):
                skipped += 1
                # The reason may name the file, and that may name the patient.
                reason = (event.logged or event.reason).replace(event.path, 'the file')
                reason = reason.replace(Path(event.path).name, 'the file')
                remarks.append(f'Image skipped ({skipped}): {reason}')
            elif isinstance(event, WarningRaised):
                remarks.append(event.text)
            yield event
    if recipe.split.method != 'leave-source-out':
        for text in shortcut_warnings(images):
            remarks.append(text)
            yield WarningRaised(run, text)
    return images, tuple(remarks)


@dataclass(frozen=True, eq=False)
class EpochItems:
    """The items of an epoch.

    Parameters
    ----------
    items : ndarray of int, shape (m,)
        One for each training image, and for each copy.
    often : ndarray of float64, shape (m,)
        How often each is expected in an epoch; they add up to m.
    images : int
        Images in the data set.
    changed : ndarray of bool, shape (images,)
        Images whose class is augmented.
    recipe : Recipe
        Its augmentation, sampler and seed.
    """

    items: np.ndarray
    often: np.ndarray
    images: int
    changed: np.ndarray
    recipe: Recipe

    @classmethod
    def of(cls, dataset: Dataset, split: Split, recipe: Recipe) -> EpochItems:
        """List the items of a training split by a recipe.

        Raises
        ------
        RecipeError
            If `augmentation.only` names a class that does not exist.
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
            weight = (inside / np.maximum(inside.sum(axis=0), 1)).sum(axis=1)
            often = len(items) * weight / weight.sum()
        return cls(items, often, n, changed, recipe)

    @property
    def batches(self) -> int:
        """Steps in an epoch; batches have about the same size, and at least two images."""
        full = -(-len(self.items) // self.recipe.batch)
        return max(1, min(full, len(self.items) // 2))

    def places(self, items: np.ndarray) -> np.ndarray:
        """Return the indices of the images of items."""
        return items % self.images

    def epoch(self, number: int) -> list[np.ndarray]:
        """Return the items of each batch of an epoch, counted from 0."""
        random = np.random.default_rng((self.recipe.seed, number))
        if self.recipe.sampler == 'balanced':
            chance = self.often / self.often.sum()
            order = random.choice(self.items, size=len(self.items), p=chance)
            again: Counter[int] = Counter()
            for row, item in enumerate(order.tolist()):
                order[row] += 2 * self.images * again[item]
                again[item] += 1
        else:
            order = random.permutation(self.items)
        # Batches of equal size: no last batch of one image, which batch norm cannot use.
        return np.array_split(order, self.batches)

    def augment(self, images: Tensor, items: np.ndarray, epoch: int) -> Tensor:
        """Augment those images of a batch that the recipe augments.

        Parameters
        ----------
        images : Tensor of float32, shape (n, 1, h, w)
            In [0, 1].
        items : ndarray of int, shape (n,)
            Their items.
        epoch : int
            From 0.

        Returns
        -------
        Tensor of float32, shape (n, 1, h, w), or (n, 3, h, w) where colours change
        """
        plan = self.recipe.augmentation
        if not plan.changes:
            return images
        if plan.doubled:  # a copy is changed in the same way in each epoch
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
            f'augmentation.only names the class {unknown[0]!r}, which does not exist; '
            f'the classes are {", ".join(dataset.labels)}.'
        )
    only = set(plan.only or dataset.labels)
    return np.array([not only.isdisjoint(sample.labels) for sample in dataset.samples])


#: Fraction of a GPU's free memory that the images may take.
_MEMORY_FRACTION = 0.5


class NetworkInputs:
    """The images of a run, as inputs of its network.

    On a GPU they stay in its memory after their first use, if all of them take no more than
    half of the free memory. Elsewhere each batch is read from the cache on disk, so memory
    grows with the batch and not with the data set.

    Parameters
    ----------
    data, items, recipe
        The images, the items of an epoch, and the recipe that augments them.
    device : torch.device
        Where the network computes.
    stay : bool, optional
        Whether images stay on the device; by default if they fit, see above.
    """

    def __init__(
        self,
        data: RunData,
        items: EpochItems,
        recipe: Recipe,
        device: torch.device,
        stay: bool | None = None,
    ) -> None:
        self._data, self._items, self._recipe, self._device = data, items, recipe, device
        # torch computes little with 16-bit integers, so they become floats.
        self._kind = torch.uint8 if recipe.data.bits == 8 else torch.float32
        self._largest = float(2**recipe.data.bits - 1)
        self._there = np.zeros(len(data.dataset.samples), dtype=bool)
        self._staying: Tensor | None = None
        shape = (len(self._there), recipe.input.height, recipe.input.width)
        if (
            fits_in_memory(device, int(np.prod(shape)) * self._kind.itemsize)
            if stay is None
            else stay
        ):
            self._staying = torch.empty(shape, dtype=self._kind, device=device)

    def unchanged(self, places: np.ndarray) -> Tensor:
        """Return images without augmentation, shape (n, channels, h, w)."""
        return to_input(self._images(places), self._recipe.input)

    def augmented(self, items: np.ndarray, epoch: int) -> Tensor:
        """Return items with the augmentation of an epoch, shape (n, channels, h, w)."""
        images = self._images(self._items.places(items))
        return to_input(self._items.augment(images, items, epoch), self._recipe.input)

    def _images(self, places: np.ndarray) -> Tensor:
        """Return grey images in [0, 1], shape (n, 1, h, w)."""
        if self._staying is None:
            images = self._read(places)
        else:
            if len(new := np.unique(places[~self._there[places]])):
                self._staying[torch.from_numpy(new).to(self._device)] = self._read(new)
                self._there[new] = True
            images = self._staying[torch.from_numpy(places).to(self._device)]
        return images[:, None].float() / self._largest

    def _read(self, places: np.ndarray) -> Tensor:
        images = self._data.images(places)
        whole = images if self._kind == torch.uint8 else images.astype(np.float32)
        return torch.from_numpy(whole).to(self._device)


def fits_in_memory(device: torch.device, size: int) -> bool:
    """Return whether so many bytes fit into a GPU's memory beside what training needs."""
    return device.type == 'cuda' and size <= _MEMORY_FRACTION * torch.cuda.mem_get_info(device)[0]
