"""What is in a data set, and what in it would mislead, before anything is trained.

Importing this imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cxr.messages import message_type
from napari_cxr.training import duplicates
from napari_cxr.training.data_preparation import LoadedImages, group_duplicates, load_images
from napari_cxr.training.dataset import Dataset, DatasetError
from napari_cxr.training.dataset_index import index
from napari_cxr.training.pretraining_overlap import pretraining_warnings
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.recipe.schema import field_label
from napari_cxr.training.shortcut_baseline import measure_baselines
from napari_cxr.training.splits import Split, divide
from napari_cxr.training.training_events import ImageSkipped, TrainingEvent
from napari_cxr.training.training_image import ImageReader

__all__ = [
    'DuplicatePair',
    'Survey',
    'cramers_v',
    'dataset_warnings',
    'duplicate_pairs',
    'shortcut_warnings',
    'source_strength',
    'survey',
]

_STRONG = 0.5  # Cramér's V

_CHANCE = 0.01  # p of the association

_BASELINE = 0.8  # macro AUC

_FEW = 20  # patients

_SIZES = 12  # bins of image size

#: Titles of the sections in which a dock shows entries of the recipe.
_SECTIONS = {'data': 'Images', 'split': 'Splits'}

_ENTRY = re.compile(r'\b(data|split)\.([a-z]+)\b')


def dataset_warnings(
    images: LoadedImages,
    pairs: Sequence[DuplicatePair],
    excluded: np.ndarray,
    skipped: Sequence[tuple[str, str]],
    baselines: dict[str, tuple[float, float, float]],
    obstacle: str,
) -> tuple[str, ...]:
    """Return warnings of what would mislead, the most serious first.

    Entries of the recipe are named as in the dock.

    Parameters
    ----------
    images : LoadedImages
        The images that are used.
    pairs : sequence of DuplicatePair
        Near-duplicates among all images.
    excluded : ndarray of bool, shape (n,)
        Which of all images are excluded.
    skipped : sequence of (str, str)
        Files that cannot be used, and why.
    baselines : dict
        See `napari_cxr.training.shortcut_baseline`.
    obstacle : str
        Why the data set cannot be split, or empty.
    """
    out = [obstacle] if obstacle else []
    out += _duplicate_warnings(images, pairs, excluded)
    out += shortcut_warnings(images)
    if baselines:
        name, (value, low, high) = max(baselines.items(), key=lambda item: item[1][0])
        if value > _BASELINE:
            out.append(
                f'A classifier that sees only image size, borders and grey levels reaches a '
                f'macro AUC of {value:.3f} ({low:.3f} to {high:.3f}, {name}): a network must do '
                'clearly better before its metrics mean anything.'
            )
    if not images.dataset.grouped:
        some = any(sample.known for sample in images.dataset.samples)
        out.append(
            f'Patients are not {"all " * some}known, so the split is by image, and metrics are '
            'too high where a patient has several images; give a table with a column '
            "'patient', or set data.patient."
        )
    out += _class_warnings(images)
    if skipped:
        out.append(
            f'{len(skipped)} of {len(skipped) + len(excluded)} files cannot be used; see the '
            'list for why.'
        )
    return tuple(_ENTRY.sub(_as_labelled, text) for text in out)


def shortcut_warnings(images: LoadedImages) -> list[str]:
    """Return warnings of what tells classes apart without anatomy: sources, sizes, kinds of file.

    Entries of the recipe are named as in its file.
    """
    return [*_source_warnings(images), *_format_warnings(images)]


def source_strength(dataset: Dataset) -> float:
    """Return Cramér's V of source and class if it is strong and significant, else 0."""
    return _predicts(_sources(dataset), _label_table(dataset))


def _as_labelled(entry: re.Match[str]) -> str:
    return f'"{field_label(entry[2])}" under {_SECTIONS[entry[1]]}'


def cramers_v(kinds: np.ndarray, truth: np.ndarray) -> float:
    """Return Cramér's V of a property of images and their class; NaN if all images are alike.

    Parameters
    ----------
    kinds : ndarray of str, shape (n,)
        The property, such as the source; images where it is empty do not count.
    truth : ndarray of bool, shape (n, K)
        Labels. Where images can have several, the result is the largest V of any label.
    """
    return max((v for v, _ in _associations(kinds, truth)), default=float('nan'))


def _predicts(kinds: np.ndarray, truth: np.ndarray) -> float:
    """Return V if it is strong and significant, else 0."""
    return max(
        (v for v, p in _associations(kinds, truth) if v > _STRONG and p < _CHANCE), default=0.0
    )


