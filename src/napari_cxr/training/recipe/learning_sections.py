"""What a network starts from, what of it learns, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from napari_cxr.training.recipe.schema import RecipeError, check_entry

__all__ = [
    'FreezeRecipe',
    'HeadRecipe',
    'LossRecipe',
    'Metric',
    'OptimiserRecipe',
    'ScheduleRecipe',
    'SelectionRecipe',
    'StoppingRecipe',
]

#: Figures of the validation split by which epochs are compared.
Metric = Literal['macro_auc', 'macro_f1', 'balanced_accuracy', 'accuracy', 'loss']


@dataclass(frozen=True)
class HeadRecipe:
    """What stands between the last feature map and the logits.

    Parameters
    ----------
    kind : {'own', 'average'}
        The head that the network was published with, or the mean of each channel, then
        the hidden layers.
    hidden : tuple of int
        Units of the hidden layers after the mean, each with a ReLU.
    dropout : float
        Share of units that are dropped before the last layer.
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
    """What of the network does not learn.

    Frozen stages stay as they are, batch norm statistics included.

    Parameters
    ----------
    up_to : str
        'nothing', 'everything' (only the head learns), or the name of the last frozen
        stage.
    thaw_after : int
        Epochs after which stages begin to thaw, the last one first; 0 for never.
    thaw_every : int
        Epochs between two stages' thawing; 0 thaws all at once.
    rate : float
        Learning rate of the stages, as a share of the head's.
    decay : float
        Factor by which that rate falls with each stage, from the last to the first.
    views : int
        With everything frozen: how many augmented views of each image are computed once,
        and used in turn by the epochs. 0 computes new views each epoch; without
        augmentation the one view is always computed once.
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
            raise RecipeError('freeze.thaw_after thaws stages, but freeze.up_to freezes none.')


@dataclass(frozen=True)
class OptimiserRecipe:
    """How weights follow gradients.

    Parameters
    ----------
    name : {'adamw', 'adam', 'nadam', 'rmsprop', 'sgd'}
        The method.
    learning_rate : float
        The highest rate of the schedule.
    weight_decay : float
        Only matrices and kernels decay; decoupled in adamw, added to the gradient
        elsewhere.
    momentum : float
        Of sgd and rmsprop.
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
    """How the learning rate goes.

    Parameters
    ----------
    name : {'constant', 'cosine', 'stages'}
        After the warm-up: as it is, down to nothing along a cosine, or in stages.
    warm_up : float
        Epochs of linear rise at the start.
    after : tuple of int
        Of 'stages': epochs after which each further stage begins, rising.
    shares : tuple of float
        Of 'stages': the rate of each of them, as a share of the highest.
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
        check_entry(rising, 'schedule.after', 'rising numbers of epochs')
        check_entry(
            all(0 < s <= 1 for s in self.shares), 'schedule.shares', 'above 0 and at most 1'
        )


@dataclass(frozen=True)
class LossRecipe:
    """What is minimised.

    Parameters
    ----------
    name : {'cross-entropy', 'binary cross-entropy'}
        Of the softmax over all classes, or of the sigmoid of each class by itself
        (several labels an image always take the second).
    weights : {'none', 'class', 'class and source', 'given'}
        Whether each class counts alike, and within it each source; or by `class_weights`.
    class_weights : dict of str to float
        Of 'given': the factor of each class. The loss is the mean of the weighted
        losses, as in Keras, not divided by the sum of the weights.
    label_smoothing : float
        Share of the target that is taken from the true class and spread.
    smoothing : {'all', 'others'}
        Spread evenly over all classes (Szegedy et al. 2016, section 7), or over the
        other classes (the form that Zhong's paper prints).
    within_source : float
        Share of the loss that compares classes only inside each source: of an image it is
        the cross-entropy of the softmax over the classes that its source has in the
        training images, not smoothed. Where class follows source, a network can lower the
        rest of the loss by telling sources apart, but not this. Images of sources with one
        class take no part in it. Needs sources, and one label an image.
    """

    name: Literal['cross-entropy', 'binary cross-entropy'] = 'cross-entropy'
    weights: Literal['none', 'class', 'class and source', 'given'] = 'class'
    class_weights: dict[str, float] = field(default_factory=dict)
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
        check_entry(
            all(w > 0 for w in self.class_weights.values()), 'loss.class_weights', 'above 0'
        )


@dataclass(frozen=True)
class StoppingRecipe:
    """When a run ends before its last epoch.

    Parameters
    ----------
    patience : int
        Epochs without a better figure after which it ends; 0 for never.
    metric : str
        The figure, of the validation split.
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
        The figure by which the best epoch is chosen; 'last' chooses nothing and keeps the
        weights of the last epoch.
    split : {'val'}
        Where it is measured. A test split by which a run was stopped or chosen
        measures nothing any more, so 'test' is refused.
    average : float
        Decay a step of a moving average of the weights, which is then what is
        judged and kept; 0 for none.
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
