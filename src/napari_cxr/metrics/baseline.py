"""The no-anatomy baseline: what a classifier reaches that never saw a lung.

It knows the size of an image, the brightness of its border and how often each
grey value occurs. Where it does well, images of different classes come from
different machines, and a network's accuracy on them means that much less
(Maguolo and Nanni 2020; DeGrave et al., Nat. Mach. Intell. 2021;3:610).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cxr.radiograph import Radiograph

__all__ = ['baseline_features', 'fit_baseline']

_BINS = 32
#: Share of the shorter side that counts as border.
_BORDER = 0.05


def baseline_features(radiograph: Radiograph) -> np.ndarray:
    """Describe an image without its anatomy.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.

    Returns
    -------
    ndarray of float32, shape (44,)
        Log of rows and columns, their log ratio, whether it is square; mean and
        spread of each of the four borders; a grey histogram of 32 bins.
    """
    image = radiograph.to_display()
    rows, columns = image.shape
    depth = max(1, round(min(rows, columns) * _BORDER))
    borders = (image[:depth], image[-depth:], image[:, :depth], image[:, -depth:])
    size = [np.log(rows), np.log(columns), np.log(rows / columns), float(rows == columns)]
    edge = [f(border) for border in borders for f in (np.mean, np.std)]
    grey = np.histogram(image, bins=_BINS, range=(0, 1))[0] / image.size
    return np.array([*size, *edge, *grey], dtype=np.float32)


def fit_baseline(
    features: np.ndarray, truth: np.ndarray, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a logistic regression to `baseline_features`.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Of the training split.
    truth : ndarray of int, shape (n,)
        Class numbers.
    classes : int
        How many classes there are.

    Returns
    -------
    callable
        Takes features (m, f) and returns probabilities (m, classes).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, class_weight='balanced', max_iter=2000)
    )
    model.fit(np.asarray(features, dtype=np.float64), truth)

    def probabilities(others: np.ndarray) -> np.ndarray:
        out = np.zeros((len(others), classes))
        out[:, model.classes_] = model.predict_proba(np.asarray(others, dtype=np.float64))
        return out

    return probabilities