def _associations(kinds: np.ndarray, truth: np.ndarray) -> list[tuple[float, float]]:
    """Return V (Cramér, Mathematical Methods of Statistics, 1946) and p of each table."""
    from scipy.stats import chi2_contingency

    known = kinds != ''
    names, place = np.unique(kinds[known], return_inverse=True)
    truth = truth[known]
    single = len(truth) and (truth.sum(axis=1) == 1).all()
    targets = [truth.argmax(axis=1)] if single else [column.astype(int) for column in truth.T]
    out = []
    for target in targets:
        present, column = np.unique(target, return_inverse=True)
        if len(names) < 2 or len(present) < 2:
            continue
        table = np.zeros((len(names), len(present)), dtype=np.intp)
        np.add.at(table, (place, column), 1)
        result = chi2_contingency(table, correction=False)
        most = len(target) * (min(table.shape) - 1)
        out.append((float(np.sqrt(result.statistic / most)), float(result.pvalue)))
    return out


def _duplicate_warnings(
    images: LoadedImages, pairs: Sequence[DuplicatePair], excluded: np.ndarray
) -> list[str]:
    place_of = {int(place): i for i, place in enumerate(np.flatnonzero(~excluded))}
    samples = images.dataset.samples
    used = [
        (samples[place_of[p.first]], samples[place_of[p.second]])
        for p in pairs
        if p.first in place_of and p.second in place_of
    ]
    out = []
    if divided := sum(a.split != b.split for a, b in used if a.split and b.split):
        out.append(
            f'{divided} pairs of near-duplicates are divided between the given splits, so metrics '
            "will be too high; put each pair into one group, or set split.method to 'holdout'."
        )
    if doubtful := sum(a.label != b.label for a, b in used):
        out.append(
            f'{doubtful} pairs of near-duplicates have different labels; exclude one of each.'
        )
    if strangers := sum(a.known and b.known and a.group != b.group for a, b in used):
        out.append(f'{strangers} pairs of near-duplicates are listed under different patients.')
    return out


def _source_warnings(images: LoadedImages) -> list[str]:
    dataset = images.dataset
    sources = _sources(dataset)
    out = []
    if strength := source_strength(dataset):
        out.append(
            f"Source predicts class (Cramér's V {strength:.2f}): a network can learn to tell "
            'hospitals apart instead of diseases. Evaluate it on held-out sources: set '
            "split.method to 'leave-source-out'."
        )
    if len(set(sources) - {''}) > 1:
        for label in dataset.labels:
            of_label = {s.source for s in dataset.samples if label in s.labels}
            if len(of_label) == 1 and '' not in of_label:
                out.append(f'All images of {label!r} come from one source, {of_label.pop()!r}.')
    return out


def _format_warnings(images: LoadedImages) -> list[str]:
    truth = _label_table(images.dataset)
    endings = np.array([s.path.suffix.lower() or 'none' for s in images.dataset.samples])
    sizes = np.array([f'{rows} x {columns}' for rows, columns in images.sizes])
    if len(set(sizes)) > _SIZES:
        # Too many to count each: bins by number of pixels, with about as many images each.
        pixels = images.sizes.prod(axis=1)
        edges = np.unique(np.quantile(pixels, np.linspace(0, 1, _SIZES + 1)[1:-1]))
        sizes = np.searchsorted(edges, pixels).astype(str)
    out = []
    for what, kinds in (('The size of the images', sizes), ('The kind of file', endings)):
        if strength := _predicts(kinds, truth):
            out.append(
                f"{what} predicts class (Cramér's V {strength:.2f}): classes come from different "
                'machines or were prepared differently.'
            )
    return out


def _class_warnings(images: LoadedImages) -> list[str]:
    out = []
    for label in images.dataset.labels:
        groups = [s.group for s in images.dataset.samples if label in s.labels]
        if len(set(groups)) < _FEW:
            grouped = images.dataset.grouped
            count = f'{len(set(groups))} patients' if grouped else f'{len(groups)} images'
            out.append(f'The class {label!r} has only {count}; its metrics will be imprecise.')
    return out


def _sources(dataset: Dataset) -> np.ndarray:
    return np.array([sample.source for sample in dataset.samples])


def _label_table(dataset: Dataset) -> np.ndarray:
    labels = np.array(dataset.labels)
    return np.array([np.isin(labels, sample.labels) for sample in dataset.samples], dtype=bool)


#: Where the grey histogram is among the features of the no-anatomy baselines.
_GREY = slice(12, 44)


@message_type
@dataclass(frozen=True)
class DuplicatePair:
    """Two images that may be the same.

    Parameters
    ----------
    first, second : int
        Indices in the survey.
    distance : int
        Bits in which their perceptual hashes differ, of 64.
    similarity : float
        Correlation of their fine detail, 1 for copies.
    across : bool
        Whether they differ in split, class or known patient.
    """

    first: int
    second: int
    distance: int
    similarity: float
    across: bool


