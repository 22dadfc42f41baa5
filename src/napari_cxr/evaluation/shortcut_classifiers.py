"""Classifiers that see no shapes, and images without lungs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_cxr.metrics.baseline import BASELINES, fit_baseline

__all__ = ['fit_shortcut', 'lungs_blanked']


def fit_shortcut(
    name: str,
    features: np.ndarray,
    projections: Sequence[str],
    positive: np.ndarray,
) -> Callable[[np.ndarray, Sequence[str]], np.ndarray]:
    """Fit a classifier of one finding that has no access to shapes.

    Parameters
    ----------
    name : {'projection only', 'format only', 'format and grey levels'}
        Its input: the projection alone; the size of the image and the brightness of its
        border; or these and the grey-level histogram.
    features : ndarray, shape (n, 44)
        Of the training images, from `napari_cxr.metrics.baseline_features`.
    projections : sequence of str, length n
        'AP', 'PA', or empty.
    positive : ndarray of bool, shape (n,)
        Whether each training image has the finding.

    Returns
    -------
    callable
        Takes features (m, 44) and projections, and returns probabilities (m,).
    """
    positive = np.asarray(positive, bool)
    if name == 'projection only':
        known = np.asarray(projections)
        rates = {p: float(positive[known == p].mean()) for p in set(projections)}
        return lambda _, theirs: np.array([rates.get(p, float(positive.mean())) for p in theirs])
    if name not in BASELINES:
        names = ', '.join(('projection only', *BASELINES))
        raise ValueError(f'There is no shortcut classifier {name!r}; choose one of {names}.')
    used = BASELINES[name]
    predict = fit_baseline(features[:, :used], positive.astype(int), 2)
    return lambda others, _: predict(others[:, :used])[:, 1]


def lungs_blanked(images: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Return images with both lungs set to black, so that only their surroundings remain.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
        As a network sees them.
    lungs : ndarray, shape (n, height, width)
        Probability of lung, on the same pixels.
    """
    return np.where(lungs > 0.5, 0, images).astype(images.dtype)
