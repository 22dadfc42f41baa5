"""Classifiers that cannot see the finding: what they reach is no evidence of it."""

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
    """Fit a classifier of one finding that sees no shape.

    Parameters
    ----------
    name : {'projection only', 'format only', 'format and grey levels'}
        What it sees: the projection alone; the size of the image and the brightness of its
        border; or these and how often each grey value occurs.
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
        raise ValueError(f'There is no shortcut {name!r}; there are {names}.')
    seen = BASELINES[name]
    guess = fit_baseline(features[:, :seen], positive.astype(int), 2)
    return lambda others, _: guess(others[:, :seen])[:, 1]


def lungs_blanked(images: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Return images with both lungs black, so that only what lies around them is left.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
        As a network gets them.
    lungs : ndarray, shape (n, height, width)
        How probable lung is, on the same pixels.
    """
    return np.where(lungs > 0.5, 0, images).astype(images.dtype)
