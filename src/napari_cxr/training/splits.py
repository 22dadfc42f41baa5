"""Splits into training, validation and test images.

A patient is never in two splits; whole sources may be held out, fold by fold.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_cxr.training.dataset import SPLITS, Dataset, DatasetError
from napari_cxr.training.recipe import SplitRecipe

__all__ = ['Split', 'divide', 'equal_parts', 'held_out_sources', 'splits_of', 'sufficient_subset']


def held_out_sources(dataset: Dataset, recipe: SplitRecipe) -> list[tuple[str, np.ndarray, int]]:
    """Return the test parts of the folds that hold sources out.

    Parameters
    ----------
    dataset : Dataset
        The images.
    recipe : SplitRecipe
        Its sets of sources, or each source alone.

    Returns
    -------
    list of (str, ndarray of int, int)
        The fold's name, valid as a folder name; the indices of its test images; and a
        number that depends on its sources alone.

    Raises
    ------
    DatasetError
        If an image has no source, there is only one, the recipe names one that does not
        exist, or a class would have no training images.
    """
    sources = [sample.source for sample in dataset.samples]
    names = sorted(set(sources))
    if '' in names or len(names) < 2:
        lacking = sources.count('')
        why = f'{lacking} of {len(sources)} images have no source'
        raise DatasetError(
            f'The recipe holds a source out, but '
            f'{why if lacking else f"all images are of one source, {names[0]!r}"}; '
            "fill the table's column 'source' or choose another data.layout, or set "
            "split.method to 'holdout'."
        )
    for name in (name for chosen in recipe.left_out for name in chosen):
        if name not in names:
            raise DatasetError(
                f'split.left_out: there is no source {name!r}; the sources are '
                f'{", ".join(repr(name) for name in names)}.'
            )
    out = []
    sets = recipe.left_out or tuple((name,) for name in names)
    folders = _for_folders(['-'.join(chosen) for chosen in sets])
    for chosen, folder in zip(sets, folders, strict=True):
        test = np.flatnonzero(np.isin(sources, chosen))
        _check_held_out(dataset, test, chosen)
        number = sum(names.index(name) for name in chosen)
        out.append((f'{"without" if recipe.left_out else "source"}-{folder}', test, number))
    return out


def _for_folders(names: list[str]) -> list[str]:
    """Return unique names that are valid as folder names."""
    fit = [re.sub(r'[^\w.-]+', '-', name) for name in names]
    plain = [name.casefold() for name in fit]
    return [
        name if plain.count(same) == 1 else f'{name}-{plain[: i + 1].count(same)}'
        for i, (name, same) in enumerate(zip(fit, plain, strict=True))
    ]


def _check_held_out(dataset: Dataset, test: np.ndarray, sources: Sequence[str]) -> None:
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
                f'{"it" if one else "them"} none are left for training; name other sources in '
                'split.left_out, or leave the class out in data.classes.'
            )


#: A fraction is approximated by joining some of at most so many folds: to 2.5 % at worst.
_MOST_FOLDS = 20


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of images in a data set, by split.

    Parameters
    ----------
    train, val, test : ndarray of int
        Indices; `test` may be empty.
    kind : str
        'by patient', or 'by image' where patients are not known. Metrics of a split by
        image are too optimistic: images of one patient may be in two splits.
    total : int
        Images in the data set, including those in no split; 0 where there are none of these.
    divided_pairs : int
        Pairs of near-duplicates that are in two splits, because the table says so.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    kind: str
    total: int = 0
    divided_pairs: int = 0

    def names(self) -> list[str]:
        """Return the split of each image, in the data set's order; '' for images in none."""
        out = [''] * (self.total or len(self.train) + len(self.val) + len(self.test))
        for name in SPLITS:
            for place in getattr(self, name):
                out[place] = name
        return out


def divide(dataset: Dataset, recipe: SplitRecipe, seed: int) -> Split:
    """Split a data set so that no patient is in two splits.

    Parameters
    ----------
    dataset : Dataset
        The images.
    recipe : SplitRecipe
        How. Where it asks for several splits, this is the first.
    seed : int
        Of the random numbers.

    Raises
    ------
    DatasetError
        If the table's splits are wanted and missing, or divide a patient; or if a class
        has too few patients, or no training or validation images.
    """
    return splits_of(dataset, recipe, seed)[0][1]


