"""Everything that changes while a run goes on, and one step of it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_cxr import networks
from napari_cxr.metrics.calibration import log_loss, softmax
from napari_cxr.metrics.figures import accuracy, balanced_accuracy, confusion_matrix, macro_auc
from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.cache import Cache
from napari_cxr.training.colour import to_input
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.evaluate import truth_of
from napari_cxr.training.events import EpochDone
from napari_cxr.training.recipe import LossRecipe, Recipe, RecipeError, ScheduleRecipe
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.splits import Split

__all__ = ['Run', 'image_weights', 'new_network', 'share_of_rate']


def new_network(recipe: Recipe, classes: int) -> torch.nn.Module:
    """Build a recipe's network, its weights drawn from the recipe's seed alone.

    Raises
    ------
    RecipeError
        If there is no such network.
    """
    # Only the creation draws from torch's global state, and gives it back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        try:
            return networks.create(recipe.network, classes, recipe.input.channels)
        except ValueError as error:
            raise RecipeError(f'network: {error}') from None


@dataclass(eq=False)
class Run:
    """A run between two steps; its fields are what a resumed run must get back.

    Parameters
    ----------
    network : Module
        As `new_network` made it.
    dataset, recipe, split, cache
        What is trained on, and how.
    device : torch.device
        Where.
    epoch, step : int
        Passes and steps that are done.
    best : float
        Highest validation figure so far, and `best_epoch` when that was.
    """

    network: torch.nn.Module
    dataset: Dataset
    recipe: Recipe
    split: Split
    cache: Cache
    device: torch.device
    epoch: int = 0
    step: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    precision: torch.dtype | None = None
    sums: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.network = self.place(self.network)
        self.judged = self.network
        if recipe.selection.average:
            self.judged = copy.deepcopy(self.network).requires_grad_(False)
        self.precision = _precision(recipe.precision, self.device)
        self.truth = truth_of(self.dataset)
        self.weights = image_weights(self.dataset, self.split, recipe.loss)
        self.batches = math.ceil(len(self.split.train) / recipe.batch)
        decaying = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {'params': decaying, 'weight_decay': recipe.optimiser.weight_decay},
                {'params': others, 'weight_decay': 0.0},
            ],
            lr=recipe.optimiser.learning_rate,
        )

    def steps(self) -> Iterator[tuple[int, float, float]]:
        """Take one pass over the training images; yield batch, loss and images a second."""
        recipe = self.recipe
        random = np.random.default_rng((recipe.seed, self.epoch))
        # Batches of equal size: no last batch of one image, which batch norm cannot use.
        parts = np.array_split(random.permutation(self.split.train), self.batches)
        self.sums = {'loss': 0.0, 'right': 0.0}
        for number, places in enumerate(parts, start=1):
            started = time.perf_counter()
            for group in self.optimiser.param_groups:
                group['lr'] = self._rate()
            loss, right = self._step(places)
            if not math.isfinite(loss):
                raise TrainingError(
                    f'The loss is no longer a number in epoch {self.epoch + 1}; '
                    'take a lower learning rate, or precision float32.'
                )
            self.sums['loss'] += loss * len(places)
            self.sums['right'] += right
            yield number, loss, len(places) / (time.perf_counter() - started)

    def finish_epoch(self, run: str, seconds: float) -> EpochDone:
        """Validate, and say whether the weights are the best so far."""
        self.epoch += 1
        places = self.split.val
        started = time.perf_counter()
        truth, logits = self.truth[places], self.logits(self.judged, places)
        if not np.isfinite(logits).all():
            raise TrainingError(
                f'The network answers with what is no number after epoch {self.epoch}; '
                'take a lower learning rate, or precision float32.'
            )
        probabilities = softmax(logits)
        confusion = confusion_matrix(truth, probabilities.argmax(1), logits.shape[1])
        figures = {
            'loss': log_loss(truth, logits),
            'accuracy': float(accuracy(confusion)),
            'balanced_accuracy': float(balanced_accuracy(confusion)),
            'macro_auc': float(macro_auc(truth, probabilities)),
        }
        metric = self.recipe.selection.metric
        score = -figures[metric] if metric == 'loss' else figures[metric]
        if not math.isfinite(score):
            raise TrainingError(
                f'The validation figure {metric!r} is no number after epoch {self.epoch}; '
                'choose the best epoch by another figure (selection.metric), or take a lower '
                'learning rate.'
            )
        best = score > self.best
        if best:
            self.best, self.best_epoch = score, self.epoch
        n = len(self.split.train)
        return EpochDone(
            run=run,
            epoch=self.epoch,
            epochs=self.recipe.epochs,
            train_loss=self.sums['loss'] / n,
            train_accuracy=self.sums['right'] / n,
            train_macro_auc=math.nan,
            val_loss=figures['loss'],
            val_accuracy=figures['accuracy'],
            val_balanced_accuracy=figures['balanced_accuracy'],
            val_macro_auc=figures['macro_auc'],
            val_macro_f1=math.nan,
            learning_rate=self.optimiser.param_groups[0]['lr'],
            seconds=seconds + time.perf_counter() - started,
            utilisation=math.nan,
            best=best,
            confusion=tuple(tuple(int(c) for c in row) for row in confusion),
        )

    def place(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return a network where and as this run computes."""
        return network.to(memory_format=torch.channels_last).to(self.device)

    @torch.no_grad()
    def logits(self, network: torch.nn.Module, places: np.ndarray) -> np.ndarray:
        """Return the logits of images as they are, in single precision, shape (n, classes)."""
        network = network.eval()
        rows = [
            network(self._input(self._images(part))).float().cpu().numpy()
            for part in np.array_split(places, math.ceil(len(places) / self.recipe.batch))
        ]
        return np.concatenate(rows)

    def _step(self, places: np.ndarray) -> tuple[float, float]:
        recipe = self.recipe
        self.network.train()
        changes = draw(recipe.augmentation, recipe.seed, self.epoch, places.tolist())
        x = self._input(augment(self._images(places), changes))
        y = torch.from_numpy(self.truth[places]).to(self.device)
        w = torch.from_numpy(self.weights[places]).to(self.device)
        devices = [self.device] if self.device.type == 'cuda' else []
        with torch.random.fork_rng(devices=devices):
            # Dropout depends on the step alone, so a resumed run draws the same.
            torch.manual_seed((recipe.seed << 20) + self.step)
            with torch.autocast(
                self.device.type, self.precision, enabled=self.precision is not None
            ):
                logits = self.network(x)
        logits = logits.float()
        each = functional.cross_entropy(
            logits, y, reduction='none', label_smoothing=recipe.loss.label_smoothing
        )
        loss = (each * w).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        if self.judged is not self.network:
            self._average()
        return float(loss.detach()), float((logits.detach().argmax(1) == y).sum())

    @torch.no_grad()
    def _average(self) -> None:
        # Young averages would remember the random start, so the decay grows to its value.
        decay = min(self.recipe.selection.average, (1 + self.step) / (10 + self.step))
        for kept, new in zip(
            self.judged.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _images(self, places: np.ndarray) -> Tensor:
        images = torch.from_numpy(self.cache.images[places]).to(self.device)
        return images[:, None].float() / 255

    def _input(self, images: Tensor) -> Tensor:
        return to_input(images, self.recipe.input)

    def _rate(self) -> float:
        done = self.step / self.batches
        return self.recipe.optimiser.learning_rate * share_of_rate(
            self.recipe.schedule, done, self.recipe.epochs, 1 / self.batches
        )


def share_of_rate(schedule: ScheduleRecipe, done: float, epochs: int, step: float) -> float:
    """Return the learning rate after `done` epochs, as a share of the highest."""
    if done < schedule.warm_up:
        return min(1.0, (done + step) / schedule.warm_up)
    if schedule.name == 'constant':
        return 1.0
    # Loshchilov and Hutter, ICLR 2017, equation 5, one cycle down to zero.
    return 0.5 * (1 + math.cos(math.pi * (done - schedule.warm_up) / (epochs - schedule.warm_up)))


def image_weights(dataset: Dataset, split: Split, recipe: LossRecipe) -> np.ndarray:
    """Return how much each image counts; the mean over the training images is 1."""
    weights = np.ones(len(dataset.samples), dtype=np.float32)
    if recipe.weights == 'none':
        return weights
    keys = [
        (s.label, s.source if recipe.weights == 'class and source' else '')
        for s in dataset.samples
    ]
    counts: dict[tuple[str, str], int] = {}
    for i in split.train:
        counts[keys[i]] = counts.get(keys[i], 0) + 1
    cells = {label: sum(key[0] == label for key in counts) for label in dataset.labels}
    for i in split.train:
        label = keys[i][0]
        weights[i] = len(split.train) / (len(cells) * cells[label] * counts[keys[i]])
    return weights


def _precision(wanted: str, device: torch.device) -> torch.dtype | None:
    if wanted == 'float32':
        return None
    if wanted == 'bfloat16':
        return torch.bfloat16
    if device.type == 'cuda':
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    if device.type == 'cpu':
        # Without the instructions bfloat16 is emulated, and slower than single precision.
        known: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
        return torch.bfloat16 if known.get('avx512_bf16') or known.get('amx_bf16') else None
    return None