@message_type
@dataclass(frozen=True, eq=False)
class Survey(TrainingEvent):
    """A data set as a recipe would use it.

    Parameters
    ----------
    labels : tuple of str
        The classes, K of them.
    paths : tuple of str
        The n images that can be used, in the order of all that follows.
    digests : tuple of str
        How recipes name them.
    truth : ndarray of bool, shape (n, K)
        Their labels.
    sources, groups : tuple of str
        Their collections ('' where unknown), and numbers for their patients.
    splits : tuple of str
        'train', 'val', 'test', or '' for images that the recipe does not use.
    excluded : ndarray of bool, shape (n,)
        Images that a person excluded.
    sizes : ndarray of int, shape (n, 2)
        Rows and columns of the files.
    histograms : ndarray, shape (K, bins)
        Mean histogram of grey values over [0, 1], by class.
    cooccurrence : ndarray of int, shape (K, K)
        Images with both labels.
    split_kind : str
        'by patient' or 'by image'.
    association : float
        Cramér's V of source and class, NaN with one source.
    flags : tuple of str
        Warnings of what would mislead, the most serious first.
    baselines : dict of str to tuple of float
        Macro AUC of classifiers that see no anatomy, as value, low and high of its 95 %
        interval. Empty if there are too few images.
    pairs : tuple of DuplicatePair
        Near-duplicates, the most similar first.
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
    pairs: tuple[DuplicatePair, ...]
    skipped: tuple[tuple[str, str], ...]


def survey(
    source: str | Path, recipe: Recipe, reader: ImageReader | None = None, run: str = ''
) -> Generator[TrainingEvent, None, Survey]:
    """Survey a data set as a recipe would use it.

    Images are read as for training, so training need not decode them again. Images that
    the recipe excludes are surveyed too.

    Parameters
    ----------
    source : str or Path
        See `napari_cxr.training.index`.
    recipe : Recipe
        Its sections input, data and split, and its seed.
    reader : ImageReader, optional
        See `napari_cxr.training.data_preparation.prepare`.
    run : str
        Name for its events.

    Yields
    ------
    TrainingEvent
        As `prepare`, and `ReadingProgress` while it computes, so that it can be cancelled.

    Returns
    -------
    Survey

    Raises
    ------
    DatasetError
        If there are no images. If they only cannot be split, the first of the survey's
        flags says why.
    """
    dataset = index(source, recipe.data)
    skipped: list[tuple[str, str]] = []
    steps = load_images(dataset, recipe, reader, run)
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            everything: LoadedImages = end.value
            break
        if isinstance(event, ImageSkipped):
            skipped.append((event.path, event.reason))
        yield event
    found = duplicates.find_near_duplicates(everything.thumbnails)
    excluded = np.isin(everything.digests, list(recipe.data.exclude))
    groups, split, obstacle = _divided(everything, recipe, found[0], excluded)
    truth = _truth(everything.dataset)
    splits = [''] * len(truth)
    if split is not None:
        for place, name in zip(np.flatnonzero(~excluded), split.names(), strict=True):
            splits[place] = name
    used = np.flatnonzero(~excluded)
    baselines = yield from measure_baselines(everything.subset(used), recipe.seed, run)
    sources = tuple(sample.source for sample in everything.dataset.samples)
    pairs = duplicate_pairs(everything.dataset, found, splits)
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
        association=cramers_v(np.array(sources)[used], truth[used]),
        flags=(
            *dataset_warnings(
                everything.subset(used), pairs, excluded, skipped, baselines, obstacle
            ),
            *pretraining_warnings(
                recipe, everything.dataset, [everything.digests[i] for i in used]
            ),
        ),
        baselines=baselines,
        pairs=pairs,
        skipped=tuple(skipped),
    )


def _divided(
    everything: LoadedImages, recipe: Recipe, pairs: np.ndarray, excluded: np.ndarray
) -> tuple[tuple[str, ...], Split | None, str]:
    """Return the number of each image's group, the split, and why there is none."""
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
        dataset = group_duplicates(everything.subset(used), recipe, kept).dataset
        for place, sample in zip(used, dataset.samples, strict=True):
            groups[place] = sample.group
        if dataset.labels != everything.dataset.labels:
            lost = sorted(set(everything.dataset.labels) - set(dataset.labels))
            raise DatasetError(f'Every image of the class {lost[0]!r} is left out.')
        split = divide(dataset, recipe.split, recipe.split_seed)
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


def duplicate_pairs(
    dataset: Dataset,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    splits: Sequence[str],
) -> tuple[DuplicatePair, ...]:
    """Return near-duplicates with whether they differ in split, class or patient.

    Parameters
    ----------
    dataset : Dataset
        The images.
    found : tuple of ndarray
        As `napari_cxr.training.duplicates.find_near_duplicates` returns them.
    splits : sequence of str
        The split of each image, or ''.
    """
    out = []
    for (a, b), distance, similarity in zip(*(part.tolist() for part in found), strict=True):
        first, second = dataset.samples[a], dataset.samples[b]
        across = (
            first.label != second.label
            or (first.known and second.known and first.group != second.group)
            or (bool(splits[a]) and bool(splits[b]) and splits[a] != splits[b])
        )
        out.append(DuplicatePair(a, b, distance, similarity, across))
    return tuple(out)
