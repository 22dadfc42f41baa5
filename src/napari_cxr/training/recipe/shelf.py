"""The recipes and sweeps that come with the package, and a person's own files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from napari_cxr.training.recipe.tables import RecipeError
from napari_cxr.training.recipe.whole import Recipe

__all__ = ['find', 'names', 'shipped', 'text_of']


def names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return shipped('recipes')


def find(name_or_path: str | Path) -> Recipe:
    """Read a recipe by the name of a shipped one, or from a file.

    Raises
    ------
    RecipeError
        If there is none, or it makes no sense.
    """
    return Recipe.from_toml(text_of(name_or_path, 'recipes', 'recipe'))


def shipped(folder: str) -> list[str]:
    """Return the names of the TOML files in a folder of the package, sorted.

    Parameters
    ----------
    folder : str
        Such as 'recipes' or 'recipes/sweeps'.
    """
    return sorted(
        file.name.removesuffix('.toml')
        for file in resources.files('napari_cxr').joinpath(folder).iterdir()
        if file.name.endswith('.toml')
    )


def text_of(name_or_path: str | Path, folder: str, kind: str) -> str:
    """Read a TOML file by the name of a shipped one, or a person's own.

    Parameters
    ----------
    name_or_path : str or Path
        A name from `shipped`, or a file.
    folder : str
        Where in the package the shipped ones stand.
    kind : str
        What it is, for messages: 'recipe'.

    Raises
    ------
    RecipeError
        If there is no such file, or it is no text.
    """
    text, known = str(name_or_path), shipped(folder)
    if text in known:
        file = resources.files('napari_cxr').joinpath(folder, f'{text}.toml')
        return file.read_text(encoding='utf-8')
    path = Path(name_or_path)
    if not path.is_file():
        raise RecipeError(
            f'There is no {kind} {text!r}: give a TOML file, or one of {", ".join(known)}.'
        )
    try:
        return path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f'The {kind} {path.name} cannot be read: {error}.') from None
