"""Losses, optimisers, learning-rate schedules, precision, and averaged weights."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_cxr.inference.device import supports_bfloat16
from napari_cxr.networks import StagedNetwork
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.recipe import LossRecipe, Recipe, RecipeError, ScheduleRecipe

__all__ = [
    'autocast',
    'build_optimiser',
    'classes_within',
    'image_losses',
    'image_weights',
    'loss_within',
    'precision_of',
    'rate_fraction',
    'seeded',
    'set_learning_rate',
    'update_average',
    'uses_sigmoid',
]


def uses_sigmoid(recipe: Recipe, multilabel: bool) -> bool:
    """Return whether the loss takes the sigmoid of each class by itself.

    With one output for two classes the binary cross-entropy of its sigmoid equals the
    cross-entropy of the two logits that the head makes of it, which is used instead.
    """
    return multilabel or (recipe.loss.name == 'binary cross-entropy' and not recipe.head.single)


def image_losses(
    logits: Tensor,
    truth: Tensor,
    recipe: LossRecipe,
    sigmoid: bool,
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return the loss of each image, not weighted.

    With label smoothing e and K classes, the true class keeps 1 - e and the others get
    e / (K - 1) ('others', as in Zhong's paper), or every class gets e / K and the true one
    1 - e more ('all', Szegedy et al. 2016, section 7, and Keras). With a sigmoid each class
    is a choice of two, K = 2, and an image's loss is the mean over the classes.

    Parameters
    ----------
    logits : Tensor of float32, shape (n, K)
        Outputs of the network.
    truth : Tensor of float32, shape (n, K)
        1 where an image has a label, else 0; NaN where that is not known. Such a label does not
        count, and neither does an image of which nothing is known.
    recipe : LossRecipe
        The smoothing.
    sigmoid : bool
        See `uses_sigmoid`.
    pos_weight : Tensor of float32, shape (K,), optional
        By how much more an image with a label counts for it than one without.

    Returns
    -------
    Tensor, shape (n,)
    """
    choices = 2 if sigmoid else truth.shape[1]
    smoothing = recipe.label_smoothing
    if recipe.smoothing == 'all':
        low, high = smoothing / choices, 1 - smoothing + smoothing / choices
    else:
        low, high = smoothing / (choices - 1), 1 - smoothing
    target = low + (high - low) * truth
    if sigmoid:
        known = ~target.isnan()
        each = functional.binary_cross_entropy_with_logits(
            logits, target.nan_to_num(), reduction='none', pos_weight=pos_weight
        )
        if known.all():
            return each.mean(dim=1)
        return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)
    return functional.cross_entropy(logits, target, reduction='none')


