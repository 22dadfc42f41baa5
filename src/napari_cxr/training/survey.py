"""What is in a labelled folder, told before anything is trained on it. Without torch."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cxr.training import duplicates, flags
from napari_cxr.training.cache import Reader
from napari_cxr.training.dataset import Dataset, DatasetError, index
from napari_cxr.training.events import Event, Skipped
from napari_cxr.training.material import Material, gather
from napari_cxr.training.no_anatomy import measure_baselines
from napari_cxr.training.prepare import grouped
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.splits import Split, divide

__all__ = ['Pair', 'Survey', 'survey']

#: Where the grey histogram stands among the features of the no-anatomy baselines.
_GREY = slice(12, 44)


@dataclass(frozen=True)
class Pair:
    """Two images that may be one.

    Parameters
    ----------
    first, second : int
        Places in the survey.
    distance : int
        Bits in which their perceptual hashes differ, of 64.
    similarity : float
        Correlation of their fine detail, 1 for copies.
    across : bool
        Whether a split, a class or a known patient lies between them.
    """

    first: int
    second: int
    distance: int
    similarity: float
    across: bool


@dataclass(frozen=True, eq=False)
class Survey(Event):
    """A data set as a recipe would use it.

    Parameters
    ----------
    labels : tuple of str
        The classes, K of them.
    paths : tuple of str
        The n images that can be used, in the order of all that follows.
    digests : tuple of str
        What recipes call them.
    truth : ndarray of bool, shape (n, K)
        Their labels.
    sources, groups : tuple of str
        Their collections ('' where unknown), and numbers for their patients.
    splits : tuple of str
        'train', 'val', 'test', or '' for images that the recipe leaves out.
    excluded : ndarray of bool, shape (n,)
        Images that a person left out.
    sizes : ndarray of int, shape (n, 2)
        Rows and columns of the files.
    histograms : ndarray, shape (K, bins)
        Mean share of each grey value, by class, over [0, 1].
    cooccurrence : ndarray of int, shape (K, K)
        Images with both labels.
    split_kind : str
        'by patient' or 'by image'.
    association : float
        Cramér's V of source and class, NaN with one source.
    flags : tuple of str
        Sentences about what would mislead, most serious first.
    baselines : dict of str to tuple of float
        Macro AUC of classifiers that see no anatomy, with its 95 % interval: value, low,
        high. Empty where there are too few images.
    pairs : tuple of Pair
        Near-duplicates, the most alike first.
    skipped : tuple of (str, str)
        Files that could not be used, and why.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    truth: np.ndarray
    sources: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    excluded: np.ndarray
    sizes: np.ndarray
    histograms: np.ndarray
    cooccurrence: np.ndarray
    split_kind: str
    association: float
    flags: tuple[str, ...]
    baselines: dict[str, tuple[float, float, float]]
    pairs: tuple[Pair, ...]
    skipped: tuple[tuple[str, str], ...]


