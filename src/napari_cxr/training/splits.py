"""Which images a network learns from, is chosen by, and is judged on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cxr.training.dataset import SPLITS, Dataset, DatasetError
from napari_cxr.training.recipe import SplitRecipe

__all__ = ['Split', 'divide']

#: A share is met by joining some of so many folds or fewer: to 2.5 % at worst.
_MOST_FOLDS = 20


@dataclass(frozen=True, eq=False)
class Split:
    """Places of images in a data set.

    Parameters
    ----------
    train, val, test : ndarray of int
        Places; `test` may be empty.
    kind : str
        'by patient', or 'by image' where patients are not known. A result by
        image is too good: images of a patient may stand on both sides.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    kind: str

    def names(self) -> list[str]:
        """Return the split of each image, in the data set's order."""
        out = [''] * (len(self.train) + len(self.val) + len(self.test))
        for name in SPLITS:
            for place in getattr(self, name):
                out[place] = name
        return out


def divide(dataset: Dataset, recipe: SplitRecipe, seed: int) -> Split:
    """Split a data set so that no patient stands on two sides.

    Parameters
    ----------
    dataset : Dataset
        The images.
    recipe : SplitRecipe
        How: the table's own splits, or held out.
    seed : int
        Of the random numbers.

    Raises
    ------
    DatasetError
        If the table's splits are asked for and not there, divide a patient, or
        leave a class without images to learn from or to choose by.
    """
    kind = 'by patient' if dataset.grouped else 'by image'
    given = dataset.has_splits if recipe.method == 'auto' else recipe.method == 'given'
    if given:
        places = _given(dataset)
    else:
        everything = np.arange(len(dataset.samples))
        rest, test = _hold_out(dataset, everything, recipe.test, seed)
        places = {'train': rest, 'val': everything[:0], 'test': test}
    if not len(places['val']):
        share = recipe.val / (1 - recipe.test) if not given else recipe.val
        places['train'], places['val'] = _hold_out(dataset, places['train'], share, seed + 1)
    split = Split(**{name: np.sort(places[name]) for name in SPLITS}, kind=kind)
    for name in ('train', 'val'):
        present = {dataset.samples[i].label for i in getattr(split, name)}
        lacking = [label for label in dataset.labels if label not in present]
        if lacking:
            raise DatasetError(
                f'The class {lacking[0]!r} has no image in the split {name!r}; '
                'add images of more patients, or choose another split.'
            )
    return split


def _given(dataset: Dataset) -> dict[str, np.ndarray]:
    if not dataset.has_splits:
        raise DatasetError(
            'The recipe asks for the splits of the table, but not every image has one; '
            "fill the column 'split', or set split.method to 'holdout'."
        )
    sides: dict[str, set[str]] = {}
    for sample in dataset.samples:
        sides.setdefault(sample.group, set()).add(sample.split)
    torn = sum(len(found) > 1 for found in sides.values())
    if torn:
        raise DatasetError(
            f'The splits of the table divide {torn} patients between them, so a result would '
            "mislead; mend the column 'split', or set split.method to 'holdout'."
        )
    return {
        name: np.array(
            [i for i, s in enumerate(dataset.samples) if s.split == name], dtype=np.intp
        )
        for name in SPLITS
    }


def _hold_out(
    dataset: Dataset, places: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out about a share of the patients of each class."""
    if share == 0:
        return places, places[:0]
    from sklearn.model_selection import StratifiedGroupKFold

    labels = [dataset.samples[i].label for i in places]
    groups = [dataset.samples[i].group for i in places]
    # Fewer patients than this cannot stand on both sides in about these shares.
    least = max(2, round(1 / min(share, 1 - share)))
    patients: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        patients.setdefault(label, set()).add(group)
    few = min(patients, key=lambda label: len(patients[label]))
    if len(patients[few]) < least:
        raise DatasetError(
            f'The class {few!r} has images of {len(patients[few])} patients only; '
            f'to hold out a share of {share:.0%}, at least {least} are needed.'
        )
    most = min(_MOST_FOLDS, len(patients[few]))
    folds, taken = min(
        ((n, max(1, min(n - 1, round(n * share)))) for n in range(2, most + 1)),
        key=lambda pair: (abs(pair[1] / pair[0] - share), pair[0]),
    )
    folder = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    parts = [held for _, held in folder.split(np.zeros(len(places)), labels, groups)]
    return (
        places[np.concatenate(parts[taken:])],
        places[np.concatenate(parts[:taken])],
    )
