"""What a person set up for a folder of images, kept so that nothing is lost with napari."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from napari_cxr.training.recipe import Recipe, RecipeError

__all__ = ['keep', 'recall']


def keep(source: str, recipe: Recipe) -> None:
    """Keep the recipe that was last set up for a folder or table; a full disk is no error."""
    path = _path_of(source)
    part = path.with_suffix('.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(recipe.to_toml(), encoding='utf-8')
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)


def recall(source: str) -> Recipe | None:
    """Return the recipe that was kept for a folder or table, if there is one."""
    try:
        return Recipe.from_toml(_path_of(source).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, RecipeError):
        return None


def _path_of(source: str) -> Path:
    from platformdirs import user_data_path

    # A folder's name may say more than it should, so the file is not named after it.
    name = hashlib.sha256(str(Path(source).resolve()).encode()).hexdigest()[:20]
    return user_data_path('napari-cxr', appauthor=False) / 'drafts' / f'{name}.toml'
