"""What a network is given: images on the device, changed or as they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cxr.training.colour import to_input
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_data import RunData
from napari_cxr.training.sampling import Items

__all__ = ['Inputs', 'fits_beside']

#: Share of a GPU's free memory that the images may take.
_SHARE = 0.5


class Inputs:
    """The images of a run, as its network takes them.

    On a GPU they stay in its memory once they were used, if all of them take no more than
    half of what is free there. Elsewhere each batch is read from the cache on the disk, so
    that memory grows with the batch and not with the data set.

    Parameters
    ----------
    data, items, recipe
        What is trained on, what an epoch goes through, and how images change.
    device : torch.device
        Where the network computes.
    stay : bool, optional
        Whether images stay on the device; by default where they fit, see above.
    """

    def __init__(
        self,
        data: RunData,
        items: Items,
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
            fits_beside(device, int(np.prod(shape)) * self._kind.itemsize)
            if stay is None
            else stay
        ):
            self._staying = torch.empty(shape, dtype=self._kind, device=device)

    def plain(self, places: np.ndarray) -> Tensor:
        """Return images as they are, shape (n, channels, h, w)."""
        return to_input(self._images(places), self._recipe.input)

    def changed(self, items: np.ndarray, epoch: int) -> Tensor:
        """Return items as an epoch changes them, shape (n, channels, h, w)."""
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


def fits_beside(device: torch.device, size: int) -> bool:
    """Return whether so many bytes may stay in a GPU's memory beside what training takes."""
    return device.type == 'cuda' and size <= _SHARE * torch.cuda.mem_get_info(device)[0]
