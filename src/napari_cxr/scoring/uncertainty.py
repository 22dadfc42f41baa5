"""How undecided a model is about an image: what a person should read first to teach it most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cxr.metrics.calibration import normalised

__all__ = ['uncertainty']


def uncertainty(
    probabilities: np.ndarray, several: bool, thresholds: Sequence[float] = ()
) -> np.ndarray:
    """Return the entropy of each answer, as a share of the largest that it could have.

    This is uncertainty sampling by entropy: B. Settles, Active Learning Literature Survey,
    Computer Sciences Technical Report 1648, University of Wisconsin-Madison, 2009, section
    3.1: H = -sum p_k log p_k, here divided by log K. With several labels each class is a
    question of its own, so the mean of K binary entropies is taken, each divided by log 2.

    Parameters
    ----------
    probabilities : array_like, shape (n, K)
        Of each image and class; NaN where an image has none.
    several : bool
        Whether an image can have several classes.
    thresholds : sequence of float
        With `several`, from which probability on each class is predicted; by default one half.
        A class is least certain at its threshold, so entropies are of probabilities that are
        moved so far that it becomes one half, see `napari_cxr.metrics.normalised`.

    Returns
    -------
    ndarray of float64, shape (n,)
        From 0, where the model is certain, to 1, where all classes are alike to it; NaN where
        an image has no probabilities.

    Raises
    ------
    ValueError
        If `probabilities` has not two dimensions.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2:
        raise ValueError(f'Probabilities have 2 dimensions, not {p.ndim}.')
    known = p.shape[1] > 0 and np.isfinite(p).all(axis=1)
    p = np.clip(np.nan_to_num(p), 0.0, 1.0)
    if several:
        if len(thresholds):
            p = normalised(p, np.asarray(thresholds))
        entropy = (_bits(p) + _bits(1 - p)).mean(axis=1) if p.shape[1] else np.zeros(len(p))
    else:
        entropy = _bits(p).sum(axis=1) / max(np.log2(max(p.shape[1], 1)), 1.0)
    return np.where(known, np.clip(entropy, 0.0, 1.0), np.nan)


def _bits(p: np.ndarray) -> np.ndarray:
    """Return -p log2 p, which is 0 for 0."""
    return -p * np.log2(np.where(p > 0, p, 1.0))
