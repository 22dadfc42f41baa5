"""Everything that decides a training run, as a frozen dataclass that reads and writes TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from napari_cxr.checkpoint.card import LARGEST_INPUT, NAME, NOT_FOR_CLINICAL_USE
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.training.tables import RecipeError, build, check, plain

__all__ = [
    'AugmentationRecipe',
    'CardRecipe',
    'LossRecipe',
    'OptimiserRecipe',
    'Recipe',
    'RecipeError',
    'ScheduleRecipe',
    'SelectionRecipe',
    'SplitRecipe',
    'find',
    'names',
]


@dataclass(frozen=True)
class SplitRecipe:
    """How images are divided.

    Parameters
    ----------
    method : {'auto', 'given', 'holdout'}
        The table's own splits, or shares held out by patient; auto takes the
        table's where every image has one.
    val, test : float
        Shares to hold out, of all images.
    """

    method: Literal['auto', 'given', 'holdout'] = 'auto'
    val: float = 0.15
    test: float = 0.2

    def __post_init__(self) -> None:
        check(0 < self.val <= 0.5, 'split.val', 'above 0 and at most 0.5')
        check(0 <= self.test <= 0.5, 'split.test', 'between 0 and 0.5')
        check(self.val + self.test < 1, 'split.val', 'so small that images are left to learn from')


@dataclass(frozen=True)
class AugmentationRecipe:
    """How far a training image is changed each time it is seen.

    Parameters
    ----------
    rotation : float
        Largest angle either way, degrees.
    shear : float
        Largest shear either way, degrees.
    zoom : float
        Largest change of size either way, as a share.
    shift : float
        Largest shift either way, as a share of the side.
    flip : float
        How often left and right are exchanged.
    brightness : float
        Largest change either way, as a share of the range.
    contrast : float
        Largest factor either way is 1 plus this, even on a log scale.
    gamma : float
        Largest exponent either way is 1 plus this, even on a log scale.
    noise : float
        Largest standard deviation of added noise, as a share of the range.
    """

    rotation: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (('rotation', 180), ('shear', 45), ('zoom', 0.9), ('shift', 0.5)):
            value = getattr(self, name)
            check(0 <= value <= most, f'augmentation.{name}', f'between 0 and {most}')
        for name in ('flip', 'brightness', 'noise'):
            value = getattr(self, name)
            check(0 <= value <= 1, f'augmentation.{name}', 'between 0 and 1')
        for name in ('contrast', 'gamma'):
            value = getattr(self, name)
            check(0 <= value <= 4, f'augmentation.{name}', 'between 0 and 4')


@dataclass(frozen=True)
class OptimiserRecipe:
    """How weights follow gradients.

    Parameters
    ----------
    name : {'adamw'}
        The method.
    learning_rate : float
        The highest rate of the schedule.
    weight_decay : float
        Decoupled; only matrices and kernels decay.
    """

    name: Literal['adamw'] = 'adamw'
    learning_rate: float = 1e-3
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        check(0 < self.learning_rate <= 10, 'optimiser.learning_rate', 'above 0 and at most 10')
        check(0 <= self.weight_decay <= 1, 'optimiser.weight_decay', 'between 0 and 1')


@dataclass(frozen=True)
class ScheduleRecipe:
    """How the learning rate goes.

    Parameters
    ----------
    name : {'constant', 'cosine'}
        After the warm-up: as it is, or down to nothing along a cosine.
    warm_up : float
        Epochs of linear rise at the start.
    """

    name: Literal['constant', 'cosine'] = 'cosine'
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        check(self.warm_up >= 0, 'schedule.warm_up', 'at least 0 epochs')


@dataclass(frozen=True)
class LossRecipe:
    """What is minimised: cross-entropy.

    Parameters
    ----------
    weights : {'none', 'class', 'class and source'}
        Whether each class counts alike, and within it each source.
    label_smoothing : float
        Share of the target spread evenly over all classes.
    """

    weights: Literal['none', 'class', 'class and source'] = 'class'
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check(0 <= self.label_smoothing < 1, 'loss.label_smoothing', 'at least 0 and below 1')


@dataclass(frozen=True)
class SelectionRecipe:
    """Which weights are kept; judged on the validation split, never on the test split.

    Parameters
    ----------
    metric : {'macro_auc', 'balanced_accuracy', 'accuracy', 'loss'}
        The figure by which the best epoch is chosen.
    average : float
        Decay a step of a moving average of the weights, which is then what is
        judged and kept; 0 for none.
    """

    metric: Literal['macro_auc', 'balanced_accuracy', 'accuracy', 'loss'] = 'macro_auc'
    average: float = 0.0

    def __post_init__(self) -> None:
        check(0 <= self.average < 1, 'selection.average', 'at least 0 and below 1')


@dataclass(frozen=True)
class CardRecipe:
    """What the model's card says that no run can find out.

    Parameters
    ----------
    name : str
        Name of the model; by default that of the recipe.
    title : str
        One line for people.
    licence : str
        Terms of the weights.
    attribution : tuple of str
        Whose data they were made from.
    intended_use : str
        What it is for.
    not_measured : tuple of str
        What nobody should read out of the figures.
    halve : bool
        Whether the best checkpoint stores kernels in half precision.
    """

    name: str = ''
    title: str = ''
    licence: str = ''
    attribution: tuple[str, ...] = ()
    intended_use: str = NOT_FOR_CLINICAL_USE
    not_measured: tuple[str, ...] = ('Images of hospitals that are not in the training data.',)
    halve: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run.

    Parameters
    ----------
    name : str
        Short name.
    title : str
        One line for people.
    network : str
        Name by which ``networks.create`` knows it.
    epochs, batch : int
        Passes over the training images, and images a step.
    seed : int
        Of everything random.
    precision : {'auto', 'float32', 'bfloat16'}
        Of the forward pass; auto takes bfloat16 where the processor computes it.
    input : Preprocessing
        From radiograph to network input.
    split, augmentation, optimiser, schedule, loss, selection, card
        See their classes.
    """

    name: str
    network: str
    title: str = ''
    epochs: int = 20
    batch: int = 32
    seed: int = 0
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto'
    input: Preprocessing = field(default_factory=lambda: Preprocessing(224, 224))
    split: SplitRecipe = SplitRecipe()
    augmentation: AugmentationRecipe = AugmentationRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    loss: LossRecipe = LossRecipe()
    selection: SelectionRecipe = SelectionRecipe()
    card: CardRecipe = CardRecipe()

    def __post_init__(self) -> None:
        name = self.card.name or self.name
        check(bool(NAME.fullmatch(name)), 'name', 'letters, digits and ._+-, at most 80 of them')
        check(bool(self.network), 'network', 'given')
        for side in ('height', 'width'):
            fits = getattr(self.input, side) <= LARGEST_INPUT
            check(fits, f'input.{side}', f'at most {LARGEST_INPUT} pixels')
        check(1 <= self.epochs <= 100_000, 'epochs', 'between 1 and 100000')
        check(2 <= self.batch <= 65_536, 'batch', 'between 2 and 65536')
        check(0 <= self.seed < 2**32, 'seed', 'between 0 and 4294967295')
        check(
            self.schedule.warm_up < self.epochs, 'schedule.warm_up', 'below the number of epochs'
        )

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Recipe:
        """Build from nested tables.

        Raises
        ------
        RecipeError
            If an entry is unknown, missing, of the wrong type or out of range.
        """
        recipe: Recipe = build(cls, entries)
        return recipe

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """Read TOML; raises RecipeError as `from_dict`, and if it is not TOML."""
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f'The recipe is not TOML: {error}.') from None

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables of plain values; what is None is left out."""
        table: dict[str, Any] = plain(self)
        return table

    def to_toml(self) -> str:
        """Write TOML that `from_toml` reads back to an equal recipe."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


def names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    shipped = resources.files('napari_cxr') / 'recipes'
    return sorted(
        file.name.removesuffix('.toml')
        for file in shipped.iterdir()
        if file.name.endswith('.toml')
    )


def find(name_or_path: str | Path) -> Recipe:
    """Read a recipe by the name of a shipped one, or from a file.

    Raises
    ------
    RecipeError
        If there is none, or it makes no sense.
    """
    text = str(name_or_path)
    if text in names():
        file = resources.files('napari_cxr') / 'recipes' / f'{text}.toml'
        return Recipe.from_toml(file.read_text(encoding='utf-8'))
    path = Path(name_or_path)
    if not path.is_file():
        raise RecipeError(
            f'There is no recipe {text!r}: give a TOML file, or one of {", ".join(names())}.'
        )
    try:
        return Recipe.from_toml(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f'The recipe {path.name} cannot be read: {error}.') from None
