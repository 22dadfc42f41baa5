"""The runs of a sweep, or the ranges of a search, as frozen dataclasses from and to TOML."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from napari_cxr.settings_file import parse_toml
from napari_cxr.training.recipe.learning_sections import Metric
from napari_cxr.training.recipe.recipe import Recipe
from napari_cxr.training.recipe.recipe import find as find_recipe
from napari_cxr.training.recipe.recipe_catalog import recipe_names, toml_text
from napari_cxr.training.recipe.schema import RecipeError, check_entry

__all__ = ['Range', 'Search', 'Sweep', 'SweepRun', 'find', 'names']


@dataclass(frozen=True)
class Range:
    """Values that a search tries for one entry of a recipe: choices, or a range of numbers.

    Parameters
    ----------
    choices : tuple
        Strings, numbers or booleans; empty if `low` and `high` are given.
    low, high : float
        Both ends, inclusive. Two whole numbers give whole numbers.
    log : bool
        Whether numbers are drawn uniformly on a log scale.
    """

    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @classmethod
    def from_table(cls, place: str, table: object) -> Range:
        """Build from TOML; raises RecipeError if it is not valid."""
        where = f'search.ranges.{place}'
        check_entry(isinstance(table, dict), where, 'a table')
        entries: dict[str, Any] = dict(table)  # type: ignore[call-overload]
        if 'choices' in entries:
            choices = entries.pop('choices')
            plain = isinstance(choices, list) and all(
                isinstance(choice, str | int | float) for choice in choices
            )
            check_entry(plain and bool(choices), where, 'choices of texts, numbers or booleans')
            check_entry(not entries, where, 'choices alone, or low and high')
            return cls(choices=tuple(choices))
        low, high, log = (entries.pop(name, None) for name in ('low', 'high', 'log'))
        check_entry(not entries, where, 'choices, or low, high and log')
        for end in (low, high):
            number = isinstance(end, int | float) and not isinstance(end, bool)
            check_entry(number, where, 'choices, or the numbers low and high')
        check_entry(low < high, where, 'from a lower number to a higher one')
        check_entry(log in (None, True, False), f'{where}.log', 'true or false')
        check_entry(not log or low > 0, where, 'above 0 on a log scale')
        return cls(low=low, high=high, log=bool(log))

    def to_table(self) -> dict[str, Any]:
        """Return what `from_table` reads back."""
        if self.choices:
            return {'choices': list(self.choices)}
        return {'low': self.low, 'high': self.high, 'log': self.log}


@dataclass(frozen=True)
class Search:
    """Optuna's search over ranges.

    Parameters
    ----------
    trials : int
        Number of runs, including those that are pruned.
    sampler : {'tpe', 'random', 'grid'}
        Tree-structured Parzen estimator (Bergstra et al. 2011), random, or every
        combination of choices.
    ranges : dict of str to Range
        By entry, such as 'optimiser.learning_rate'.
    """

    trials: int
    sampler: Literal['tpe', 'random', 'grid']
    ranges: dict[str, Range]

    @classmethod
    def from_table(cls, table: object) -> Search:
        """Build from TOML; raises RecipeError if it is not valid."""
        check_entry(isinstance(table, dict), 'search', 'a table')
        entries: dict[str, Any] = dict(table)  # type: ignore[call-overload]
        ranges = entries.pop('ranges', {})
        check_entry(
            isinstance(ranges, dict) and bool(ranges), 'search.ranges', 'a table, not empty'
        )
        sampler = entries.pop('sampler', 'tpe')
        known = ('tpe', 'random', 'grid')
        check_entry(sampler in known, 'search.sampler', f'one of {", ".join(map(repr, known))}')
        found = {place: Range.from_table(place, inner) for place, inner in ranges.items()}
        combinations = 1
        for place, one in found.items():
            if sampler == 'grid':
                check_entry(bool(one.choices), f'search.ranges.{place}', 'choices, for a grid')
                combinations *= len(one.choices)
        trials = entries.pop('trials', combinations if sampler == 'grid' else 20)
        whole = isinstance(trials, int) and not isinstance(trials, bool)
        check_entry(whole and 1 <= trials <= 100_000, 'search.trials', 'between 1 and 100000')
        if entries:
            raise RecipeError(f'search.{next(iter(entries))} is not an entry of a search.')
        if sampler == 'grid':
            trials = min(trials, combinations)
        return cls(trials, sampler, found)

    def to_table(self) -> dict[str, Any]:
        """Return what `from_table` reads back."""
        ranges = {place: one.to_table() for place, one in self.ranges.items()}
        return {'trials': self.trials, 'sampler': self.sampler, 'ranges': ranges}


_NAME = re.compile(r'[A-Za-z0-9][\w.+-]{0,59}')

_LONGEST = 60  # characters of a run's name, which is a folder's


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Parameters
    ----------
    name : str
        Name of its folder.
    recipe : Recipe
        What it does.
    """

    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Sweep:
    """Several runs that differ in some entries of a recipe.

    In TOML, ``base`` is a recipe by name or a table; each of ``[[runs]]`` lists the entries
    that it changes, and may have a ``name`` and a ``base`` of its own; ``[grid]`` has lists
    of values of which every combination is run (for each of the runs, if there are both);
    or ``[search]`` leaves the choice to Optuna. If an entry of a run is a table of the
    recipe, only the entries in it are changed.

    Parameters
    ----------
    name : str
        Short name.
    base : Recipe
        The recipe that the runs change.
    runs : tuple of SweepRun
        In order; empty for a search.
    search : Search or None
        The search, if it is one.
    metric : {'macro_auc', 'macro_f1', 'balanced_accuracy', 'accuracy', 'loss'}
        Metric of the validation split by which runs are compared.
    title, paper : str
        One line for people, and the paper that it follows.
    """

    name: str
    base: Recipe
    runs: tuple[SweepRun, ...] = ()
    search: Search | None = None
    metric: Metric = 'macro_auc'
    title: str = ''
    paper: str = ''

    def __post_init__(self) -> None:
        check_entry(
            bool(_NAME.fullmatch(self.name)), 'name', 'letters, digits and ._+-, at most 60'
        )
        check_entry(
            self.metric in get_args(Metric), 'metric', f'one of {", ".join(get_args(Metric))}'
        )
        one_kind = bool(self.runs) != (self.search is not None)
        check_entry(
            one_kind, 'A sweep', 'made of runs (or a grid), or of a search, and not of both'
        )
        taken = [run.name for run in self.runs]
        twice = next((name for name in taken if taken.count(name) > 1), '')
        check_entry(not twice, f'runs: the name {twice!r}', 'that of one run only')

    def recipe_of(self, run: str, changes: Mapping[str, Any]) -> Recipe:
        """Return the base with some entries changed, under the name of a run."""
        return self.base.with_changes({**changes, **_named(self.name, run, self.base)})

    def with_changes(self, changes: Mapping[str, Any]) -> Sweep:
        """Return the sweep with some entries of every run changed.

        Raises
        ------
        RecipeError
            If there is no such entry, or a changed recipe is not valid.
        """
        runs = tuple(SweepRun(r.name, r.recipe.with_changes(changes)) for r in self.runs)
        return dataclasses.replace(self, base=self.base.with_changes(changes), runs=runs)

    @classmethod
    def from_toml(cls, text: str) -> Sweep:
        """Read TOML.

        Raises
        ------
        RecipeError
            If it is not TOML, an entry is unknown, or a run is not valid.
        """
        try:
            table = parse_toml(text)
        except ValueError as error:
            raise RecipeError(f'The sweep is not TOML: {error}.') from None
        known = ('name', 'title', 'paper', 'metric', 'base', 'runs', 'grid', 'search')
        for key in table:
            if key not in known:
                raise RecipeError(
                    f'{key} is not an entry of a sweep; the entries are {", ".join(known)}.'
                )
        for key in ('name', 'base'):
            if key not in table:
                raise RecipeError(f'The sweep lacks {key}.')
        for key in ('name', 'title', 'paper'):
            check_entry(isinstance(table.get(key, ''), str), key, 'a text')
        search = Search.from_table(table['search']) if 'search' in table else None
        base = _base(table['base'], table['name'])
        sweep = cls(
            name=table['name'],
            base=base,
            runs=tuple(_runs(table['name'], base, table.get('runs', []), table.get('grid', {}))),
            search=search,
            metric=table.get('metric', 'macro_auc'),
            title=table.get('title', ''),
            paper=table.get('paper', ''),
        )
        if search is not None:  # a range of an unknown entry shows before the first run
            tried = {p: r.choices[0] if r.choices else r.low for p, r in search.ranges.items()}
            sweep.recipe_of('trial', tried)
        return sweep

    def to_toml(self) -> str:
        """Write TOML that `from_toml` reads back to an equal sweep."""
        import tomli_w

        table: dict[str, Any] = {
            'name': self.name,
            'title': self.title,
            'paper': self.paper,
            'metric': self.metric,
            'base': self.base.to_dict(),
        }
        if self.search is not None:
            table['search'] = self.search.to_table()
        else:
            table['runs'] = [
                {'name': run.name, **_differences(self.base, run.recipe)} for run in self.runs
            ]
        return tomli_w.dumps(table)


