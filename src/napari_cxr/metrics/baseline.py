"""The no-anatomy baselines: classifiers that see neither shapes nor positions.

They know the size of an image and the brightness of its border ('format only'), and
also the histogram of grey values ('format and grey levels'). The second is not strictly
free of anatomy: the amount of air in a lung moves a histogram. If such a classifier does
well, images of different classes come from different machines, and a network's
accuracy on them means less (Maguolo and Nanni 2020; DeGrave et al.,
Nat. Mach. Intell. 2021;3:610).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_cxr.radiograph import Radiograph

__all__ = ['BASELINES', 'baseline_features', 'fit_baseline']

_BINS = 32
#: Fraction of the shorter side that counts as border.
_BORDER = 0.05
#: The baselines by name, and the number of `baseline_features` that each of them sees.
BASELINES = {'format only': 12, 'format and grey levels': 12 + _BINS}
#: The fewest images in a leaf of a tree, if there are enough for ten leaves.
_LEAF = 20
#: Bins of a feature. With 255, two thirds of the time go into finding them, and metrics on two
#: collections differ by at most .001.
_STEPS = 64


def baseline_features(radiograph: Radiograph) -> np.ndarray:
    """Describe an image without its shapes.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.

    Returns
    -------
    ndarray of float32, shape (44,)
        Of the image without padding: log of rows and columns, their log ratio, whether
        it is square; mean and standard deviation of each of the four borders (NaN if a
        border is all padding); a grey histogram of 32 bins, normalised.
    """
    image = radiograph.to_display()
    padding = radiograph.padding
    valid = np.ones(image.shape, dtype=bool) if padding is None else ~padding
    if valid.any():
        rows, columns = (np.flatnonzero(valid.any(axis=axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        image, valid = image[box], valid[box]
    height, width = image.shape
    depth = max(1, round(min(height, width) * _BORDER))
    borders = (
        np.s_[:depth],
        np.s_[-depth:],
        np.s_[:, :depth],
        np.s_[:, -depth:],
    )
    size = [np.log(height), np.log(width), np.log(height / width), float(height == width)]
    edge = []
    for border in borders:
        values = image[border][valid[border]]
        edge += [values.mean(), values.std()] if len(values) else [np.nan, np.nan]
    grey = np.histogram(image[valid], bins=_BINS, range=(0, 1))[0] / max(1, valid.sum())
    return np.array([*size, *edge, *grey], dtype=np.float32)


def fit_baseline(
    features: np.ndarray, truth: np.ndarray, classes: int, known: np.ndarray | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit boosted trees to `baseline_features`, or to the first few of them.

    A linear classifier would be weaker than the features allow: which machine made an
    image is not linear in its size.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Of the training split; see `BASELINES` for f.
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or the labels of each image, if it can have several: each label gets
        its own trees.
    classes : int
        How many classes there are.
    known : ndarray of bool, shape (n, classes), optional
        With several labels, of which it is known whether an image has them: trees learn a label
        from these alone.

    Returns
    -------
    callable
        Takes features (m, f) and returns probabilities (m, classes).
    """
    features = np.asarray(features, dtype=np.float64)
    if np.ndim(truth) == 2:
        known = np.ones(np.shape(truth), bool) if known is None else known
        # A label of which nothing is known is one that no image has.
        fitted = [
            _boosted(features[own], column[own]) if own.any() else _boosted(features, ~own & own)
            for column, own in zip(np.asarray(truth).T, known.T, strict=True)
        ]
    else:
        fitted = [_boosted(features, truth)]

    def probabilities(others: np.ndarray) -> np.ndarray:
        others = np.asarray(others, dtype=np.float64)
        out = np.zeros((len(others), classes))
        if np.ndim(truth) == 2:
            for k, model in enumerate(fitted):
                if True in model.classes_:  # else no training image has it
                    there = list(model.classes_).index(True)
                    out[:, k] = model.predict_proba(others)[:, there]
        else:
            (model,) = fitted
            out[:, model.classes_] = model.predict_proba(others)
        return out

    return probabilities


def _boosted(features: np.ndarray, truth: np.ndarray) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier

    if len(np.unique(truth)) < 2:  # a label of all training images, or of none
        return DummyClassifier(strategy='prior').fit(features, truth)
    model = HistGradientBoostingClassifier(
        class_weight='balanced',
        early_stopping=False,
        max_bins=_STEPS,
        min_samples_leaf=max(1, min(_LEAF, len(truth) // 10)),
        random_state=0,
    )
    return model.fit(features, truth)
