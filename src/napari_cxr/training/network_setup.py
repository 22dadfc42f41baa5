"""A network made ready for training: its initial weights, and its frozen stages.

Frozen stages do not learn; what they return is computed once and cached.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_cxr import networks
from napari_cxr.checkpoint import CheckpointError, catalog, load, read_card
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear, SingleOutput
from napari_cxr.training.optimization import autocast, precision_of
from napari_cxr.training.recipe import HeadRecipe, Recipe, RecipeError
from napari_cxr.training.recipe.schema import as_table
from napari_cxr.training.run_data import EpochItems, NetworkInputs, fits_in_memory
from napari_cxr.training.run_folder import is_hashed

__all__ = [
    'FrozenOutputCache',
    'FrozenStages',
    'TrainablePart',
    'credits_of',
    'freeze',
    'frozen_stages',
    'head_entries',
    'new_network',
    'reads_channel_means',
]


def head_entries(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's head as networks and cards take it; empty for the network's own."""
    entries: dict[str, Any] = as_table(recipe.head)
    return {} if recipe.head == HeadRecipe() else entries


def new_network(
    recipe: Recipe, labels: Sequence[str], model: Path | None = None, *, empty: bool = False
) -> StagedNetwork:
    """Build a recipe's network; random weights depend on the recipe's seed alone.

    Parameters
    ----------
    recipe : Recipe
        Its network, head and weights.
    labels : sequence of str
        The classes.
    model : Path, optional
        The file of the model that it starts from, as `find_model` found it; by default the
        model in the catalog that `weights` names.
    empty : bool
        Whether the weights will be replaced at once, so that none need to be loaded.

    Raises
    ------
    RecipeError
        If there is no such network, head or model, or its weights are not available.
    """
    # Only the creation draws from torch's global state, which is restored afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.weights not in ('random', 'pretrained') and not empty:
            return _from_model(recipe, labels, model)
        try:
            network = networks.create(
                recipe.network,
                len(labels),
                recipe.input.channels,
                (recipe.input.height, recipe.input.width),
                head_entries(recipe),
            )
        except ValueError as error:
            raise RecipeError(f'network: {error}') from None
        if recipe.weights == 'pretrained' and not empty:
            try:
                networks.load_pretrained(network)
            except networks.WeightsUnavailable as error:
                raise RecipeError(f'weights: {error}') from None
    return network


def credits_of(recipe: Recipe, model: Path | None = None) -> tuple[str, ...]:
    """Return the credits for the weights that a run starts from, and for their training data.

    Parameters
    ----------
    recipe : Recipe
        Its network and weights.
    model : Path, optional
        As for `new_network`. If the file cannot be found any more, there are no credits.
    """
    if recipe.weights == 'random':
        return ()
    if recipe.weights == 'pretrained':
        return (networks.credit(recipe.network),)
    try:
        return read_card(catalog.resolve(recipe.weights) if model is None else model).attribution
    except (CheckpointError, OSError):
        return ()


def _from_model(recipe: Recipe, labels: Sequence[str], model: Path | None) -> StagedNetwork:
    """Take the stages of a model, and its head if the classes are the same."""
    if model is None and is_hashed(recipe.weights):
        name = recipe.weights.partition('@')[0]
        raise RecipeError(
            f'weights: the recipe starts from a file of the model {name!r}, which is not among '
            'your models; set weights to that file.'
        )
    try:
        stored = load(catalog.resolve(recipe.weights) if model is None else model)
        card = stored.card
        if (card.architecture, card.channels) != (recipe.network, recipe.input.channels):
            raise RecipeError(
                f'weights: the model {card.name!r} is a {card.architecture} with {card.channels} '
                'channel(s); set network and input.channels to match.'
            )
        network = stored.network().train()
        size = (recipe.input.height, recipe.input.width)
        head = head_entries(recipe)
        if (tuple(labels), head, size) == (card.labels, card.head, network.size):
            return network
        return networks.extend(network, len(labels), head, size)
    except (CheckpointError, ValueError, OSError) as error:
        raise RecipeError(f'weights: {error}') from None


#: Bytes of outputs for one split: cached in memory up to the first limit (the GPU's, if there
#: is enough), on disk up to the second; beyond it they are computed again in each epoch.
_IN_MEMORY = 1 << 30

_ON_DISK = 16 << 30


