"""Which labels may be wrong: what a classifier says of images that it has not learnt from.

A linear classifier is fitted, within each source, to features of the lungs; each image is judged
by classifiers that saw no image of its patient. A label is doubted where the probability of
another class is high for images of that class and that of its own is low for images of its own:
confident learning (Northcutt, Jiang and Chuang, J. Artif. Intell. Res. 2021;70:1373), whose
thresholds are the mean probabilities of each class.

Within a source, and with both classes of a view weighted alike: otherwise the hospital or the
projection would decide, and every image whose view is unusual for its class would be doubted.
A source with one class has no say, for there is nothing to compare its images with.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ['LabelDoubt', 'doubt_labels', 'out_of_fold', 'stratum_weights']

#: Inverse strength of the penalty on the classifier's weights, scikit-learn's C, chosen by how
#: well given labels of two collections are foretold, see docs/audit.md.
_PENALTY = 0.3
_FOLDS = 5
#: Divisions into folds over which probabilities are averaged.
_REPEATS = 3
#: Patients that a class must have within a source to be compared there.
_FEWEST = 10


@dataclass(frozen=True, eq=False)
class LabelDoubt:
    """How much the label of each of n images is doubted.

    Parameters
    ----------
    probabilities : ndarray, shape (n, K)
        Out of fold, of each class; NaN for images that could not be judged.
    doubts : ndarray, shape (n,)
        By how much more another class exceeds its threshold than the given one does; above 0
        the other class fits better. NaN for images that could not be judged.
    suggested : ndarray of int, shape (n,)
        The class that fits better where a label is doubted by confident learning, else -1.
    """

    probabilities: np.ndarray
    doubts: np.ndarray
    suggested: np.ndarray

    @property
    def judged(self) -> np.ndarray:
        """Which images could be judged, bool of shape (n,)."""
        return np.isfinite(self.doubts)


def stratum_weights(truth: np.ndarray, strata: Sequence[Hashable]) -> np.ndarray:
    """Weight images so that classes weigh alike within each stratum.

    Parameters
    ----------
    truth : ndarray of int, shape (n,)
        Class numbers.
    strata : sequence, length n
        The view of each image, or whatever else must not predict the class.

    Returns
    -------
    ndarray, shape (n,)
        With a mean of 1. A stratum with one class has weight 0, unless all have; then all
        images weigh alike.
    """
    names = np.unique([str(stratum) for stratum in strata], return_inverse=True)[1]
    weights = np.zeros(len(truth))
    for name in np.unique(names):
        there = names == name
        classes, member = np.unique(truth[there], return_inverse=True)
        if len(classes) > 1:
            counts = np.bincount(member)
            weights[there] = there.sum() / (len(classes) * counts[member])
    return weights / weights.mean() if weights.any() else np.ones(len(truth))


def out_of_fold(
    features: np.ndarray,
    truth: np.ndarray,
    strata: Sequence[Hashable],
    groups: Sequence[Hashable],
    *,
    classes: int,
    folds: int = _FOLDS,
    repeats: int = _REPEATS,
    penalty: float = _PENALTY,
    seed: int = 0,
) -> Generator[None, None, np.ndarray]:
    """Classify each image by linear classifiers that saw no image of its patient.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Of images of one source; the largest with a standard deviation of about 1.
    truth : ndarray of int, shape (n,)
        Class numbers as given.
    strata, groups : sequence, length n
        The view and the patient of each image.
    classes : int
        How many classes there are; those that are absent get the probability 0.
    folds, repeats : int
        Folds by patient, and how often they are drawn; probabilities are averaged.
    penalty : float
        Inverse strength of the penalty, scikit-learn's C.
    seed : int
        Of the folds.

    Yields
    ------
    None
        After each fit.

    Returns
    -------
    ndarray, shape (n, classes)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
    names = [str(stratum) for stratum in strata]
    probabilities = np.zeros((len(truth), classes))
    for repeat in range(repeats):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat)
        for rest, held in splitter.split(features, truth, numbers):
            weights = stratum_weights(truth[rest], [names[i] for i in rest])
            model = LogisticRegression(C=penalty, max_iter=1000)
            model.fit(features[rest], truth[rest], weights)
            held_out = model.predict_proba(features[held])
            probabilities[np.ix_(held, model.classes_)] += held_out / repeats
            yield None
    return probabilities


def doubt_labels(
    features: np.ndarray,
    truth: np.ndarray,
    sources: Sequence[str],
    views: Sequence[str],
    groups: Sequence[Hashable],
    *,
    classes: int,
    seed: int = 0,
) -> Generator[None, None, LabelDoubt]:
    """Doubt the labels of images that have one label each, source by source.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Of the images; NaN in the rows of those without any.
    truth : ndarray of int, shape (n,)
        Class numbers as given.
    sources, views : sequence of str, length n
        Of each image; empty where unknown.
    groups : sequence, length n
        The patient of each.
    classes : int
        How many classes there are.
    seed : int
        Of the folds.

    Yields
    ------
    None
        After each fit.

    Returns
    -------
    LabelDoubt
    """
    names, patients = np.array(sources, dtype=object), np.array([str(g) for g in groups])
    probabilities = np.full((len(truth), classes), np.nan)
    doubts, suggested = np.full(len(truth), np.nan), np.full(len(truth), -1)
    usable = np.isfinite(features).all(axis=1)
    for source in sorted(set(sources)):
        places = np.flatnonzero((names == source) & usable)
        present = [
            k for k in range(classes) if len(set(patients[places[truth[places] == k]])) >= _FEWEST
        ]
        places = places[np.isin(truth[places], present)]
        if len(present) < 2:
            continue
        found = yield from out_of_fold(
            features[places],
            truth[places],
            [views[int(i)] for i in places],
            patients[places].tolist(),
            classes=classes,
            seed=seed,
        )
        probabilities[places] = found
        doubts[places], suggested[places] = _confident_learning(found, truth[places], present)
    return LabelDoubt(probabilities, doubts, suggested)


def _confident_learning(
    probabilities: np.ndarray, truth: np.ndarray, present: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return doubts, and the class that each doubted label should rather be, or -1."""
    excess = np.full(probabilities.shape, -np.inf)
    for k in present:
        excess[:, k] = probabilities[:, k] - probabilities[truth == k, k].mean()
    rows = np.arange(len(truth))
    own = excess[rows, truth]
    others = excess.copy()
    others[rows, truth] = -np.inf
    best = others.argmax(axis=1)
    # Several classes may exceed their thresholds; the most probable of them counts.
    likely = np.where(excess >= 0, probabilities, -np.inf).argmax(axis=1)
    doubted = (excess.max(axis=1) >= 0) & (likely != truth)
    return others[rows, best] - own, np.where(doubted, likely, -1)
