"""Recipes and sweeps by name: those of napari-cxr, and those of other installed packages.

A package offers its own through the entry-point group ``napari_cxr.recipes``. The entry point
names either a package whose folder holds TOML files, or a function without arguments that
returns TOML texts. A TOML file with an entry ``base`` is a sweep, any other is a recipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from napari_cxr.output_text import get_logger
from napari_cxr.settings_file import parse_toml, read_settings
from napari_cxr.training.recipe.schema import RecipeError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ['ENTRY_POINT_GROUP', 'recipe_names', 'toml_text']

ENTRY_POINT_GROUP = 'napari_cxr.recipes'

log = get_logger(__name__)

Kind = Literal['recipe', 'sweep']

#: Where those of napari-cxr are, in its package.
_FOLDERS = {'recipe': 'recipes', 'sweep': 'recipes/sweeps'}


def recipe_names(kind: Kind, parse: Callable[[str], object]) -> list[str]:
    """Return the names of all recipes or sweeps, those of napari-cxr first.

    Parameters
    ----------
    kind : {'recipe', 'sweep'}
        Which of the two.
    parse : callable
        Reads the TOML text of one; raises `RecipeError` if it is not valid.
    """
    return [*_builtin_names(kind), *sorted(_installed(kind, parse))]


def toml_text(name_or_path: str | Path, kind: Kind, parse: Callable[[str], object]) -> str:
    """Return the TOML text of a recipe or sweep, by its name or from a file.

    Parameters
    ----------
    name_or_path : str or Path
        A name that `recipe_names` lists, or a file.
    kind, parse
        As of `recipe_names`.

    Raises
    ------
    RecipeError
        If there is no such recipe, or the file is not a text file.
    """
    text = str(name_or_path)
    if text in _builtin_names(kind):
        return _builtin_folder(kind).joinpath(f'{text}.toml').read_text(encoding='utf-8')
    installed = _installed(kind, parse)
    if text in installed:
        return installed[text]
    path = Path(name_or_path)
    if not os.path.lexists(path):
        known = ', '.join(recipe_names(kind, parse))
        raise RecipeError(f'There is no {kind} {text!r}: give a TOML file, or one of {known}.')
    try:
        return read_settings(path)
    except OSError as error:
        why = error.strerror
    except ValueError as error:
        why = str(error)
    raise RecipeError(f'The {kind} {path.name} cannot be read: {why}.')


def _builtin_folder(kind: Kind) -> Traversable:
    return resources.files('napari_cxr').joinpath(_FOLDERS[kind])


@cache
def _builtin_names(kind: Kind) -> tuple[str, ...]:
    return tuple(sorted(name for name, _ in _toml_files(_builtin_folder(kind))))


def _toml_files(
    folder: Traversable,
) -> Iterator[tuple[str, Traversable]]:
    for file in folder.iterdir():
        if file.name.endswith('.toml'):
            yield file.name.removesuffix('.toml'), file


@cache  # the form asks often, and a broken entry should be reported once
def _installed(kind: Kind, parse: Callable[[str], object]) -> Mapping[str, str]:
    """Return the TOML texts of other packages by name, without those that are not valid."""
    found: dict[str, str] = {}
    for package, name, text in _installed_texts():
        try:
            if _kind_of(text) != kind:
                continue
            parse(text)
            if name in found or name in _builtin_names(kind):
                raise RecipeError(f'There is another {kind} of that name.')
        except RecipeError as error:
            log.error('The %s %r of %s is left out: %s', kind, name, package, error)
        else:
            found[name] = text
    return found


@cache
def _installed_texts() -> tuple[tuple[str, str, str], ...]:
    """Return package, name and text of each TOML file; entry points that fail are left out."""
    found: list[tuple[str, str, str]] = []
    for entry in metadata.entry_points(group=ENTRY_POINT_GROUP):
        package = entry.dist.name if entry.dist is not None else entry.value
        try:
            found += [(package, name, text) for name, text in _texts_of(entry.load())]
        except Exception as error:  # whatever another package does wrong costs its own only
            log.error('The recipes %r of %s are left out: %s', entry.name, package, error)
    return tuple(found)


def _texts_of(offered: object) -> list[tuple[str, str]]:
    if isinstance(offered, ModuleType):
        files = _toml_files(resources.files(offered))
        return [(name, file.read_text(encoding='utf-8')) for name, file in files]
    if not callable(offered):
        raise TypeError('it is neither a package with TOML files nor a function')
    texts: str | Iterable[str] = offered()
    every = [texts] if isinstance(texts, str) else texts
    return [(_name_of(text), text) for text in every]


def _name_of(text: str) -> str:
    try:
        return str(parse_toml(text).get('name', ''))
    except ValueError:
        return ''  # which is reported when it is parsed


def _kind_of(text: str) -> Kind:
    try:
        return 'sweep' if 'base' in parse_toml(text) else 'recipe'
    except ValueError:
        return 'recipe'
