"""A training run between two steps: everything that changes, one step, and one validation."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_cxr.inference.device import is_out_of_memory
from napari_cxr.metrics.calibration import log_loss
from napari_cxr.metrics.classification import confusion_matrix, one_hot, validation_metrics
from napari_cxr.networks import StagedNetwork
from napari_cxr.training.distributed import Ranks
from napari_cxr.training.inference_images import inference_images
from napari_cxr.training.model_evaluation import known_labels, true_labels
from napari_cxr.training.network_setup import FrozenStages, TrainablePart, freeze
from napari_cxr.training.optimization import (
    autocast,
    build_optimiser,
    classes_within,
    image_losses,
    image_weights,
    loss_within,
    precision_of,
    rate_fraction,
    seeded,
    set_learning_rate,
    update_average,
    uses_sigmoid,
)
from napari_cxr.training.recipe import Recipe, RecipeError
from napari_cxr.training.run_data import EpochItems, NetworkInputs, RunData
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.training_events import (
    EpochDone,
    RunProgress,
    TimeEstimate,
    TrainingStep,
    Utilisation,
)

__all__ = ['TrainingRun', 'explain_out_of_memory']


@contextmanager
def explain_out_of_memory(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Turn a lack of memory into a sentence that says what to do.

    Raises
    ------
    TrainingError
        If the body of the context runs out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is one of these
        if not is_out_of_memory(error):
            raise
        where = 'this computer' if device.type == 'cpu' else f'the GPU ({device})'
        raise TrainingError(
            f'A batch of {recipe.batch} images of {recipe.input.height} x {recipe.input.width} '
            f'pixels does not fit into the memory of {where}: start a new run with a smaller '
            'batch (batch) or smaller images (input.height, input.width). The model so far is '
            'saved; this run can only be resumed as it is, with more memory.'
        ) from error


@dataclass(eq=False)
class TrainingRun:
    """A run between two steps.

    Parameters
    ----------
    network : StagedNetwork
        As `new_network` made it.
    data, recipe
        The images and the recipe.
    device : torch.device
        Where the network is trained.
    folder : Path
        Where outputs of frozen stages may be stored, if they do not fit into memory.
    ranks : Ranks
        The processes that share the run.
    progress : RunProgress
        Its progress.
    """

    network: StagedNetwork
    data: RunData
    recipe: Recipe
    device: torch.device
    folder: Path
    ranks: Ranks = Ranks()  # noqa: RUF009 -- frozen
    progress: RunProgress = field(default_factory=RunProgress)

    def __post_init__(self) -> None:
        recipe = self.recipe
        if self.device.type == 'cuda':
            torch.backends.cudnn.benchmark = True  # nearly all batches have the same size
        self.network = self.ranks.sync_batch_norm(self.to_device(self.network), self.device)
        self.evaluated = self.network
        if recipe.selection.average:
            self.evaluated = copy.deepcopy(self.network).requires_grad_(False)
        self.precision = precision_of(recipe.precision, self.device)
        self.multilabel = self.data.dataset.multilabel
        self.sigmoid = uses_sigmoid(recipe, self.multilabel)
        self.truth = true_labels(self.data.dataset)
        labels = self.data.dataset.labels
        self.targets = one_hot(self.truth, len(labels)).astype(np.float32)
        self.known = known_labels(self.data.dataset)
        self.targets[~self.known] = np.nan
        self.pos_weight = self._pos_weight(labels)
        self.items = EpochItems.of(self.data.dataset, self.data.split, recipe)
        self.batches = self.items.batches
        if len(self.items.items) // self.batches < self.ranks.count:
            raise RecipeError(
                f'batch: {self.ranks.count} processes cannot share {recipe.batch} images.'
            )
        places = self.items.places(self.items.items)
        self.weights = image_weights(self.data.dataset, recipe.loss, places, self.items.often)
        self.within_fraction = recipe.loss.within_source
        if self.within_fraction:
            self.within = classes_within(self.data.dataset, places)
            # Images of sources with one class cannot take part; the others count for them,
            # so that the fraction is what the recipe says.
            counted = self.weights[places] * self.items.often
            self.within_scale = float(
                counted.sum() / counted[self.within[places].any(axis=1)].sum()
            )
        self.time_estimate = TimeEstimate(
            self.batches, len(self.data.split.val) / len(self.items.items)
        )
        self.optimiser = build_optimiser(self.network, recipe)
        self.inputs = NetworkInputs(self.data, self.items, recipe, self.device)
        self.frozen = FrozenStages(
            self.network, self.inputs, self.items, recipe, self.device, self.folder
        )
        self._distribute_learner()

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or early stopping ran out of patience."""
        patience = self.recipe.stopping.patience
        stopped = bool(patience) and self.progress.waited >= patience
        return self.progress.epoch >= self.recipe.epochs or stopped

    def prepare_epoch(self) -> Iterator[tuple[int, int]]:
        """Freeze the stages that this epoch freezes, and cache their outputs where these repeat.

        Yields
        ------
        tuple of int
            Images done, and images in all.
        """
        before = self.frozen.names
        self.frozen.begin_epoch(self.progress.epoch)
        if self.frozen.names != before:
            self._distribute_learner()
        with explain_out_of_memory(self.recipe, self.device):
            yield from self.frozen.fill(self.data.split.val)

    def steps(self) -> Iterator[TrainingStep]:
        """Take the remaining steps of an epoch; call `prepare_epoch` first."""
        now = self.progress
        parts = self.items.epoch(now.epoch)
        freeze(self.network, self.frozen.names)  # a validation may have been in between
        self.utilisation = Utilisation(self.device)
        for number in range(now.batch + 1, self.batches + 1):
            items = parts[number - 1]
            started = time.perf_counter()
            set_learning_rate(self.optimiser, self._rate())
            with explain_out_of_memory(self.recipe, self.device):
                loss, logits = self._step(items)
            if not math.isfinite(loss):
                raise TrainingError(
                    f'The loss is not a finite number in epoch {now.epoch + 1}; '
                    'use a lower learning rate, or precision float32.'
                )
            took = time.perf_counter() - started
            self.utilisation.update()
            self.time_estimate.stepped(took)
            now.batch, now.step = number, now.step + 1
            now.loss += loss * len(items)
            now.seconds += took
            now.logits.append(logits)
            left = self.time_estimate.seconds_left(number, self.recipe.epochs - now.epoch - 1)
            yield TrainingStep(number, loss, len(items) / took, left)

    def finish_epoch(self, run: str) -> EpochDone:
        """Validate, and return whether the weights are the best so far."""
        now, recipe = self.progress, self.recipe
        started = time.perf_counter()
        epoch = now.epoch + 1
        items = np.concatenate(self.items.epoch(now.epoch))
        training = self.metrics(self.items.places(items), np.concatenate(now.logits))
        logits = self._validation_logits()
        if not np.isfinite(logits).all():
            raise TrainingError(
                f'The outputs of the network are not finite numbers after epoch {epoch}; '
                'use a lower learning rate, or precision float32.'
            )
        metrics = self.metrics(self.data.split.val, logits)
        score = self._score(metrics, 'selection', recipe.selection.metric, epoch)
        # Where a metric is saturated on few images, the loss still improves.
        loss = metrics['loss']
        best = (score, -loss) > (now.best, -now.best_loss)
        if best:
            now.best, now.best_loss, now.best_epoch = score, loss, epoch
        if recipe.stopping.patience:
            score = self._score(metrics, 'stopping', recipe.stopping.metric, epoch)
            if (score, -loss) > (now.least, -now.least_loss):
                now.least, now.least_loss, now.waited = score, loss, 0
            else:
                now.waited += 1
        took = time.perf_counter() - started
        self.time_estimate.validated(took)
        event = EpochDone(
            run=run,
            epoch=epoch,
            epochs=recipe.epochs,
            train_loss=now.loss / len(items),
            train_accuracy=training['accuracy'],
            train_macro_auc=training['macro_auc'],
            val_loss=metrics['loss'],
            val_accuracy=metrics['accuracy'],
            val_balanced_accuracy=metrics['balanced_accuracy'],
            val_macro_auc=metrics['macro_auc'],
            val_macro_f1=metrics['macro_f1'],
            learning_rate=recipe.optimiser.learning_rate * self._rate_fraction(now.step - 1),
            seconds=now.seconds + took,
            utilisation=self.utilisation.fraction(),
            best=best,
            confusion=()
            if self.multilabel
            else _confusion(self.truth[self.data.split.val], logits),
        )
        now.epoch, now.batch, now.loss, now.seconds, now.logits = epoch, 0, 0.0, 0.0, []
        return event

    def metrics(self, places: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """Return metrics of logits of some images.

        The loss is the one that is minimised, over all classes; not weighted, and without
        the part within sources.
        """
        known = self.known[places]
        metrics = validation_metrics(self.truth[places], logits, self.multilabel, known)
        if self.sigmoid:
            metrics['loss'] = log_loss(self.targets[places] > 0, logits, known=known)
        return metrics

    def _pos_weight(self, labels: Sequence[str]) -> Tensor | None:
        """Return by how much more images with a label count for it; None for no more."""
        given = self.recipe.loss.pos_weight
        if not given:
            return None
        if not self.multilabel:
            raise RecipeError(
                'loss.pos_weight is for images that can have several labels; these have one each. '
                'Use loss.class_weights.'
            )
        if unknown := [label for label in given if label not in labels]:
            raise RecipeError(
                f'loss.pos_weight names the label {unknown[0]!r}, which does not exist; the '
                f'labels are {", ".join(labels)}.'
            )
        return torch.tensor([given.get(label, 1.0) for label in labels], device=self.device)

    def to_device(self, network: StagedNetwork) -> StagedNetwork:
        """Return a network on this run's device, in its memory format."""
        return network.to(memory_format=torch.channels_last).to(self.device)

    def inference_logits(self, network: StagedNetwork, places: np.ndarray) -> np.ndarray:
        """Return the logits of images as the model will see them in use, shape (n, classes)."""
        network, prepared = network.eval(), self.recipe.input

        def compute(part: np.ndarray) -> Tensor:
            x = torch.from_numpy(prepared.normalise(inference_images(self.data.loaded, part)))
            return network(x.to(self.device, memory_format=torch.channels_last))

        return self._in_batches(places, compute).cpu().numpy()

    @torch.no_grad()
    def _in_batches(self, places: np.ndarray, compute: Callable[[np.ndarray], Tensor]) -> Tensor:
        parts = np.array_split(places, max(1, math.ceil(len(places) / self.recipe.batch)))
        with explain_out_of_memory(self.recipe, self.device):
            return torch.cat([compute(part).float() for part in parts])

    def _distribute_learner(self) -> None:
        # Processes agree again on which gradients there are.
        self.learner = self.ranks.data_parallel(TrainablePart(self.network), self.device)

    def _validation_logits(self) -> np.ndarray:
        """Return the logits of the validation images."""
        everything = self.data.split.val
        places = everything[self.ranks.own_rows(len(everything))]
        learner = TrainablePart(self.evaluated).eval()

        def compute(part: np.ndarray) -> Tensor:
            after, inputs = self.frozen.validation_inputs_for(part)
            logits: Tensor = learner(after, *inputs)
            return logits

        rows = self._in_batches(places, compute)
        return self.ranks.gather(rows, len(everything)).cpu().numpy()

    def _step(self, items: np.ndarray) -> tuple[float, np.ndarray]:
        """Take one step; return the loss and the logits of the whole batch."""
        recipe, ranks = self.recipe, self.ranks
        own = items[ranks.own_rows(len(items))]
        places = self.items.places(own)
        after, inputs = self.frozen.inputs_for(own)
        y = torch.from_numpy(self.targets[places]).to(self.device)
        w = torch.from_numpy(self.weights[places]).to(self.device)
        # Dropout depends on the step alone, so a resumed run draws the same.
        seed = (ranks.rank << 52) + (recipe.seed << 20) + self.progress.step
        with seeded(seed, self.device), autocast(self.precision, self.device):
            logits = self.learner(after, *inputs)
        logits = logits.float()
        # As in Keras: weights do not divide the sum, or a rare class would count less.
        each = image_losses(logits, y, recipe.loss, self.sigmoid, self.pos_weight) * w
        if self.within_fraction:
            classes = torch.from_numpy(self.within[places]).to(self.device)
            inside = loss_within(logits, y, classes) * w * self.within_scale
            each = (1 - self.within_fraction) * each + self.within_fraction * inside
        self.optimiser.zero_grad(set_to_none=True)
        # The mean over the whole batch, whatever the size of its parts: gradients are averaged
        # between processes.
        (each.sum() * (ranks.count / len(items))).backward()
        self.optimiser.step()
        if self.evaluated is not self.network:
            decay, step = recipe.selection.average, self.progress.step + 1
            update_average(self.evaluated, self.network, decay, step, self.frozen.names)
        rows = torch.cat([logits, each[:, None]], dim=1).detach()
        whole = ranks.gather(rows, len(items)).cpu().numpy()
        return float(whole[:, -1].astype(np.float64).mean()), whole[:, :-1]

    def _rate(self) -> float:
        return self.recipe.optimiser.learning_rate * self._rate_fraction(self.progress.step)

    def _rate_fraction(self, step: int) -> float:
        recipe, done = self.recipe, step / self.batches
        return rate_fraction(recipe.schedule, done, recipe.epochs, 1 / self.batches)

    def _score(self, metrics: dict[str, float], table: str, metric: str, epoch: int) -> float:
        if metric == 'last':
            return float(epoch)  # always higher than before
        score = -metrics[metric] if metric == 'loss' else metrics[metric]
        if not math.isfinite(score):
            raise TrainingError(
                f'The validation metric {metric!r} is undefined after epoch {epoch}; '
                f'choose another metric ({table}.metric), or use a lower learning rate.'
            )
        return score


def _confusion(truth: np.ndarray, logits: np.ndarray) -> tuple[tuple[int, ...], ...]:
    cells = confusion_matrix(truth, logits.argmax(axis=1), logits.shape[1])
    return tuple(tuple(int(c) for c in row) for row in cells)