def splits_of(dataset: Dataset, recipe: SplitRecipe, seed: int) -> list[tuple[str, Split]]:
    """Return all the splits that a recipe asks for; see `divide`.

    Returns
    -------
    list of (str, Split)
        'fold-1' and so on, each fold in turn being the test split; 'source-NAME', each
        source in turn; 'without-NAME-NAME', the sets of sources that the recipe names,
        whose test parts may overlap; or one split whose name is empty. The names are valid
        as folder names.
    """
    everything = np.arange(len(dataset.samples))
    if recipe.method == 'k-fold':
        parts = equal_parts(dataset, everything, recipe.folds, seed)
        wanted = [recipe.fold - 1] if recipe.fold else range(recipe.folds)
        return [
            (
                f'fold-{i + 1}',
                _validation_split(dataset, recipe, parts[i], everything, seed + 1 + i),
            )
            for i in wanted
        ]
    if recipe.method == 'leave-source-out':
        # The seed depends on the sources alone, so that one fold can be made by itself.
        return [
            (name, _validation_split(dataset, recipe, test, everything, seed + 1 + number))
            for name, test, number in held_out_sources(dataset, recipe)
        ]
    given = dataset.has_splits if recipe.method == 'auto' else recipe.method == 'given'
    if given:
        places = _given_split(dataset)
    else:
        rest, test = _hold_out(dataset, everything, recipe.test, seed)
        places = {'train': rest, 'val': everything[:0], 'test': test}
    if not len(places['val']):
        fraction = recipe.val / (1 - recipe.test) if not given else recipe.val
        places['train'], places['val'] = _hold_out(dataset, places['train'], fraction, seed + 1)
    divided_pairs = dataset.divided_pairs if given else 0
    return [('', _checked_split(dataset, places, seed, divided_pairs=divided_pairs))]


def sufficient_subset(dataset: Dataset, recipe: SplitRecipe, seed: int) -> list[int]:
    """Return indices that suffice for the data set's limit, so that no others need be read.

    Of each class (and each given split or source, where the split is by these), as many as
    leave `dataset.limit` images for the smallest part.
    """
    samples = dataset.samples
    if not dataset.limit:
        return list(range(len(samples)))
    given = recipe.method in ('auto', 'given') and dataset.has_splits
    sides = [''] * len(samples)
    if given:
        sides = [sample.split for sample in samples]
        held = [] if 'val' in sides else [recipe.val]
    elif recipe.method == 'leave-source-out':
        sides, held = [sample.source for sample in samples], [recipe.val]
    elif recipe.method == 'k-fold':
        rest = 1 - 1 / recipe.folds
        held = [1 - rest, recipe.val * rest]
    else:
        held = [recipe.val, recipe.test]
    smallest = min(part for part in (*held, 1 - sum(held)) if part > 0)
    most = math.ceil(dataset.limit / smallest)
    places: list[int] = []
    for side in dict.fromkeys(sides):
        here = np.array([i for i, other in enumerate(sides) if other == side], dtype=np.intp)
        places += _fewer(dataset, here, most, seed).tolist()
    return sorted(places)


def _validation_split(
    dataset: Dataset, recipe: SplitRecipe, test: np.ndarray, everything: np.ndarray, seed: int
) -> Split:
    """Hold out val from the images of patients who are not in the test part."""
    tested = {dataset.samples[i].group for i in test}
    rest = np.array(
        [i for i in everything if dataset.samples[i].group not in tested], dtype=np.intp
    )
    train, val = _hold_out(dataset, rest, recipe.val, seed)
    return _checked_split(dataset, {'train': train, 'val': val, 'test': test}, seed)


def _checked_split(
    dataset: Dataset, places: dict[str, np.ndarray], seed: int, *, divided_pairs: int = 0
) -> Split:
    """Apply the data set's limit and balance, and check that every class is there."""
    if dataset.limit:
        places = {
            name: _fewer(dataset, part, dataset.limit, seed) for name, part in places.items()
        }
    if dataset.balance:
        counts = Counter(label for i in places['train'] for label in dataset.samples[i].labels)
        least = min((counts[label] for label in dataset.labels), default=0)
        places = {**places, 'train': _fewer(dataset, places['train'], least, seed)}
    for name in ('train', 'val'):
        present = {label for i in places[name] for label in dataset.samples[i].labels}
        lacking = [label for label in dataset.labels if label not in present]
        if lacking:
            raise DatasetError(
                f'The class {lacking[0]!r} has no image in the split {name!r}; '
                'add images of more patients, or choose another split.'
            )
    return Split(
        **{name: np.sort(places[name]) for name in SPLITS},
        kind='by patient' if dataset.grouped else 'by image',
        total=len(dataset.samples),
        divided_pairs=divided_pairs,
    )


