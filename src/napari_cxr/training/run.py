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

from napari_cxr.metrics.calibration import log_loss
from napari_cxr.metrics.figures import confusion_matrix, memberships
from napari_cxr.metrics.validation import validation_figures
from napari_cxr.networks import StagedNetwork
from napari_cxr.training.colour import to_input
from napari_cxr.training.evaluate import truth_of
from napari_cxr.training.events import EpochDone
from napari_cxr.training.losses import by_column, image_weights, loss_of_each
from napari_cxr.training.memory import fitting
from napari_cxr.training.optimisers import build_optimiser, set_rate
from napari_cxr.training.pace import Pace, Utilisation
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_data import RunData
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.sampling import Items
from napari_cxr.training.schedule import share_of_rate

__all__ = ['Progress', 'Run', 'Step']


@dataclass(frozen=True)
class Step:
    """One step: its batch from 1, loss, images a second, and seconds to the run's end."""

    batch: int
    loss: float
    speed: float
    seconds_left: float


@dataclass
class Progress:
    """How far a run is: with weights and optimiser, all that a resumed run must get back.

    Parameters
    ----------
    epoch, step : int
        Passes and steps that are done.
    batch : int
        Steps of the unfinished epoch that are done.
    loss : float
        Sum over the images of that epoch.
    seconds : float
        That it took so far.
    logits : list of ndarray
        Of its batches.
    best : float
        Highest figure of selection so far, and `best_epoch` when that was.
    least, waited
        Highest figure of stopping so far, and epochs since then.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    logits: list[np.ndarray] = field(default_factory=list)
    best: float = -math.inf
    best_epoch: int = 0
    least: float = -math.inf
    waited: int = 0


@dataclass(eq=False)
class Run:
    """A run between two steps.

    Parameters
    ----------
    network : StagedNetwork
        As `new_network` made it.
    data, recipe
        What is trained on, and how.
    device : torch.device
        Where.
    progress : Progress
        How far it is.
    """

    network: StagedNetwork
    data: RunData
    recipe: Recipe
    device: torch.device
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.network = self.place(self.network)
        self.judged = self.network
        if recipe.selection.average:
            self.judged = copy.deepcopy(self.network).requires_grad_(False)
        self.precision = _precision(recipe.precision, self.device)
        self.several = self.data.dataset.several
        self.columns = by_column(recipe, self.several)
        self.truth = truth_of(self.data.dataset)
        self.targets = memberships(self.truth, len(self.data.dataset.labels)).astype(np.float32)
        self.items = Items.of(self.data.dataset, self.data.split, recipe)
        self.batches = self.items.batches
        places = self.items.places(self.items.items)
        self.weights = image_weights(self.data.dataset, recipe.loss, places, self.items.often)
        self.pace = Pace(self.batches, len(self.data.split.val) / len(self.items.items))
        self.optimiser = build_optimiser(self.network, recipe)

    @property
    def finished(self) -> bool:
        """Whether no epoch is to come: the last is done, or waiting for better was in vain."""
        patience = self.recipe.stopping.patience
        tired = bool(patience) and self.progress.waited >= patience
        return self.progress.epoch >= self.recipe.epochs or tired

    def steps(self) -> Iterator[Step]:
        """Take what is left of one pass over the training images."""
        now = self.progress
        parts = self.items.epoch(now.epoch)
        self.utilisation = Utilisation(self.device)
        for number in range(now.batch + 1, self.batches + 1):
            items = parts[number - 1]
            started = time.perf_counter()
            set_rate(self.optimiser, self._rate())
            with fitting(self.recipe, self.device):
                loss, logits = self._step(items)
            if not math.isfinite(loss):
                raise TrainingError(
                    f'The loss is no longer a number in epoch {now.epoch + 1}; '
                    'take a lower learning rate, or precision float32.'
                )
            took = time.perf_counter() - started
            self.utilisation.look()
            self.pace.stepped(took)
            now.batch, now.step = number, now.step + 1
            now.loss += loss * len(items)
            now.seconds += took
            now.logits.append(logits)
            left = self.pace.seconds_left(number, self.recipe.epochs - now.epoch - 1)
            yield Step(number, loss, len(items) / took, left)

    def finish_epoch(self, run: str) -> EpochDone:
        """Validate, and say whether the weights are the best so far."""
        now, recipe = self.progress, self.recipe
        started = time.perf_counter()
        epoch = now.epoch + 1
        items = np.concatenate(self.items.epoch(now.epoch))
        learnt = self.figures(self.items.places(items), np.concatenate(now.logits))
        logits = self.logits(self.judged, self.data.split.val)
        if not np.isfinite(logits).all():
            raise TrainingError(
                f'The network answers with what is no number after epoch {epoch}; '
                'take a lower learning rate, or precision float32.'
            )
        figures = self.figures(self.data.split.val, logits)
        score = self._score(figures, 'selection', recipe.selection.metric, epoch)
        best = score > now.best
        if best:
            now.best, now.best_epoch = score, epoch
        if recipe.stopping.patience:
            score = self._score(figures, 'stopping', recipe.stopping.metric, epoch)
            now.waited = 0 if score > now.least else now.waited + 1
            now.least = max(score, now.least)
        took = time.perf_counter() - started
        self.pace.validated(took)
        event = EpochDone(
            run=run,
            epoch=epoch,
            epochs=recipe.epochs,
            train_loss=now.loss / len(items),
            train_accuracy=learnt['accuracy'],
            train_macro_auc=learnt['macro_auc'],
            val_loss=figures['loss'],
            val_accuracy=figures['accuracy'],
            val_balanced_accuracy=figures['balanced_accuracy'],
            val_macro_auc=figures['macro_auc'],
            val_macro_f1=figures['macro_f1'],
            learning_rate=recipe.optimiser.learning_rate * self._share(now.step - 1),
            seconds=now.seconds + took,
            utilisation=self.utilisation.share(),
            best=best,
            confusion=() if self.several else _confusion(self.truth[self.data.split.val], logits),
        )
        now.epoch, now.batch, now.loss, now.seconds, now.logits = epoch, 0, 0.0, 0.0, []
        return event

    def figures(self, places: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """Measure logits of some images; the loss is the one that is minimised, unweighted."""
        figures = validation_figures(self.truth[places], logits, self.several)
        if self.columns:
            figures['loss'] = log_loss(self.targets[places] > 0, logits)
        return figures

    def place(self, network: StagedNetwork) -> StagedNetwork:
        """Return a network where and as this run computes."""
        return network.to(memory_format=torch.channels_last).to(self.device)

    @torch.no_grad()
    def logits(self, network: StagedNetwork, places: np.ndarray) -> np.ndarray:
        """Return the logits of images as they are, in single precision, shape (n, classes)."""
        network = network.eval()
        parts = np.array_split(places, math.ceil(len(places) / self.recipe.batch))
        with fitting(self.recipe, self.device):
            return np.concatenate([self._answers(network, part) for part in parts])

    def _answers(self, network: StagedNetwork, places: np.ndarray) -> np.ndarray:
        x = to_input(self._images(places), self.recipe.input)
        answers: np.ndarray = network(x).float().cpu().numpy()
        return answers

    def _step(self, items: np.ndarray) -> tuple[float, np.ndarray]:
        recipe, places = self.recipe, self.items.places(items)
        self.network.train()
        images = self.items.augment(self._images(places), items, self.progress.epoch)
        x = to_input(images, recipe.input)
        y = torch.from_numpy(self.targets[places]).to(self.device)
        w = torch.from_numpy(self.weights[places]).to(self.device)
        devices = [self.device] if self.device.type == 'cuda' else []
        with torch.random.fork_rng(devices=devices):
            # Dropout depends on the step alone, so a resumed run draws the same.
            torch.manual_seed((recipe.seed << 20) + self.progress.step)
            with torch.autocast(
                self.device.type, self.precision, enabled=self.precision is not None
            ):
                logits = self.network(x)
        logits = logits.float()
        # As in Keras: weights do not divide the sum, or a rare class would count less.
        loss = (loss_of_each(logits, y, recipe.loss, self.columns) * w).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        if self.judged is not self.network:
            self._average()
        return float(loss.detach()), logits.detach().cpu().numpy()

    @torch.no_grad()
    def _average(self) -> None:
        # Young averages would remember the random start, so the decay grows to its value.
        step = self.progress.step + 1
        decay = min(self.recipe.selection.average, (1 + step) / (10 + step))
        for kept, new in zip(
            self.judged.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _images(self, places: np.ndarray) -> Tensor:
        images = self.data.images(places)
        # torch computes little with 16-bit integers, so they become floats here.
        whole = images.astype(np.float32) if images.dtype == np.uint16 else images
        largest = float(np.iinfo(images.dtype).max)
        return torch.from_numpy(whole).to(self.device)[:, None].float() / largest

    def _rate(self) -> float:
        return self.recipe.optimiser.learning_rate * self._share(self.progress.step)

    def _share(self, step: int) -> float:
        recipe, done = self.recipe, step / self.batches
        return share_of_rate(recipe.schedule, done, recipe.epochs, 1 / self.batches)

    def _score(self, figures: dict[str, float], table: str, metric: str, epoch: int) -> float:
        score = -figures[metric] if metric == 'loss' else figures[metric]
        if not math.isfinite(score):
            raise TrainingError(
                f'The validation figure {metric!r} is no number after epoch {epoch}; '
                f'choose another figure ({table}.metric), or take a lower learning rate.'
            )
        return score


def _confusion(truth: np.ndarray, logits: np.ndarray) -> tuple[tuple[int, ...], ...]:
    cells = confusion_matrix(truth, logits.argmax(axis=1), logits.shape[1])
    return tuple(tuple(int(c) for c in row) for row in cells)


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
