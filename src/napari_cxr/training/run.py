"""Everything that changes while a run goes on, and one step of it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_cxr.metrics.calibration import log_loss
from napari_cxr.metrics.figures import confusion_matrix, memberships
from napari_cxr.metrics.validation import validation_figures
from napari_cxr.networks import StagedNetwork
from napari_cxr.training.colour import to_input
from napari_cxr.training.distributed import Ranks
from napari_cxr.training.evaluate import truth_of
from napari_cxr.training.events import EpochDone
from napari_cxr.training.frozen import FrozenOutput, averages, freeze, frozen_stages
from napari_cxr.training.losses import by_column, image_weights, loss_of_each
from napari_cxr.training.memory import fitting
from napari_cxr.training.optimisers import build_optimiser, set_rate
from napari_cxr.training.pace import Pace, Utilisation
from napari_cxr.training.recipe import Recipe, RecipeError
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
    folder : Path
        Where what frozen stages return may be kept, if it does not fit into memory.
    ranks : Ranks
        The processes that share it.
    progress : Progress
        How far it is.
    """

    network: StagedNetwork
    data: RunData
    recipe: Recipe
    device: torch.device
    folder: Path
    ranks: Ranks = Ranks()  # noqa: RUF009 -- frozen
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        recipe = self.recipe
        if self.device.type == 'cuda':
            torch.backends.cudnn.benchmark = True  # all batches but one are of one size
        self.network = self.ranks.synchronised(self.place(self.network), self.device)
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
        if len(self.items.items) // self.batches < self.ranks.count:
            raise RecipeError(
                f'batch: {recipe.batch} images cannot be shared by {self.ranks.count} processes.'
            )
        places = self.items.places(self.items.items)
        self.weights = image_weights(self.data.dataset, recipe.loss, places, self.items.often)
        self.pace = Pace(self.batches, len(self.data.split.val) / len(self.items.items))
        self.optimiser = build_optimiser(self.network, recipe)
        self.outputs: dict[str, FrozenOutput] = {}
        self.frozen: tuple[str, ...] = ('not yet known',)
        self._freeze()

    @property
    def finished(self) -> bool:
        """Whether no epoch is to come: the last is done, or waiting for better was in vain."""
        patience = self.recipe.stopping.patience
        tired = bool(patience) and self.progress.waited >= patience
        return self.progress.epoch >= self.recipe.epochs or tired

    def settle(self) -> Iterator[tuple[int, int]]:
        """Freeze what this epoch freezes, and compute once what then stays the same.

        Yields
        ------
        tuple of int
            Images that are done, of how many.
        """
        self._freeze()
        if not self.frozen or not self._repeats:
            return
        for name, items, compute in (
            (f'training {self._view}', self.items.items, self._frozen_training),
            ('validation', self.data.split.val, self._frozen_validation),
        ):
            if name not in self.outputs:
                output = FrozenOutput(items)
                yield from output.fill(compute, self.recipe.batch, self.folder)
                self.outputs[name] = output

    def steps(self) -> Iterator[Step]:
        """Take what is left of one pass over the training images; `settle` comes before."""
        now = self.progress
        parts = self.items.epoch(now.epoch)
        freeze(self.network, self.frozen)  # a validation may have been in between
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
        logits = self._validated()
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
        parts = np.array_split(places, max(1, math.ceil(len(places) / self.recipe.batch)))
        with fitting(self.recipe, self.device):
            return np.concatenate([self._answers(network, part) for part in parts])

    def _answers(self, network: StagedNetwork, places: np.ndarray) -> np.ndarray:
        x = to_input(self._images(places), self.recipe.input)
        answers: np.ndarray = network(x).float().cpu().numpy()
        return answers

    def _freeze(self) -> None:
        frozen = frozen_stages(self.network, self.recipe, self.progress.epoch)
        freeze(self.network, frozen)
        if frozen != self.frozen:
            self.outputs.clear()
            self.learner = self.ranks.shared(_Learner(self.network), self.device)
        self.frozen = frozen
        augmentation = self.recipe.augmentation
        views = self.recipe.freeze.views if len(frozen) == len(self.network.stages) else 0
        # Whether frozen stages see what they have seen before, and which view of it.
        self._repeats = bool(views) or augmentation.doubled or not augmentation.changes
        self._view = self.progress.epoch % views if views else 0
        self._averages = averages(self.network.head) and len(frozen) == len(self.network.stages)

    def _once(self, items: np.ndarray) -> np.ndarray:
        """Return items without the number that tells apart draws of one image."""
        return items % (2 * self.items.images)

    def _output(self, name: str) -> FrozenOutput | None:
        output = self.outputs.get(name)
        return output if output is not None and output.fits else None

    def _kept(self, network: StagedNetwork, x: Tensor) -> tuple[Tensor, ...]:
        """Return what the frozen stages return and the rest of the network needs."""
        first, *others = network.features_up_to(self.frozen[-1], x)
        if self._averages:
            first = first.mean(dim=(2, 3), keepdim=True)
        return first, *others

    def _frozen_training(self, items: np.ndarray) -> tuple[Tensor, ...]:
        with fitting(self.recipe, self.device), torch.no_grad(), self._autocast():
            return self._kept(self.network, self._seen(items, self._view))

    def _frozen_validation(self, places: np.ndarray) -> tuple[Tensor, ...]:
        with fitting(self.recipe, self.device), torch.no_grad():
            return self._kept(self.network, to_input(self._images(places), self.recipe.input))

    def _autocast(self) -> torch.autocast:
        enabled = self.precision is not None
        return torch.autocast(self.device.type, self.precision, enabled=enabled)

    def _seen(self, items: np.ndarray, epoch: int) -> Tensor:
        """Return the network's input: images as an epoch changes them."""
        images = self._images(self.items.places(items))
        return to_input(self.items.augment(images, items, epoch), self.recipe.input)

    def _taken(self, items: np.ndarray) -> tuple[str, tuple[Tensor, ...]]:
        """Return what the learner is given for a batch: see `_Learner`."""
        if not (self.frozen and self._repeats):
            return '', (self._seen(items, self.progress.epoch),)
        items = self._once(items)
        output = self._output(f'training {self._view}')
        if output is None:
            return '', (self._seen(items, self._view),)
        return self.frozen[-1], output.of(items, self.device)

    @torch.no_grad()
    def _validated(self) -> np.ndarray:
        """Return the logits of the validation images."""
        output, everything = self._output('validation'), self.data.split.val
        places = everything[self.ranks.part(len(everything))]
        if output is None:
            rows = self.logits(self.judged, places)
        else:
            judged = _Learner(self.judged).eval()
            parts = np.array_split(places, max(1, math.ceil(len(places) / self.recipe.batch)))
            given = (output.of(part, self.device) for part in parts)
            rows = torch.cat([judged(self.frozen[-1], *g) for g in given]).float().cpu().numpy()
        on_device = torch.from_numpy(rows).to(self.device)
        return self.ranks.gathered(on_device, len(everything)).cpu().numpy()

    def _step(self, items: np.ndarray) -> tuple[float, np.ndarray]:
        """Take one step; return the loss and the logits of the whole batch."""
        recipe, ranks = self.recipe, self.ranks
        own = items[ranks.part(len(items))]
        places = self.items.places(own)
        after, given = self._taken(own)
        y = torch.from_numpy(self.targets[places]).to(self.device)
        w = torch.from_numpy(self.weights[places]).to(self.device)
        devices = [self.device] if self.device.type == 'cuda' else []
        with torch.random.fork_rng(devices=devices):
            # Dropout depends on the step alone, so a resumed run draws the same.
            torch.manual_seed((ranks.rank << 52) + (recipe.seed << 20) + self.progress.step)
            with self._autocast():
                logits = self.learner(after, *given)
        logits = logits.float()
        # As in Keras: weights do not divide the sum, or a rare class would count less.
        each = loss_of_each(logits, y, recipe.loss, self.columns) * w
        self.optimiser.zero_grad(set_to_none=True)
        # The mean over the whole batch, however its parts are sized: between processes the
        # mean of the gradients is taken.
        (each.sum() * (ranks.count / len(items))).backward()
        self.optimiser.step()
        if self.judged is not self.network:
            self._average()
        rows = torch.cat([logits, each[:, None]], dim=1).detach()
        answers = ranks.gathered(rows, len(items)).cpu().numpy()
        return float(answers[:, -1].astype(np.float64).mean()), answers[:, :-1]

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


class _Learner(nn.Module):
    """The part of a network that follows a frozen stage, or all of it."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, after: str, x: Tensor, *earlier: Tensor) -> Tensor:
        """Return logits of images, or of what the stage `after` and others returned of them."""
        if after:
            feature_map, read = self.network.features_from(after, x, *earlier)
        else:
            feature_map, read = self.network.features(x)
        logits: Tensor = self.network.head(feature_map, *read)
        return logits


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