def _fewer(dataset: Dataset, places: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Keep at most so many images of each class, patient by patient in random order."""
    by_group: dict[str, list[int]] = {}
    for i in places:
        by_group.setdefault(dataset.samples[i].group, []).append(int(i))
    groups = list(by_group.values())
    kept, counts = [], Counter[str]()
    for number in np.random.default_rng(seed).permutation(len(groups)):
        for i in groups[number]:
            labels = dataset.samples[i].labels or ('',)
            if all(counts[label] < most for label in labels):
                counts.update(labels)
                kept.append(i)
    return np.sort(np.array(kept, dtype=np.intp))


def _given_split(dataset: Dataset) -> dict[str, np.ndarray]:
    if not dataset.has_splits:
        raise DatasetError(
            'The recipe asks for given splits, but not every image has one; fill the '
            "table's column 'split', or set split.method to 'holdout'."
        )
    sides: dict[str, set[str]] = {}
    for sample in dataset.samples:
        sides.setdefault(sample.group, set()).add(sample.split)
    divided = sum(len(found) > 1 for found in sides.values())
    if divided:
        raise DatasetError(
            f'The given splits divide {divided} patients between them, so metrics would mislead; '
            "put all images of a patient into one split, or set split.method to 'holdout'."
        )
    return {
        name: np.array(
            [i for i, s in enumerate(dataset.samples) if s.split == name], dtype=np.intp
        )
        for name in SPLITS
    }


def _hold_out(
    dataset: Dataset, places: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out about this fraction of the patients of each class."""
    if fraction == 0:
        return places, places[:0]
    # Fewer patients than this cannot be divided in about this ratio.
    least = max(2, round(1 / min(fraction, 1 - fraction)))
    few = _check_patients(dataset, places, least, f'hold out {fraction:.0%}')
    folds, taken = min(
        (
            (n, max(1, min(n - 1, round(n * fraction))))
            for n in range(2, min(_MOST_FOLDS, few) + 1)
        ),
        key=lambda pair: (abs(pair[1] / pair[0] - fraction), pair[0]),
    )
    parts = equal_parts(dataset, places, folds, seed)
    return np.concatenate(parts[taken:]), np.concatenate(parts[:taken])


def _check_patients(dataset: Dataset, places: np.ndarray, least: int, what_for: str) -> int:
    """Return the number of patients, or of groups, of the class that has fewest."""
    patients: dict[str, set[str]] = {label: set() for label in dataset.labels}
    images = Counter[str]()
    for i in places:
        for label in dataset.samples[i].labels:
            patients[label].add(dataset.samples[i].group)
            images[label] += 1
    few = min(patients, key=lambda label: len(patients[label]))
    known, total = len(patients[few]), images[few]
    if known >= least:
        return known
    if dataset.grouped:
        found = f'has images of only {known} patient{"s" * (known != 1)}'
    elif known == total:
        found = f'has only {known} image{"s" * (known != 1)}'
    else:
        found = f'has {total} images, but some belong together, so they count as only {known}'
    if len(places) < len(dataset.samples):
        found += ', beside those already held out'
    raise DatasetError(f'The class {few!r} {found}; at least {least} are needed to {what_for}.')


def equal_parts(dataset: Dataset, places: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Divide images into equal parts, stratified by class, patients undivided.

    Raises
    ------
    DatasetError
        If a class has fewer patients than there are parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _check_patients(dataset, places, folds, f'divide them into {folds} parts')
    groups = [dataset.samples[i].group for i in places]
    folder = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A rare combination of labels may have fewer images than there are folds.
        warnings.filterwarnings('ignore', 'The least populated class', UserWarning)
        parts = folder.split(np.zeros(len(places)), _strata(dataset, places, folds), groups)
        return [places[held] for _, held in parts]


def _strata(dataset: Dataset, places: np.ndarray, folds: int) -> list[str]:
    """Return what to keep alike: the combination of labels, or the rarest label in a rare one."""
    samples = [dataset.samples[i] for i in places]
    if not dataset.multilabel:
        return [sample.label for sample in samples]
    patients = Counter(label for label, _ in {(s.label, s.group) for s in samples})
    images = Counter(label for sample in samples for label in sample.labels)
    return [
        sample.label
        if patients[sample.label] >= folds or not sample.labels
        else f'rare {min(sample.labels, key=lambda label: (images[label], label))}'
        for sample in samples
    ]
