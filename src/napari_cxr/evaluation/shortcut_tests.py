"""Does a network answer by the lungs, or by a shortcut: tests that need no heatmap.

Every image is shown again with one thing changed (`image_changes`), and the areas under the ROC
curve before and after are compared on the very same images. Removing the lungs goes back to
Maguolo and Nanni (arXiv:2004.12823), who found that data sets can be told apart without them.
How well the source of an image can be told, from the image without lungs and from the network's
own features, says how near such a shortcut lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_cxr.evaluation.image_changes import CHANGES, Change, InputBatch
from napari_cxr.metrics.confidence_intervals import (
    FEWEST_PATIENTS,
    Interval,
    macro_auc_interval,
    mean_interval,
)
from napari_cxr.metrics.delong import macro_auc_covariance

__all__ = [
    'ChangeResult',
    'ChangedPredictions',
    'ShortcutTests',
    'predict_batch',
    'shortcut_tests',
    'source_interval',
]

_Z = 1.959964

#: Rows and columns of the images without lungs by which sources are told apart.
_SMALL = 16

#: Images that each source must have to be told apart from others, and folds.
_FEWEST_IMAGES, _FOLDS = 10, 5

#: An area above which sources are said to be told apart well.
_TOLD_APART = 0.7


@dataclass(frozen=True, eq=False)
class ChangedPredictions:
    """What a network says of images and of what was made of them.

    Parameters
    ----------
    original : ndarray, shape (n, K)
        Probabilities for the images as they are.
    changed : dict of str to ndarray, shape (n, K)
        By the name of the change.
    features : ndarray, shape (n, C)
        Mean of each channel of the network's last feature map, for the images as they are.
    without_lungs : ndarray, shape (n, 256)
        The images without lungs, 16 x 16 pixels.
    with_markers : int
        Images on which text or markers were found.
    """

    original: np.ndarray
    changed: dict[str, np.ndarray]
    features: np.ndarray
    without_lungs: np.ndarray
    with_markers: int

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return what was said of the images of several batches."""
        return cls(
            np.concatenate([part.original for part in parts]),
            {
                name: np.concatenate([part.changed[name] for part in parts])
                for name in parts[0].changed
            },
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.without_lungs for part in parts]),
            sum(part.with_markers for part in parts),
        )


def predict_batch(
    batch: InputBatch,
    answer: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    changes: Sequence[Change] = CHANGES,
) -> Generator[None, None, ChangedPredictions]:
    """Ask a network about a batch of images, and about each change of them.

    Parameters
    ----------
    batch : InputBatch
        Chosen at random, since neighbours exchange their frames.
    answer : callable
        Takes images (n, height, width); returns probabilities (n, K) and features (n, C).
    changes : sequence of Change
        Which.

    Yields
    ------
    None
        After each change, so that closing it works.
    """
    from skimage.transform import resize

    removed = next(change for change in CHANGES if change.name == 'lungs removed')
    original, features = answer(batch.images)
    changed = {}
    for change in changes:
        changed[change.name] = answer(change.apply(batch))[0]
        yield None
    small = [
        resize(image, (_SMALL, _SMALL), anti_aliasing=True).ravel()
        for image in removed.apply(batch)
    ]
    with_markers = int(batch.markers.any(axis=(1, 2)).sum())
    return ChangedPredictions(original, changed, features, np.array(small), with_markers)


@dataclass(frozen=True)
class ChangeResult:
    """What one change did.

    Parameters
    ----------
    name : str
        Of the change.
    auc : Interval
        Area under the ROC curve (one against rest, macro) of the changed images.
    difference : Interval
        That area minus the one of the images as they are, paired (DeLong, by patients).
    shift : Interval
        Mean size of the change of the true class's probability.
    called_out : bool or None
        Whether it speaks for a shortcut; None where there are too few patients to tell.
    text : str
        The verdict in words.
    """

    name: str
    auc: Interval
    difference: Interval
    shift: Interval
    called_out: bool | None
    text: str


@dataclass(frozen=True)
class ShortcutTests:
    """What all tests of a model found.

    Parameters
    ----------
    auc : Interval
        Of the images as they are.
    images, with_markers : int
        Images, and those on which text or markers were found.
    changes : tuple of ChangeResult
        In the order of reports.
    source_without_lungs, source_by_features : Interval or None
        How well the source of an image is told by the image without lungs, and by the network's
        features: area under the ROC curve, cross-validated by patient. None with one source.
    """

    auc: Interval
    images: int
    with_markers: int
    changes: tuple[ChangeResult, ...]
    source_without_lungs: Interval | None
    source_by_features: Interval | None

    @property
    def called_out(self) -> tuple[str, ...]:
        """The changes that speak for a shortcut."""
        return tuple(change.name for change in self.changes if change.called_out)

    @property
    def verdict(self) -> str:
        """What all of it comes to, in words."""
        if all(change.called_out is None for change in self.changes):
            return (
                'There are too few patients of each class to tell whether the model takes a '
                f'shortcut: at least {FEWEST_PATIENTS} are needed.'
            )
        if math.isfinite(self.auc.low) and self.auc.low <= 0.5:
            return (
                'The model does not tell the classes apart on these images, so there is no '
                'shortcut to be seen.'
            )
        if self.called_out:
            return (
                f'The model takes a shortcut, by {len(self.called_out)} of {len(self.changes)} '
                f'tests ({", ".join(self.called_out)}). Do not expect its figures to hold '
                'elsewhere.'
            )
        text = 'No test speaks for a shortcut.'
        source = self.source_by_features
        if source is not None and source.low > _TOLD_APART:
            text += (
                ' But its features tell the sources of images apart, so it may behave otherwise '
                'on images of another source.'
            )
        return text


