"""The model that a run starts from: its file, and how the run's recipe names it.

A path would tell of a person's computer, so a run's folder and its models name a file by
its card's name and its SHA-256. The run keeps a copy until it is finished, so that it can
be resumed wherever the file has gone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from napari_cxr.checkpoint import CheckpointError, catalog, read_card
from napari_cxr.checkpoint.file import digest
from napari_cxr.training.recipe import Recipe, RecipeError

__all__ = ['FILE', 'find_model', 'is_hashed']

#: Name of the copy in a run's folder.
FILE = 'start.safetensors'
_HASHED = re.compile(r'(?P<name>.+)@sha256:(?P<digest>[0-9a-f]{64})')


def is_hashed(weights: str) -> bool:
    """Return whether an entry `weights` names a model by its name and hash."""
    return _HASHED.fullmatch(weights) is not None


def find_model(recipe: Recipe, folder: Path) -> tuple[Recipe, Path | None]:
    """Return a recipe without a path in `weights`, and the file that it means.

    Parameters
    ----------
    recipe : Recipe
        As a person gave it, or as a run kept it.
    folder : Path
        The run's, which may hold a copy.

    Returns
    -------
    recipe : Recipe
        With ``NAME@sha256:HASH`` where `weights` was a file, else as it is.
    file : Path or None
        None where it starts from no model, from one in the catalog by its name alone, or
        from a file that is nowhere to be found any more.

    Raises
    ------
    RecipeError
        If the file is no model.
    """
    if os.path.isfile(recipe.weights):
        path = Path(recipe.weights)
        try:
            named = f'{read_card(path).name}@sha256:{digest(path)}'
        except (CheckpointError, OSError) as error:
            raise RecipeError(f'weights: {error}') from None
        return recipe.with_changes({'weights': named}), path
    known = _HASHED.fullmatch(recipe.weights)
    if known is None:
        return recipe, None
    places = [folder / FILE]
    for entry in catalog.entries():
        names = (entry.name, entry.card.name if entry.card else '')
        if entry.path is not None and known['name'] in names:
            places.append(entry.path)
    for path in places:
        if path.is_file() and digest(path) == known['digest']:
            return recipe, path
    return recipe, None
