"""What is minimised: a loss for each image, and how much each image counts."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_cxr.training.dataset import Dataset
from napari_cxr.training.recipe import LossRecipe, Recipe, RecipeError

__all__ = ['classes_within', 'image_losses', 'image_weights', 'loss_within', 'uses_sigmoid']


def uses_sigmoid(recipe: Recipe, multilabel: bool) -> bool:
    """Return whether the loss takes the sigmoid of each class by itself.

    With one output for two classes the binary cross-entropy of its sigmoid equals the
    cross-entropy of the two logits that the head makes of it, which is used instead.
    """
    return multilabel or (recipe.loss.name == 'binary cross-entropy' and not recipe.head.single)


def image_losses(logits: Tensor, truth: Tensor, recipe: LossRecipe, sigmoid: bool) -> Tensor:
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
        1 where an image has a label, else 0.
    recipe : LossRecipe
        The smoothing.
    sigmoid : bool
        See `uses_sigmoid`.

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
        each = functional.binary_cross_entropy_with_logits(logits, target, reduction='none')
        return each.mean(dim=1)
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