def shortcut_tests(
    found: ChangedPredictions,
    truth: np.ndarray,
    patients: Sequence[str],
    sources: Sequence[str] = (),
    changes: Sequence[Change] = CHANGES,
) -> ShortcutTests:
    """Compare what a network says of images with what it says of what was made of them.

    Parameters
    ----------
    found : ChangedPredictions
        Of n images.
    truth : ndarray of bool, shape (n, K)
        Which classes each image has.
    patients : sequence of str
        Of each image.
    sources : sequence of str
        Collection or hospital of each image; empty where that is not known.
    changes : sequence of Change
        As for `predict_batch`.
    """
    auc = macro_auc_interval(truth, found.original, patients)
    return ShortcutTests(
        auc,
        len(truth),
        found.with_markers,
        tuple(_compare(change, found, truth, patients, auc) for change in changes),
        source_interval(found.without_lungs, sources, patients) if len(sources) else None,
        source_interval(found.features, sources, patients) if len(sources) else None,
    )


def _compare(
    change: Change,
    found: ChangedPredictions,
    truth: np.ndarray,
    patients: Sequence[str],
    before: Interval,
) -> ChangeResult:
    after = found.changed[change.name]
    area = macro_auc_interval(truth, after, patients)
    both = macro_auc_covariance(truth, [after, found.original], patients)
    apart, error, _ = both.difference(0, 1)
    error = 0.0 if apart == 0 and not error > 0 else error
    difference = Interval(apart, apart - _Z * error, apart + _Z * error)
    own = np.abs(after - found.original)[np.asarray(truth, bool)]
    owners = np.repeat(np.asarray(patients, object), np.asarray(truth, bool).sum(axis=1))
    called_out = _called_out(change, before, area, difference)
    return ChangeResult(
        change.name,
        area,
        difference,
        mean_interval(own, list(owners)),
        called_out,
        _verdict(change, area, difference, called_out),
    )


def _called_out(
    change: Change, before: Interval, after: Interval, difference: Interval
) -> bool | None:
    if not (math.isfinite(after.low) and math.isfinite(before.low)):
        return None
    if before.low <= 0.5:  # there is nothing that a shortcut would explain
        return False
    if change.suspect == 'kept':
        return after.low > 0.5
    lost = -difference.value / (before.value - 0.5)
    return difference.high < 0 and lost >= change.least


def _verdict(change: Change, area: Interval, difference: Interval, called_out: bool | None) -> str:
    if called_out is None:
        return 'Too few patients to tell.'
    if called_out:
        return change.meaning
    if change.suspect == 'kept':
        return 'The classes cannot be told apart so, as it should be.'
    return 'It makes little difference, as it should be.'


def source_interval(
    features: np.ndarray, sources: Sequence[str], patients: Sequence[str]
) -> Interval | None:
    """Return how well the sources of images are told by features.

    Logistic regression on standardised features, cross-validated by patient.

    Parameters
    ----------
    features : ndarray, shape (n, m)
        Of each image.
    sources, patients : sequence of str, length n
        Of each image; images of sources with fewer than 10 images, or of none, are left out.

    Returns
    -------
    Interval or None
        The area under the ROC curve, one source against the rest, macro; None with one source.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = np.asarray(sources, object)
    used = sorted(s for s in set(sources) - {''} if (names == s).sum() >= _FEWEST_IMAGES)
    inside = np.isin(names, used)
    if len(used) < 2:
        return None
    numbers = np.array([used.index(name) for name in names[inside]])
    owners = [str(name) for name in np.asarray(patients, object)[inside]]
    people = {name: i for i, name in enumerate(dict.fromkeys(owners))}
    groups = [people[name] for name in owners]
    features = np.asarray(features, np.float64)[inside]
    told = np.zeros((len(numbers), len(used)))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    for train, held in folds.split(features, numbers, groups):
        if len(set(numbers[train])) < 2:
            return None
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        model.fit(features[train], numbers[train])
        columns = model.classes_.tolist()
        told[np.ix_(held, columns)] = model.predict_proba(features[held])
    return macro_auc_interval(numbers[:, None] == np.arange(len(used)), told, owners)
