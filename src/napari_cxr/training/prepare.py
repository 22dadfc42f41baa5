"""From a labelled folder to images that can be learned from, and what belongs together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace

import numpy as np

from napari_cxr.training import duplicates
from napari_cxr.training.cache import Reader
from napari_cxr.training.dataset import SPLITS, Dataset, DatasetError
from napari_cxr.training.events import Event, Warned
from napari_cxr.training.material import Material, gather
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.splits import enough

__all__ = ['Material', 'grouped', 'prepare']


def prepare(
    dataset: Dataset, recipe: Recipe, reader: Reader | None = None, run: str = ''
) -> Generator[Event, None, Material]:
    """Read what a recipe uses of a data set, and put together what belongs together.

    Parameters
    ----------
    dataset : Dataset
        As `index` found it.
    recipe : Recipe
        Its input and data are honoured here: images that a person left out are gone, and
        patients are known from the file's name, the table or the DICOM header, joined by
        near-duplicates and by hand. Of a limit, so many images are read that every part of
        a split can be filled.
    reader : Reader, optional
        Who decodes; `read_here` by default. Where files may be hostile, a pool of decoders.
    run : str
        Name of the run, for its events.

    Yields
    ------
    Event
        `Reading`, `Skipped`, and `Warned`.

    Returns
    -------
    Material

    Raises
    ------
    DatasetError
        If no image can be used, or none of a class.
    """
    dataset = replace(dataset, limit=recipe.data.limit, balance=recipe.data.balance)
    dataset = dataset.at(enough(dataset, recipe.split, recipe.seed))
    everything = yield from gather(dataset, recipe, reader, run)
    left_out = set(recipe.data.exclude)
    for text in _forgotten(everything, recipe):
        yield Warned(run, text)
    kept = [i for i, digest in enumerate(everything.digests) if digest not in left_out]
    for label in everything.dataset.labels:
        if not any(label in everything.dataset.samples[i].labels for i in kept):
            raise DatasetError(
                f'Every image of the class {label!r} is left out by data.exclude; take some '
                'of them back, or leave the class out in data.classes.'
            )
    material = everything.at(kept)
    pairs = duplicates.find(material.thumbnails)[0] if recipe.data.duplicates else ()
    material = grouped(material, recipe, pairs)
    if torn := material.dataset.torn:
        yield Warned(
            run,
            f'The given splits divide {torn} pairs of near-duplicates between them, so figures '
            "are better than they should be; set split.method to 'holdout', or put such images "
            'into one group.',
        )
    return material


def _forgotten(everything: Material, recipe: Recipe) -> Iterator[str]:
    """Yield what the recipe or the table says in vain."""
    named = set(recipe.data.exclude).union(*recipe.data.together)
    unknown = named - set(everything.digests)
    if unknown and not recipe.data.limit:  # with a limit, not all are looked at
        yield (
            f'{len(unknown)} of the {len(named)} images that data.exclude and data.together name '
            'are not here, or changed since; see whether the recipe was made for these images.'
        )
    samples = everything.dataset.samples
    given = sum(bool(sample.split) for sample in samples)
    if recipe.split.method == 'auto' and 0 < given < len(samples):
        yield (
            f'Only {given} of {len(samples)} images have a split, so none of these splits is '
            "used, and shares are held out; fill the table's column 'split' to use them."
        )


def grouped(
    material: Material, recipe: Recipe, pairs: Iterable[tuple[int, int]] | np.ndarray
) -> Material:
    """Join the groups of near-duplicates and of images that a person put together.

    Where splits are given, near-duplicates on two sides stay there, and are counted;
    images that a person put together all come to the training side, or else to val.

    Parameters
    ----------
    material : Material
        The images, in groups by patient.
    recipe : Recipe
        Whose data are put together and whose split may be given.
    pairs : iterable of (int, int)
        Places of near-duplicates.
    """
    dataset = material.dataset
    given = recipe.split.method in ('auto', 'given') and dataset.has_splits
    by_hand = _Groups(dataset)
    for digests in recipe.data.together:
        names = set(digests)
        by_hand.join([i for i, digest in enumerate(material.digests) if digest in names])
    if given and recipe.data.together:
        dataset = _on_one_side(dataset, by_hand)
    groups, torn = _Groups(dataset, by_hand), 0
    for first, second in pairs:
        sides = {dataset.samples[first].split, dataset.samples[second].split}
        if given and len(sides) > 1:
            torn += 1
        else:
            groups.join([first, second])
    names_of = groups.names()
    samples = tuple(
        replace(sample, group=name) for sample, name in zip(dataset.samples, names_of, strict=True)
    )
    return replace(material, dataset=replace(dataset, samples=samples, torn=torn))


def _on_one_side(dataset: Dataset, groups: _Groups) -> Dataset:
    """Bring what was put together to one given split; the test split may only lose."""
    before = Counter(sample.group for sample in dataset.samples)
    after = groups.names()
    now = Counter(after)
    members: dict[str, list[int]] = {}
    for i, name in enumerate(after):
        if now[name] > before[dataset.samples[i].group]:
            members.setdefault(name, []).append(i)
    samples = list(dataset.samples)
    for places in members.values():
        present = {samples[i].split for i in places}
        side = next(name for name in SPLITS if name in present)
        for i in places:
            samples[i] = replace(samples[i], split=side)
    return replace(dataset, samples=tuple(samples))


class _Groups:
    """Groups of images that grow together: disjoint sets over the names of groups."""

    def __init__(self, dataset: Dataset, others: _Groups | None = None) -> None:
        self._own = [sample.group for sample in dataset.samples]
        self._above: dict[str, str] = {} if others is None else dict(others._above)

    def join(self, places: Iterable[int]) -> None:
        roots = [self._root(self._own[i]) for i in places]
        for root in roots[1:]:
            if root != roots[0]:
                self._above[root] = roots[0]

    def names(self) -> list[str]:
        return [self._root(name) for name in self._own]

    def _root(self, name: str) -> str:
        while name in self._above:
            name = self._above[name]
        return name