def loss_within(logits: Tensor, truth: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy of each image, of the softmax over some classes only.

    Class often depends on source, for instance if each hospital provided images of one
    disease. Then a network that tells hospitals apart has a small loss over all classes.
    Among the classes of an image's own source the hospital is no help.

    Parameters
    ----------
    logits : Tensor of float32, shape (n, K)
        Outputs of the network.
    truth : Tensor of float32, shape (n, K)
        1 for the class of an image, else 0.
    classes : Tensor of bool, shape (n, K)
        The classes that each image is compared with, including its own. The loss of an
        image without any class is 0.

    Returns
    -------
    Tensor, shape (n,)
    """
    used = classes.any(dim=1)
    masked = logits.masked_fill(~(classes | ~used[:, None]), -torch.inf)
    each = functional.cross_entropy(masked, truth.argmax(dim=1), reduction='none')
    return torch.where(used, each, 0.0)


def classes_within(dataset: Dataset, places: np.ndarray) -> np.ndarray:
    """Return the classes that the loss within sources compares each image with.

    Parameters
    ----------
    dataset : Dataset
        The images, n of them.
    places : ndarray of int
        Indices of the training images.

    Returns
    -------
    ndarray of bool, shape (n, classes)
        The classes that its source has among these, if there are two or more; none for
        other images.

    Raises
    ------
    RecipeError
        If images can have several labels, or no source has two classes.
    """
    if dataset.multilabel:
        raise RecipeError(
            'loss.within_source needs images of one class each, and here images have several '
            'labels; set it to 0.'
        )
    samples = dataset.samples
    found: defaultdict[str, set[str]] = defaultdict(set)
    for place in np.unique(places):
        found[samples[place].source].add(samples[place].label)
    found.pop('', None)  # images without a source
    classes = np.zeros((len(samples), len(dataset.labels)), dtype=bool)
    for place in np.unique(places):
        own = found.get(samples[place].source, set())
        if len(own) > 1:
            classes[place] = [label in own for label in dataset.labels]
    if not classes.any():
        raise RecipeError(
            'loss.within_source compares classes inside each source, but no source has '
            'training images of two classes; set it to 0, or add such a source.'
        )
    return classes


def image_weights(
    dataset: Dataset, recipe: LossRecipe, places: np.ndarray, often: np.ndarray | None = None
) -> np.ndarray:
    """Return the weight of each image of a data set in the loss.

    Parameters
    ----------
    dataset : Dataset
        The images, n of them.
    recipe : LossRecipe
        The kind of weights. 'class' and 'class and source' have the mean 1 over the training
        images; 'given' weights are used as they are.
    places : ndarray of int, shape (m,)
        Indices of the images of an epoch, each as often as it occurs.
    often : ndarray, shape (m,), optional
        Expected number of times that the sampler draws each of them; 1 by default.

    Returns
    -------
    ndarray of float32, shape (n,)
        1 for images that are not in `places`. An image with several labels has the mean
        of the weights of its labels.

    Raises
    ------
    RecipeError
        If a class has no weight, or a weight has no class.
    """
    weights = np.ones(len(dataset.samples), dtype=np.float32)
    if recipe.weights == 'none':
        return weights
    if recipe.weights == 'given':
        odd = sorted(set(recipe.class_weights) ^ set(dataset.labels))
        if odd:
            raise RecipeError(
                f'loss.class_weights must name each class once, and only those: see {odd[0]!r}; '
                f'the classes are {", ".join(dataset.labels)}.'
            )
        for i in np.unique(places):
            if labels := dataset.samples[i].labels:  # an image without labels has the weight 1
                weights[i] = np.mean([recipe.class_weights[label] for label in labels])
        return weights
    often = np.ones(len(places)) if often is None else often
    by_source = recipe.weights == 'class and source'

    def cells(place: int) -> list[tuple[str, str]]:
        sample = dataset.samples[place]
        # Images without any of several labels are weighted like a class of their own.
        return [(label, sample.source if by_source else '') for label in sample.labels or ('',)]

    counts: defaultdict[tuple[str, str], float] = defaultdict(float)
    for place, count in zip(places, often, strict=True):
        for cell in cells(place):
            counts[cell] += count
    sources = Counter(label for label, _ in counts)
    classes = len(sources)
    total = float(often.sum())
    for place in np.unique(places):
        each = [total / (classes * sources[cell[0]] * counts[cell]) for cell in cells(place)]
        weights[place] = np.mean(each)
    if dataset.multilabel:
        used = np.unique(places)
        weights[used] /= np.average(weights[places], weights=often)
    return weights


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the CPU and one device within the context, and restore torch's state afterwards."""
    devices = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices=devices):
        # Seeding all possible devices takes as long as a small step.
        torch.default_generator.manual_seed(seed)
        if device.type != 'cpu':
            torch.manual_seed(seed)
        yield


def precision_of(wanted: str, device: torch.device) -> torch.dtype | None:
    """Return the type of a recipe's `precision` on a device; None for single precision."""
    if wanted == 'float32':
        return None
    if wanted == 'bfloat16':
        return torch.bfloat16
    return torch.bfloat16 if supports_bfloat16(device.type) else None


def autocast(
    precision: torch.dtype | None, device: torch.device
) -> torch.autocast | nullcontext[None]:
    """Return a context that computes in a precision."""
    return nullcontext() if precision is None else torch.autocast(device.type, precision)


