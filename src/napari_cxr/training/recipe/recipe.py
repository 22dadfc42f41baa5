"""Everything that decides a training run, as a frozen dataclass that reads and writes TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from napari_cxr.checkpoint.card import LARGEST_INPUT, NAME, NOT_FOR_CLINICAL_USE
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.settings_file import parse_toml
from napari_cxr.training.recipe.data_sections import (
    COLOURED,
    AugmentationRecipe,
    DataRecipe,
    SplitRecipe,
)
from napari_cxr.training.recipe.learning_sections import (
    CalibrationRecipe,
    FreezeRecipe,
    HeadRecipe,
    LossRecipe,
    OptimiserRecipe,
    ScheduleRecipe,
    SelectionRecipe,
    StoppingRecipe,
)
from napari_cxr.training.recipe.recipe_catalog import recipe_names, toml_text
from napari_cxr.training.recipe.schema import RecipeError, as_table, build_from_table, check_entry

__all__ = ['CardRecipe', 'Recipe', 'find', 'names']

#: Networks that recognise the lungs as the pixels that are not 0.
_LUNGS_ONLY = ('lung_texture',)

#: Augmentations that keep 0, or move it with the image.
_KEEPS_BLACK = (
    'rotation', 'shear', 'zoom', 'shift', 'crop', 'pad', 'flip', 'flip_vertical',
    'gamma', 'multiply', 'fill', 'only', 'doubled',
)  # fmt: skip


@dataclass(frozen=True)
class CardRecipe:
    """Entries of the model's card that a run cannot know.

    Parameters
    ----------
    name : str
        Name of the model; the recipe's by default.
    title : str
        One line for people.
    licence : str
        Terms of the weights.
    attribution : tuple of str
        Credits for the training data.
    intended_use : str
        Intended use.
    not_to_believe : str
        One paragraph: when its predictions cannot be trusted.
    not_measured : tuple of str
        What the metrics say nothing about.
    halve : bool
        Whether the best checkpoint stores kernels in half precision.
    """

    name: str = ''
    title: str = ''
    licence: str = ''
    attribution: tuple[str, ...] = ()
    intended_use: str = NOT_FOR_CLINICAL_USE
    not_to_believe: str = ''
    not_measured: tuple[str, ...] = ('Images of hospitals that are not in the training data.',)
    halve: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a training run.

    Parameters
    ----------
    name : str
        Short name.
    title : str
        One line for people.
    network : str
        Name of the network, see ``networks.names``.
    paper : str
        The paper that it follows, for people; or empty.
    weights : str
        Initial weights: 'random', 'pretrained' (on ImageNet, downloaded once), or a model,
        by its name in the catalog or its file; its head is replaced if the classes
        differ.
    epochs, batch : int
        Passes over the training images, and images per step.
    sampler : {'shuffled', 'balanced'}
        Each image once in an epoch, or the same number of draws with equally likely
        classes.
    seed : int
        Seed of all random numbers.
    precision : {'auto', 'float32', 'bfloat16'}
        Of the forward pass; auto takes bfloat16 if the processor supports it.
    input : Preprocessing
        From radiograph to network input.
    data, split, augmentation, head, freeze : tables
        Which images are used, how they are split and augmented; the last layers; which
        stages are frozen.
    optimiser, schedule, loss, stopping, selection, calibration, card : tables
        How it is trained, when it stops, which weights are kept, how its outputs become
        probabilities, and what its card says.
    """

    name: str
    network: str
    title: str = ''
    paper: str = ''
    weights: str = 'random'
    epochs: int = 20
    batch: int = 32
    sampler: Literal['shuffled', 'balanced'] = 'shuffled'
    seed: int = 0
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto'
    input: Preprocessing = field(default_factory=lambda: Preprocessing(224, 224))
    data: DataRecipe = field(default_factory=DataRecipe)
    split: SplitRecipe = field(default_factory=SplitRecipe)
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)
    head: HeadRecipe = field(default_factory=HeadRecipe)
    freeze: FreezeRecipe = field(default_factory=FreezeRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    stopping: StoppingRecipe = field(default_factory=StoppingRecipe)
    selection: SelectionRecipe = field(default_factory=SelectionRecipe)
    calibration: CalibrationRecipe = field(default_factory=CalibrationRecipe)
    card: CardRecipe = field(default_factory=CardRecipe)

    def __post_init__(self) -> None:
        name = self.card.name or self.name
        check_entry(
            bool(NAME.fullmatch(name)), 'name', 'letters, digits and ._+-, at most 80 of them'
        )
        check_entry(bool(self.network), 'network', 'given')
        check_entry(bool(self.weights), 'weights', "'random', 'pretrained' or a model")
        for side in ('height', 'width'):
            fits = getattr(self.input, side) <= LARGEST_INPUT
            check_entry(fits, f'input.{side}', f'at most {LARGEST_INPUT} pixels')
        check_entry(1 <= self.epochs <= 100_000, 'epochs', 'between 1 and 100000')
        check_entry(2 <= self.batch <= 65_536, 'batch', 'between 2 and 65536')
        check_entry(0 <= self.seed < 2**32, 'seed', 'between 0 and 4294967295')
        for entry, after in (
            ('schedule.warm_up', self.schedule.warm_up),
            ('freeze.thaw_after', self.freeze.thaw_after),
        ):
            check_entry(
                after < self.epochs,
                entry,
                f'below the number of epochs, which is {self.epochs}: set {entry} to 0, or epochs '
                f'to more than {after:g}',
            )
        if self.freeze.up_to != 'nothing' and self.weights == 'random':
            raise RecipeError(
                'freeze.up_to freezes random weights, from which nothing can be learnt; set '
                "weights = 'pretrained' or a model, or freeze nothing."
            )
        if self.freeze.views and self.freeze.up_to != 'everything':
            raise RecipeError("freeze.views needs freeze.up_to = 'everything'.")
        if self.network in _LUNGS_ONLY:
            _check_lungs_only(self.network, self.input, self.augmentation)
        if self.head.single and self.loss.name == 'cross-entropy':
            raise RecipeError(
                'A softmax over one unit is always 1, so nothing would be learnt: with '
                "head.single set loss.name = 'binary cross-entropy'."
            )
        coloured = [name for name in COLOURED if getattr(self.augmentation, name)]
        if coloured and self.input.channels != 3:
            raise RecipeError(
                f'augmentation.{coloured[0]} changes colours, and the input has one channel; '
                'set input.channels = 3.'
            )

    @property
    def split_seed(self) -> int:
        """The seed of the split: `split.seed`, or that of everything."""
        return self.seed if self.split.seed is None else self.split.seed

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some entries changed.

        Parameters
        ----------
        changes : mapping
            Entries by name, such as ``{'optimiser.learning_rate': 1e-4}``.

        Raises
        ------
        RecipeError
            If there is no such entry, or the changed recipe is not valid.
        """
        entries = self.to_dict()
        for place, value in changes.items():
            *tables, name = place.split('.')
            table = entries
            for step in tables:
                inner = table.setdefault(step, {})
                check_entry(isinstance(inner, dict), place, 'the name of an entry')
                table = inner
            table[name] = value
        return self.from_dict(entries)

    def differences(self, other: Recipe) -> dict[str, Any]:
        """Return the entries in which another recipe differs, as `with_changes` takes them."""
        found: dict[str, Any] = {}
        for entry in fields(self):
            mine, theirs = getattr(self, entry.name), getattr(other, entry.name)
            if is_dataclass(mine):
                found |= {
                    f'{entry.name}.{inner.name}': as_table(getattr(theirs, inner.name))
                    for inner in fields(mine)
                    if getattr(mine, inner.name) != getattr(theirs, inner.name)
                }
            elif mine != theirs:
                found[entry.name] = theirs
        return found

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Recipe:
        """Build from nested tables.

        Raises
        ------
        RecipeError
            If an entry is unknown, missing, of the wrong type or out of range.
        """
        recipe: Recipe = build_from_table(cls, entries)
        return recipe

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """Read TOML; raises RecipeError like `from_dict`, and if it is not TOML."""
        try:
            entries = parse_toml(text)
        except ValueError as error:
            raise RecipeError(f'The recipe is not TOML: {error}.') from None
        return cls.from_dict(entries)

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables of plain values."""
        table: dict[str, Any] = as_table(self)
        return table

    def to_toml(self) -> str:
        """Write TOML that `from_toml` reads back to an equal recipe."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


def _check_lungs_only(
    network: str, prepared: Preprocessing, augmentation: AugmentationRecipe
) -> None:
    """Refuse an input in which such a network would not find the lungs.

    Raises
    ------
    RecipeError
        It says what to set.
    """
    plain = set(prepared.mean) == {0.0} and set(prepared.std) == {1.0}
    if prepared.lungs != 'only' or not plain:
        raise RecipeError(
            f"The network {network} needs lungs on black: set input.lungs = 'only', "
            'input.mean = [0.0] and input.std = [1.0].'
        )
    for entry in fields(augmentation):
        if entry.name not in _KEEPS_BLACK and getattr(augmentation, entry.name) != entry.default:
            raise RecipeError(
                f'The network {network} recognises the lungs by the black around them, and '
                f'augmentation.{entry.name} changes it; leave it out.'
            )


def names() -> list[str]:
    """Return the names of all recipes: those of napari-cxr first, then those of other packages."""
    return recipe_names('recipe', Recipe.from_toml)


def find(name_or_path: str | Path) -> Recipe:
    """Read a recipe by its name, or from a file.

    Raises
    ------
    RecipeError
        If there is no such recipe, or it is not valid.
    """
    return Recipe.from_toml(toml_text(name_or_path, 'recipe', Recipe.from_toml))
