"""Sections of a recipe on training: the head, freezing, optimiser, schedule, loss, stopping."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from napari_cxr.training.recipe.schema import RecipeError, check_entry

__all__ = [
    'CalibrationRecipe',
    'FreezeRecipe',
    'HeadRecipe',
    'LossRecipe',
    'Metric',
    'OptimiserRecipe',
    'ScheduleRecipe',
    'SelectionRecipe',
    'StoppingRecipe',
]

#: Metrics of the validation split by which epochs are compared.
Metric = Literal['macro_auc', 'macro_f1', 'balanced_accuracy', 'accuracy', 'loss']


@dataclass(frozen=True)
class HeadRecipe:
    """The layers between the last feature map and the logits.

    Parameters
    ----------
    kind : {'own', 'average'}
        The head with which the network was published, or global average pooling followed
        by the hidden layers.
    hidden : tuple of int
        Units of the hidden layers after the pooling, each with a ReLU.
    dropout : float
        Fraction of units that are dropped before the last layer.
    single : bool
        Whether two classes share one output, the logit of the second (its sigmoid is the
        probability of the second class).
    """

    kind: Literal['own', 'average'] = 'own'
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    single: bool = False

    def __post_init__(self) -> None:
        sizes = all(1 <= units <= 65_536 for units in self.hidden)
        check_entry(sizes, 'head.hidden', 'numbers between 1 and 65536')
        check_entry(0 <= self.dropout < 1, 'head.dropout', 'at least 0 and below 1')
        changed = bool(self.hidden or self.dropout) and self.kind == 'own'
        check_entry(not changed, 'head.kind', "'average' where hidden layers or dropout are given")


@dataclass(frozen=True)
class FreezeRecipe:
    """Which stages of the network are frozen.

    Frozen stages do not change, including their batch norm statistics.

    Parameters
    ----------
    up_to : str
        'nothing', 'everything' (only the head is trained), or the name of the last frozen
        stage.
    thaw_after : int
        Epochs after which stages are unfrozen, the last one first; 0 for never.
    thaw_every : int
        Epochs between unfreezing two stages; 0 unfreezes all at once.
    rate : float
        Learning rate of the stages, as a fraction of the head's.
    decay : float
        Factor by which that rate decreases with each stage, from the last to the first.
    views : int
        With everything frozen: number of augmented views of each image that are computed
        once and used in turn by the epochs. 0 computes new views in each epoch; without
        augmentation the only view is always computed once.
    """

    up_to: str = 'nothing'
    thaw_after: int = 0
    thaw_every: int = 0
    rate: float = 1.0
    decay: float = 1.0
    views: int = 0

    def __post_init__(self) -> None:
        check_entry(bool(self.up_to), 'freeze.up_to', "'nothing', 'everything' or a stage")
        check_entry(self.thaw_after >= 0, 'freeze.thaw_after', 'at least 0 epochs')
        check_entry(self.thaw_every >= 0, 'freeze.thaw_every', 'at least 0 epochs')
        check_entry(0 < self.rate <= 1, 'freeze.rate', 'above 0 and at most 1')
        check_entry(0 < self.decay <= 1, 'freeze.decay', 'above 0 and at most 1')
        check_entry(0 <= self.views <= 1000, 'freeze.views', 'between 0 and 1000')
        if self.up_to == 'nothing' and self.thaw_after:
            raise RecipeError('freeze.thaw_after unfreezes stages, but freeze.up_to freezes none.')


@dataclass(frozen=True)
class OptimiserRecipe:
    """How weights are updated.

    Parameters
    ----------
    name : {'adamw', 'adam', 'nadam', 'rmsprop', 'sgd'}
        The optimiser.
    learning_rate : float
        The highest rate of the schedule.
    weight_decay : float
        For matrices and kernels only; decoupled in adamw, added to the gradient in the
        others.
    momentum : float
        For sgd and rmsprop.
    """

    name: Literal['adamw', 'adam', 'nadam', 'rmsprop', 'sgd'] = 'adamw'
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    momentum: float = 0.0

    def __post_init__(self) -> None:
        check_entry(
            0 < self.learning_rate <= 10, 'optimiser.learning_rate', 'above 0 and at most 10'
        )
        check_entry(0 <= self.weight_decay <= 1, 'optimiser.weight_decay', 'between 0 and 1')
        check_entry(0 <= self.momentum < 1, 'optimiser.momentum', 'at least 0 and below 1')
        if self.momentum and self.name not in ('sgd', 'rmsprop'):
            raise RecipeError(f'optimiser.momentum belongs to sgd and rmsprop, not {self.name}.')


@dataclass(frozen=True)
class ScheduleRecipe:
    """How the learning rate changes.

    Parameters
    ----------
    name : {'constant', 'cosine', 'stages'}
        After the warm-up: constant, falling to 0 along a cosine, or in stages.
    warm_up : float
        Epochs of linear increase at the start.
    after : tuple of int
        For 'stages': epochs after which each further stage starts, in increasing order.
    shares : tuple of float
        For 'stages': the rate of each of them, as a fraction of the highest.
    """

    name: Literal['constant', 'cosine', 'stages'] = 'cosine'
    warm_up: float = 0.0
    after: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_entry(self.warm_up >= 0, 'schedule.warm_up', 'at least 0 epochs')
        staged = self.name == 'stages'
        fits = len(self.after) == len(self.shares) and bool(self.after) == staged
        check_entry(
            fits, 'schedule.after', "as long as schedule.shares, and given for 'stages' only"
        )
        rising = list(self.after) == sorted(set(self.after)) and min(self.after, default=1) >= 1
        check_entry(rising, 'schedule.after', 'increasing numbers of epochs')
        check_entry(
            all(0 < s <= 1 for s in self.shares), 'schedule.shares', 'above 0 and at most 1'
        )


@dataclass(frozen=True)
class LossRecipe:
    """The loss that is minimised.

    Parameters
    ----------
    name : {'cross-entropy', 'binary cross-entropy'}
        Of the softmax over all classes, or of the sigmoid of each class (always the second
        if images can have several labels).
    weights : {'none', 'class', 'class and source', 'given'}
        Whether each class has the same total weight, and within it each source; or the
        weights in `class_weights`.
    class_weights : dict of str to float
        For 'given': the factor of each class. The loss is the mean of the weighted
        losses, as in Keras, not divided by the sum of the weights.
    pos_weight : dict of str to float
        For images that can have several labels: by how much more an image with a label counts
        for that label than one without it; 1 for labels that are not named.
    label_smoothing : float
        Fraction of the target that is moved from the true class to others.
    smoothing : {'all', 'others'}
        Moved evenly to all classes (Szegedy et al. 2016, section 7), or to the other
        classes (the form in Zhong's paper).
    within_source : float
        Fraction of the loss that compares classes only within each source: the
        cross-entropy of the softmax over the classes that the image's source has in the
        training images, not smoothed. Where class depends on source, a network can lower
        the rest of the loss by telling sources apart, but not this part. Images of sources
        with one class take no part in it. Needs sources, and one label for each image.
    """

    name: Literal['cross-entropy', 'binary cross-entropy'] = 'cross-entropy'
    weights: Literal['none', 'class', 'class and source', 'given'] = 'class'
    class_weights: dict[str, float] = field(default_factory=dict)
    pos_weight: dict[str, float] = field(default_factory=dict)
    label_smoothing: float = 0.0
    smoothing: Literal['all', 'others'] = 'all'
    within_source: float = 0.0

    def __post_init__(self) -> None:
        check_entry(0 <= self.within_source <= 1, 'loss.within_source', 'between 0 and 1')
        check_entry(
            0 <= self.label_smoothing < 1, 'loss.label_smoothing', 'at least 0 and below 1'
        )
        given = self.weights == 'given'
        check_entry(
            bool(self.class_weights) == given, 'loss.class_weights', "given with weights = 'given'"
        )
        for name in ('class_weights', 'pos_weight'):
            positive = all(w > 0 for w in getattr(self, name).values())
            check_entry(positive, f'loss.{name}', 'above 0')


@dataclass(frozen=True)
class CalibrationRecipe:
    """How logits become probabilities at the end, on images that were not trained on.

    Parameters
    ----------
    method : {'temperature and bias', 'temperature', 'none'}
        What is fitted on the validation images. A temperature corrects how sure the network
        is; a bias of each class also corrects that class weights or balanced images make
        rare classes too probable.
    prior : dict of str to float
        For each class the fraction of images that have it where the model will be used, for
        instance 0.05; by default as in the validation images.
    alpha : float
        The model also says which classes cannot be excluded. This is the fraction of the images
        of a class for which that may be wrong; 0 for no such sets.
    """

    method: Literal['temperature and bias', 'temperature', 'none'] = 'temperature and bias'
    prior: dict[str, float] = field(default_factory=dict)
    alpha: float = 0.1

    def __post_init__(self) -> None:
        possible = all(0 < p < 1 for p in self.prior.values())
        check_entry(possible, 'calibration.prior', 'above 0 and below 1 for each class')
        check_entry(0 <= self.alpha < 1, 'calibration.alpha', 'at least 0 and below 1')


@dataclass(frozen=True)
class StoppingRecipe:
    """When a run stops before its last epoch (early stopping).

    Parameters
    ----------
    patience : int
        Epochs without improvement after which it stops; 0 for never.
    metric : str
        The metric, on the validation split.
    """

    patience: int = 0
    metric: Metric = 'loss'

    def __post_init__(self) -> None:
        check_entry(self.patience >= 0, 'stopping.patience', 'at least 0 epochs')


@dataclass(frozen=True)
class SelectionRecipe:
    """Which weights are kept.

    Parameters
    ----------
    metric : {'macro_auc', 'macro_f1', 'balanced_accuracy', 'accuracy', 'loss', 'last'}
        The metric by which the best epoch is selected; 'last' keeps the weights of the last
        epoch.
    split : {'val'}
        Where it is measured. A test split that was used to stop a run or to select an
        epoch is no longer a test, so 'test' is refused.
    average : float
        Decay per step of a moving average of the weights, which is then evaluated and
        kept; 0 for none.
    """

    metric: Literal[Metric, 'last'] = 'macro_auc'
    split: Literal['val', 'test'] = 'val'
    average: float = 0.0

    def __post_init__(self) -> None:
        check_entry(0 <= self.average < 1, 'selection.average', 'at least 0 and below 1')
        if self.split == 'test':
            raise RecipeError(
                "selection.split must be 'val': a test split by which epochs are chosen or "
                'stopped measures nothing any more.'
            )
