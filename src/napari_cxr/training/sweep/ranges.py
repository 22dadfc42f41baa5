"""What a search may try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from napari_cxr.training.recipe.tables import RecipeError, check

__all__ = ['Range', 'Search']


@dataclass(frozen=True)
class Range:
    """What one entry of a recipe may be: one of `choices`, or a number from low to high.

    Parameters
    ----------
    choices : tuple
        Texts, numbers or booleans; empty where `low` and `high` are given.
    low, high : float
        Both ends, which may themselves be taken. Two whole numbers give whole numbers.
    log : bool
        Whether the numbers are tried evenly on a log scale.
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
        """Build from TOML; raises RecipeError where it makes no sense."""
        where = f'search.ranges.{place}'
        check(isinstance(table, dict), where, 'a table')
        entries: dict[str, Any] = dict(table)  # type: ignore[call-overload]
        if 'choices' in entries:
            choices = entries.pop('choices')
            plain = isinstance(choices, list) and all(
                isinstance(choice, str | int | float) for choice in choices
            )
            check(plain and bool(choices), where, 'choices of texts, numbers or booleans')
            check(not entries, where, 'choices alone, or low and high')
            return cls(choices=tuple(choices))
        low, high, log = (entries.pop(name, None) for name in ('low', 'high', 'log'))
        check(not entries, where, 'choices, or low, high and log')
        for end in (low, high):
            number = isinstance(end, int | float) and not isinstance(end, bool)
            check(number, where, 'choices, or the numbers low and high')
        check(low < high, where, 'from a lower number to a higher one')
        check(log in (None, True, False), f'{where}.log', 'true or false')
        check(not log or low > 0, where, 'above 0 on a log scale')
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
        Runs in all, those that are given up included.
    sampler : {'tpe', 'random', 'grid'}
        Tree of Parzen estimators (Bergstra et al. 2011), at random, or every
        combination of choices.
    ranges : dict of str to Range
        By the place of the entry, such as 'optimiser.learning_rate'.
    """

    trials: int
    sampler: Literal['tpe', 'random', 'grid']
    ranges: dict[str, Range]

    @classmethod
    def from_table(cls, table: object) -> Search:
        """Build from TOML; raises RecipeError where it makes no sense."""
        check(isinstance(table, dict), 'search', 'a table')
        entries: dict[str, Any] = dict(table)  # type: ignore[call-overload]
        ranges = entries.pop('ranges', {})
        check(isinstance(ranges, dict) and bool(ranges), 'search.ranges', 'a table, not empty')
        sampler = entries.pop('sampler', 'tpe')
        known = ('tpe', 'random', 'grid')
        check(sampler in known, 'search.sampler', f'one of {", ".join(map(repr, known))}')
        found = {place: Range.from_table(place, inner) for place, inner in ranges.items()}
        combinations = 1
        for place, one in found.items():
            if sampler == 'grid':
                check(bool(one.choices), f'search.ranges.{place}', 'choices, for a grid')
                combinations *= len(one.choices)
        trials = entries.pop('trials', combinations if sampler == 'grid' else 20)
        whole = isinstance(trials, int) and not isinstance(trials, bool)
        check(whole and 1 <= trials <= 100_000, 'search.trials', 'between 1 and 100000')
        if entries:
            raise RecipeError(f'search.{next(iter(entries))} is no entry of a search.')
        if sampler == 'grid':
            trials = min(trials, combinations)
        return cls(trials, sampler, found)

    def to_table(self) -> dict[str, Any]:
        """Return what `from_table` reads back."""
        ranges = {place: one.to_table() for place, one in self.ranges.items()}
        return {'trials': self.trials, 'sampler': self.sampler, 'ranges': ranges}
