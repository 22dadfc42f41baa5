"""The recipes that come with the package, and a person's own files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from napari_cxr.training.recipe.tables import RecipeError
from napari_cxr.training.recipe.whole import Recipe

__all__ = ['find', 'names']


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