def survey(
    source: str | Path, recipe: Recipe, reader: Reader | None = None, run: str = ''
) -> Generator[Event, None, Survey]:
    """Look at a data set as a recipe would use it.

    Images are read as for training, so what is seen here need not be decoded again. All
    are looked at, those as well that the recipe leaves out.

    Parameters
    ----------
    source : str or Path
        See `napari_cxr.training.index`.
    recipe : Recipe
        Its input, data, split and seed count.
    reader : Reader, optional
        See `napari_cxr.training.prepare.prepare`.
    run : str
        Name for its events.

    Yields
    ------
    Event
        As `prepare`, and more `Reading` while it computes, so that it can be closed.

    Returns
    -------
    Survey

    Raises
    ------
    DatasetError
        If there is nothing to look at. What only stands in the way of a split is the
        first of the survey's flags.
    """
    dataset = index(source, recipe.data)
    skipped: list[tuple[str, str]] = []
    steps = gather(dataset, recipe, reader, run)
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            everything: Material = end.value
            break
        if isinstance(event, Skipped):
            skipped.append((event.path, event.reason))
        yield event
    found = duplicates.find(everything.thumbnails)
    excluded = np.isin(everything.digests, list(recipe.data.exclude))
    groups, split, obstacle = _divided(everything, recipe, found[0], excluded)
    truth = _truth(everything.dataset)
    splits = [''] * len(truth)
    if split is not None:
        for place, name in zip(np.flatnonzero(~excluded), split.names(), strict=True):
            splits[place] = name
    used = np.flatnonzero(~excluded)
    baselines = yield from measure_baselines(everything.at(used), recipe.seed, run)
    sources = tuple(sample.source for sample in everything.dataset.samples)
    pairs = _pairs(everything.dataset, found, splits)
    return Survey(
        run=run,
        labels=everything.dataset.labels,
        paths=tuple(str(sample.path.absolute()) for sample in everything.dataset.samples),
        digests=everything.digests,
        truth=truth,
        sources=sources,
        groups=groups,
        splits=tuple(splits),
        excluded=excluded,
        sizes=everything.sizes,
        histograms=_histograms(everything.features[used][:, _GREY], truth[used]),
        cooccurrence=truth[used].T.astype(np.intp) @ truth[used],
        split_kind='by patient' if everything.dataset.grouped else 'by image',
        association=flags.association(np.array(sources)[used], truth[used]),
        flags=flags.of(everything.at(used), pairs, excluded, skipped, baselines, obstacle),
        baselines=baselines,
        pairs=pairs,
        skipped=tuple(skipped),
    )


def _divided(
    everything: Material, recipe: Recipe, pairs: np.ndarray, excluded: np.ndarray
) -> tuple[tuple[str, ...], Split | None, str]:
    """Return the number of each image's group, the split, and what stands in its way."""
    used = np.flatnonzero(~excluded)
    groups = [sample.group for sample in everything.dataset.samples]
    split, obstacle = None, ''
    try:
        place_of = {int(place): i for i, place in enumerate(used)}
        kept = [
            (place_of[a], place_of[b])
            for a, b in pairs.tolist()
            if recipe.data.duplicates and a in place_of and b in place_of
        ]
        dataset = grouped(everything.at(used), recipe, kept).dataset
        for place, sample in zip(used, dataset.samples, strict=True):
            groups[place] = sample.group
        if dataset.labels != everything.dataset.labels:
            lost = sorted(set(everything.dataset.labels) - set(dataset.labels))
            raise DatasetError(f'Every image of the class {lost[0]!r} is left out.')
        split = divide(dataset, recipe.split, recipe.seed)
    except DatasetError as error:
        obstacle = str(error)
    numbers: dict[str, int] = {}
    return tuple(str(numbers.setdefault(g, len(numbers))) for g in groups), split, obstacle


def _truth(dataset: Dataset) -> np.ndarray:
    labels = np.array(dataset.labels)
    return np.array([np.isin(labels, sample.labels) for sample in dataset.samples], dtype=bool)


def _histograms(grey: np.ndarray, truth: np.ndarray) -> np.ndarray:
    counts = np.maximum(truth.sum(axis=0), 1)
    return np.asarray(truth.T.astype(np.float64) @ grey / counts[:, None])


def _pairs(
    dataset: Dataset, found: tuple[np.ndarray, np.ndarray, np.ndarray], splits: list[str]
) -> tuple[Pair, ...]:
    out = []
    for (a, b), distance, similarity in zip(*(part.tolist() for part in found), strict=True):
        first, second = dataset.samples[a], dataset.samples[b]
        across = (
            first.label != second.label
            or (first.known and second.known and first.group != second.group)
            or (bool(splits[a]) and bool(splits[b]) and splits[a] != splits[b])
        )
        out.append(Pair(a, b, distance, similarity, across))
    return tuple(out)