def rate_fraction(schedule: ScheduleRecipe, done: float, epochs: int, step: float) -> float:
    """Return the learning rate after `done` epochs, as a fraction of the highest.

    Parameters
    ----------
    schedule : ScheduleRecipe
        The schedule.
    done : float
        Epochs done.
    epochs : int
        Epochs of the whole run.
    step : float
        Length of one step in epochs; the rate is above 0 in the first step of a warm-up.
    """
    if done < schedule.warm_up:
        return min(1.0, (done + step) / schedule.warm_up)
    if schedule.name == 'constant':
        return 1.0
    if schedule.name == 'stages':
        # Steps add up to whole epochs except for rounding.
        passed = sum(done + step / 2 > after for after in schedule.after)
        return schedule.shares[passed - 1] if passed else 1.0
    # Loshchilov and Hutter, ICLR 2017, equation 5, one cycle down to zero.
    return 0.5 * (1 + math.cos(math.pi * (done - schedule.warm_up) / (epochs - schedule.warm_up)))


def build_optimiser(network: StagedNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Build a recipe's optimiser, with torch's defaults for what a recipe does not set.

    These are betas of 0.9 and 0.999 (Adam, AdamW and Nadam, epsilon 1e-8), and a
    smoothing of 0.99 (RMSprop, epsilon 1e-8; Keras has 0.9 and 1e-7).

    Parameters
    ----------
    network : StagedNetwork
        On its device; fused implementations are used where there are any.
    recipe : Recipe
        Its optimiser, and the rates by stage of `freeze`.

    Returns
    -------
    Optimizer
        It contains frozen parameters too, so that they can be unfrozen; without a gradient
        they do not change. Each group has its 'share' of the learning rate, see
        `set_learning_rate`.
    """
    plan = recipe.optimiser
    groups: list[dict[str, Any]] = []
    stages = list(network.stages.values())
    rates = [recipe.freeze.rate * recipe.freeze.decay**k for k in range(len(stages))]
    for part, fraction in zip([*stages, network.head], [*rates[::-1], 1.0], strict=True):
        # Weight decay for matrices and kernels only, not for biases and batch norm.
        for matrices in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) is matrices]
            decay = plan.weight_decay if matrices else 0.0
            if chosen:
                groups.append({'params': chosen, 'weight_decay': decay, 'share': fraction})
    rate = plan.learning_rate
    device = next(network.parameters()).device.type
    fused: dict[str, Any] = {'fused': True} if device in ('cpu', 'cuda') else {}
    if plan.name == 'adamw':
        return torch.optim.AdamW(groups, lr=rate, **fused)
    if plan.name == 'adam':
        return torch.optim.Adam(groups, lr=rate, **fused)
    if plan.name == 'nadam':
        return torch.optim.NAdam(groups, lr=rate)
    if plan.name == 'rmsprop':
        return torch.optim.RMSprop(groups, lr=rate, momentum=plan.momentum)
    return torch.optim.SGD(groups, lr=rate, momentum=plan.momentum, **fused)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the head's learning rate, and those of the stages relative to it."""
    for group in optimiser.param_groups:
        group['lr'] = rate * group['share']


@torch.no_grad()
def update_average(
    average: StagedNetwork,
    network: StagedNetwork,
    decay: float,
    step: int,
    frozen: tuple[str, ...] = (),
) -> None:
    """Update an exponential moving average of weights.

    Parameters
    ----------
    average, network : StagedNetwork
        The average, and the current network; integers are copied.
    decay : float
        Fraction of the average that remains. It grows to this value like (1 + step) / (10 +
        step), or early averages would remember the random start (as
        `tf.train.ExponentialMovingAverage` with `num_updates`).
    step : int
        From 1.
    frozen : tuple of str
        Stages that have not changed since the start, so their average does not either.
    """
    decay = min(decay, (1 + step) / (10 + step))
    parts = [name for name in network.stage_names if name not in frozen]
    pairs = [(average.head, network.head)]
    pairs += [(average.stages[name], network.stages[name]) for name in parts]
    for old, new in pairs:
        for mean, now in zip(old.state_dict().values(), new.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)