class FrozenOutputCache:
    """Outputs of frozen stages for some items, one row each.

    They are computed in batches of sorted items, so they do not depend on the order in which
    an epoch uses them, and a resumed run gets the same.

    Parameters
    ----------
    items : ndarray of int
        Which; see `napari_cxr.training.run_data`.
    """

    def __init__(self, items: np.ndarray) -> None:
        self.items = np.unique(items)
        self.tensors: tuple[Tensor, ...] = ()
        self.fits = True

    def fill(
        self, compute: Callable[[np.ndarray], tuple[Tensor, ...]], batch: int, folder: Path
    ) -> Iterator[tuple[int, int]]:
        """Compute all rows.

        Parameters
        ----------
        compute : callable
            Returns tensors for items, with a row for each.
        batch : int
            Number of items at once.
        folder : Path
            Where a file may be stored, if they do not fit into memory.

        Yields
        ------
        tuple of int
            Items done, and items in all. It ends early if all rows would take too much
            space; `fits` is then False.
        """
        total, done = len(self.items), 0
        while done < total:
            tensors = compute(self.items[done : done + batch])
            if not done:
                size = sum(t[0].numel() * t.element_size() for t in tensors) * total
                on_disk = size > _IN_MEMORY
                # A full disk under a mapped file would end the process.
                most = min(_ON_DISK, shutil.disk_usage(folder).free // 2) if on_disk else size
                self.fits = size <= most
                if not self.fits:
                    return
                where = tensors[0].device if fits_in_memory(tensors[0].device, size) else 'cpu'
                self.tensors = tuple(
                    _on_disk(t, total, folder)
                    if on_disk
                    else torch.empty((total, *t.shape[1:]), dtype=t.dtype, device=where)
                    for t in tensors
                )
            for stored, tensor in zip(self.tensors, tensors, strict=True):
                stored[done : done + len(tensor)] = tensor
            done = min(total, done + batch)
            yield done, total

    def rows(self, items: np.ndarray, device: torch.device) -> tuple[Tensor, ...]:
        """Return the rows of some items."""
        rows = torch.from_numpy(np.searchsorted(self.items, items))
        return tuple(tensor[rows.to(tensor.device)].to(device) for tensor in self.tensors)


def _on_disk(like: Tensor, rows: int, folder: Path) -> Tensor:
    """Return a tensor of as many rows, in a file that is deleted with the process."""
    shape = (rows, *like.shape[1:])
    numel = int(np.prod(shape))
    path = folder / f'.features-{os.getpid()}-{os.urandom(4).hex()}.part'
    stored = torch.from_file(str(path), shared=True, size=numel, dtype=like.dtype)
    if os.name != 'nt':  # the mapped file stays readable; on Windows a later run deletes it
        path.unlink()
    return stored.reshape(shape)


def frozen_stages(network: StagedNetwork, recipe: Recipe, epoch: int) -> tuple[str, ...]:
    """Return the stages that are frozen in an epoch, counted from 0.

    Raises
    ------
    RecipeError
        If the recipe names a stage that is none.
    """
    plan, names = recipe.freeze, network.stage_names
    if plan.up_to == 'nothing':
        return ()
    if plan.up_to == 'everything':
        frozen = names
    elif plan.up_to in names:
        frozen = names[: names.index(plan.up_to) + 1]
    else:
        raise RecipeError(
            f'freeze.up_to: {recipe.network} has no stage {plan.up_to!r}; '
            f"take 'nothing', 'everything' or one of {', '.join(names)}."
        )
    if not plan.thaw_after or epoch < plan.thaw_after:
        return frozen
    if not plan.thaw_every:
        return ()
    thawed = 1 + (epoch - plan.thaw_after) // plan.thaw_every
    return frozen[: max(0, len(frozen) - thawed)]


def freeze(network: StagedNetwork, frozen: tuple[str, ...]) -> None:
    """Put a network into training mode, except its frozen stages.

    Their batch norm uses its running statistics without updating them, and they get no
    gradient.
    """
    network.train()
    for name, stage in network.stages.items():
        stage.requires_grad_(name not in frozen)
        if name in frozen:
            stage.eval()


def reads_channel_means(head: nn.Module) -> bool:
    """Return whether a head reads the mean of each channel and nothing else.

    It can then be given a map of one cell that contains these means.
    """
    if isinstance(head, SingleOutput):
        return reads_channel_means(head.inner)
    if isinstance(head, nn.Sequential) and len(head):
        first = head[0]
        return isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size in (1, (1, 1))
    return isinstance(head, AverageLinear)


class TrainablePart(nn.Module):
    """The part of a network that follows a frozen stage, or all of it."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, after: str, x: Tensor, *earlier: Tensor) -> Tensor:
        """Return logits of images, or of outputs of the stage `after` (and of `earlier` ones)."""
        if after:
            feature_map, read = self.network.features_from(after, x, *earlier)
        else:
            feature_map, read = self.network.features(x)
        logits: Tensor = self.network.head(feature_map, *read)
        return logits


class FrozenStages:
    """The frozen stages of a run, and their outputs for its images.

    Where their inputs repeat (no augmentation, a limited number of views, or doubled copies
    that stay the same), the outputs are computed once.

    Parameters
    ----------
    network : StagedNetwork
        The network.
    inputs : NetworkInputs
        The images.
    items : EpochItems
        The items of an epoch.
    recipe : Recipe
        Its sections freeze and augmentation, and the batch.
    device : torch.device
        Where the network computes.
    folder : Path
        Where a file may be stored, if they do not fit into memory.

    Attributes
    ----------
    names : tuple of str
        The stages that are frozen now.
    """

    def __init__(
        self,
        network: StagedNetwork,
        inputs: NetworkInputs,
        items: EpochItems,
        recipe: Recipe,
        device: torch.device,
        folder: Path,
    ) -> None:
        self._network, self._inputs, self._items = network, inputs, items
        self._recipe, self._device, self._folder = recipe, device, folder
        self._precision = precision_of(recipe.precision, device)
        self._outputs: dict[str, FrozenOutputCache] = {}
        self.names: tuple[str, ...] = ()
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Freeze the stages that an epoch freezes, and make the rest trainable."""
        names = frozen_stages(self._network, self._recipe, epoch)
        freeze(self._network, names)
        if names != self.names:
            self._outputs.clear()
        self.names, self._epoch = names, epoch
        whole = names == self._network.stage_names
        augmentation = self._recipe.augmentation
        views = self._recipe.freeze.views if whole else 0
        # Whether the inputs of frozen stages repeat, and which view of them comes now.
        self._repeats = bool(views) or augmentation.doubled or not augmentation.changes
        self._view = epoch % views if views else 0
        self._averages = whole and reads_channel_means(self._network.head)

    def fill(self, validation: np.ndarray) -> Iterator[tuple[int, int]]:
        """Compute the outputs that repeat, once.

        Parameters
        ----------
        validation : ndarray of int
            Indices of the validation images.

        Yields
        ------
        tuple of int
            Images done, and images in all.
        """
        for name, items, compute, same in (
            (f'training {self._view}', self._items.items, self._of_items, self._repeats),
            ('validation', validation, self._of_places, True),
        ):
            if self.names and same and name not in self._outputs:
                output = FrozenOutputCache(items)
                yield from output.fill(compute, self._recipe.batch, self._folder)
                self._outputs[name] = output

    def inputs_for(self, items: np.ndarray) -> tuple[str, tuple[Tensor, ...]]:
        """Return the inputs of a `TrainablePart` for a training batch."""
        if not (self.names and self._repeats):
            return '', (self._inputs.augmented(items, self._epoch),)
        items = items % (2 * self._items.images)  # an item that is drawn again is the same
        output = self._cached(f'training {self._view}')
        if output is None:
            return '', (self._inputs.augmented(items, self._view),)
        return self.names[-1], output.rows(items, self._device)

    def validation_inputs_for(self, places: np.ndarray) -> tuple[str, tuple[Tensor, ...]]:
        """Return the inputs of a `TrainablePart` for validation images."""
        output = self._cached('validation')
        if output is None:
            return '', (self._inputs.unchanged(places),)
        return self.names[-1], output.rows(places, self._device)

    def _cached(self, name: str) -> FrozenOutputCache | None:
        output = self._outputs.get(name)
        return output if output is not None and output.fits else None

    def _of_items(self, items: np.ndarray) -> tuple[Tensor, ...]:
        with autocast(self._precision, self._device):
            return self._returned(self._inputs.augmented(items, self._view))

    def _of_places(self, places: np.ndarray) -> tuple[Tensor, ...]:
        return self._returned(self._inputs.unchanged(places))

    @torch.no_grad()
    def _returned(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return outputs of the frozen stages that the rest of the network needs."""
        first, *others = self._network.features_up_to(self.names[-1], x)
        if self._averages:
            first = first.mean(dim=(2, 3), keepdim=True)
        return first, *others
