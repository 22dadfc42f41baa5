"""Which sources are left out of what is learnt from, fold by fold."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from napari_cxr.training.dataset import Dataset, DatasetError
from napari_cxr.training.recipe import SplitRecipe

__all__ = ['left_out']


def left_out(dataset: Dataset, recipe: SplitRecipe) -> list[tuple[str, np.ndarray, int]]:
    """Return the test parts of the folds that leave sources out.

    Parameters
    ----------
    dataset : Dataset
        The images.
    recipe : SplitRecipe
        Its sets of sources, or each source alone.

    Returns
    -------
    list of (str, ndarray of int, int)
        The fold's name, fit for a folder; the places of the images that it tests; and a
        number that follows from its sources alone.

    Raises
    ------
    DatasetError
        If an image has no source, there is only one, one is named that is not there, or a
        class is left without images.
    """
    sources = [sample.source for sample in dataset.samples]
    names = sorted(set(sources))
    if '' in names or len(names) < 2:
        lacking = sources.count('')
        why = f'{lacking} of {len(sources)} images have no source'
        raise DatasetError(
            f'The recipe leaves a source out, but '
            f'{why if lacking else f"all images are of one source, {names[0]!r}"}; '
            "fill the table's column 'source' or choose another data.layout, or set "
            "split.method to 'holdout'."
        )
    for name in (name for chosen in recipe.left_out for name in chosen):
        if name not in names:
            raise DatasetError(
                f'split.left_out: there is no source {name!r} to leave out; there are '
                f'{", ".join(repr(name) for name in names)}.'
            )
    out = []
    sets = recipe.left_out or tuple((name,) for name in names)
    folders = _for_folders(['-'.join(chosen) for chosen in sets])
    for chosen, folder in zip(sets, folders, strict=True):
        test = np.flatnonzero(np.isin(sources, chosen))
        _check_left(dataset, test, chosen)
        number = sum(names.index(name) for name in chosen)
        out.append((f'{"without" if recipe.left_out else "source"}-{folder}', test, number))
    return out


def _for_folders(names: list[str]) -> list[str]:
    """Return names fit for folders, each unlike the others."""
    fit = [re.sub(r'[^\w.-]+', '-', name) for name in names]
    plain = [name.casefold() for name in fit]
    return [
        name if plain.count(same) == 1 else f'{name}-{plain[: i + 1].count(same)}'
        for i, (name, same) in enumerate(zip(fit, plain, strict=True))
    ]


def _check_left(dataset: Dataset, test: np.ndarray, sources: Sequence[str]) -> None:
    tested = set(test.tolist())
    left = {
        label
        for i, sample in enumerate(dataset.samples)
        if i not in tested
        for label in sample.labels
    }
    one = len(sources) == 1
    for label in dataset.labels:
        if label not in left:
            raise DatasetError(
                f'Only the source{"s" * (not one)} {" and ".join(map(repr, sources))} '
                f'ha{"s" if one else "ve"} images of the class {label!r}, so without '
                f'{"it" if one else "them"} none are left to learn from; name other sources in '
                'split.left_out, or leave the class out in data.classes.'
            )