def names() -> list[str]:
    """Return the names of all sweeps: those of napari-cxr first, then those of other packages."""
    return recipe_names('sweep', Sweep.from_toml)


def find(name_or_path: str | Path) -> Sweep:
    """Read a sweep by its name, or from a file.

    Raises
    ------
    RecipeError
        If there is no such sweep, or it is not valid.
    """
    return Sweep.from_toml(toml_text(name_or_path, 'sweep', Sweep.from_toml))


def _base(given: object, name: str) -> Recipe:
    if isinstance(given, str):
        return find_recipe(given)
    check_entry(isinstance(given, dict), 'base', 'the name of a recipe, or a table')
    return Recipe.from_dict({'name': name, **given})  # type: ignore[dict-item]


def _runs(sweep: str, base: Recipe, listed: object, grid: object) -> Iterator[SweepRun]:
    """Yield the listed runs, each with every combination of the grid's values."""
    check_entry(isinstance(listed, list), 'runs', 'a list of tables, [[runs]]')
    check_entry(isinstance(grid, dict), 'grid', 'a table of lists')
    values: dict[str, list[Any]] = grid  # type: ignore[assignment]
    for place, options in values.items():
        check_entry(
            isinstance(options, list) and bool(options), f'grid.{place}', 'a list of values'
        )
    tables: list[dict[str, Any]] = list(listed) or [{}] * bool(values)  # type: ignore[call-overload]
    combinations = list(itertools.product(*values.values()))
    digits = len(str(len(tables) * len(combinations)))
    numbers = itertools.count(1)
    for table in tables:
        check_entry(isinstance(table, dict), 'runs', 'a list of tables, [[runs]]')
        rest = {key: value for key, value in table.items() if key not in ('name', 'base')}
        start = find_recipe(table['base']) if 'base' in table else base
        for combination in combinations:
            number = f'{next(numbers):0{digits}}'
            name = table.get('name', '')
            if values or not name:
                words = (name, *(_word(p, v) for p, v in zip(values, combination, strict=True)))
                name = '-'.join((number, *filter(None, words)))[:_LONGEST]
            check_entry(bool(_NAME.fullmatch(name)), 'runs.name', 'letters, digits and ._+-')
            changes = _places(start, rest)
            for place, value in zip(values, combination, strict=True):
                changes |= _places(start, {place: value})
            try:
                recipe = start.with_changes({**changes, **_named(sweep, name, start)})
            except RecipeError as error:
                raise RecipeError(f'Run {name!r}: {error}') from None
            yield SweepRun(name, recipe)


def _word(place: str, value: object) -> str:
    """Return a value as a part of a folder's name."""
    text = '-'.join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, bool | dict):
        text = f'{place.rpartition(".")[2]}-{text}'
    return re.sub(r'[^\w.+-]+', '-', text).strip('-')


def _named(sweep: str, run: str, base: Recipe) -> dict[str, str]:
    """Return the entries that name a run's recipe, and its model."""
    name = f'{sweep}-{run}'[:80]
    return {'name': name} | ({'card.name': name} if base.card.name else {})


def _places(part: Any, table: Mapping[str, Any], where: str = '') -> dict[str, Any]:
    """Return the entries of nested tables by name; only a recipe's own tables are opened."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = getattr(part, key, None)
        if isinstance(value, dict) and dataclasses.is_dataclass(inner):
            found |= _places(inner, value, f'{where}{key}.')
        else:
            found[f'{where}{key}'] = value
    return found


def _differences(base: Recipe, recipe: Recipe) -> dict[str, Any]:
    """Return the entries in which a recipe differs from another, apart from its name."""
    before, after = _places(base, base.to_dict()), _places(recipe, recipe.to_dict())
    return {
        place: value
        for place, value in after.items()
        if before[place] != value and place not in ('name', 'card.name')
    }
