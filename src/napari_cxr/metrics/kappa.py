"""How far readers agree beyond chance: Cohen's and Fleiss' kappa, with intervals by patient.

Both are computed for thousands of resamples in one pass, which libraries do one by one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from napari_cxr.metrics.classification import confusion_matrix
from napari_cxr.metrics.confidence_intervals import Interval, bootstrap

__all__ = ['cohen_kappa', 'fleiss_kappa', 'kappa_interval']

#: Fewer patients than this give no interval: their resamples are too much alike.
_FEWEST_PATIENTS = 10


def cohen_kappa(
    first: np.ndarray, second: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return Cohen's kappa of two readers (Educ. Psychol. Meas. 1960;20:37).

    Parameters
    ----------
    first, second : ndarray of int, shape (n,)
        The class that each chose for each image.
    classes : int
        How many classes there are.
    weights : ndarray, shape (..., n), optional
        Weight of each image; 1 by default.

    Returns
    -------
    ndarray, shape (...)
        1 for full agreement, 0 for that of chance; NaN where chance alone agrees fully, as
        when both always chose one class.
    """
    counts = confusion_matrix(first, second, classes, weights)
    return _kappa(
        _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1))),
        _ratio(
            (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1),
            counts.sum(axis=(-2, -1)) ** 2,
        ),
    )


def fleiss_kappa(
    chosen: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return Fleiss' kappa of several readers (Psychol. Bull. 1971;76:378).

    Parameters
    ----------
    chosen : ndarray of int, shape (readers, n)
        The class that each chose for each image; at least two readers.
    classes : int
        How many classes there are.
    weights : ndarray, shape (..., n), optional
        Weight of each image; 1 by default.

    Returns
    -------
    ndarray, shape (...)
        As of `cohen_kappa`.
    """
    readers, images = np.shape(chosen)
    counts = (np.asarray(chosen)[:, :, None] == np.arange(classes)).sum(axis=0).astype(float)
    weights = np.ones(images) if weights is None else np.asarray(weights, dtype=np.float64)
    alike = ((counts**2).sum(axis=1) - readers) / (readers * (readers - 1))
    total = weights.sum(axis=-1)
    fractions = _ratio(weights @ counts, readers * total[..., None])
    return _kappa(_ratio(weights @ alike, total), (fractions**2).sum(axis=-1))


def kappa_interval(
    chosen: np.ndarray, classes: int, patients: Sequence[Hashable], *, fleiss: bool = False
) -> Interval:
    """Return kappa with its 95 % interval, by resampling patients.

    Parameters
    ----------
    chosen : ndarray of int, shape (readers, n)
        The class that each chose for each image; two readers for Cohen's kappa.
    classes : int
        How many classes there are.
    patients : sequence
        The patient of each image.
    fleiss : bool
        Whether it is Fleiss' kappa.

    Returns
    -------
    Interval
        Without bounds where there are fewer than ten patients, or all resamples are alike,
        as where readers agree on every image.
    """
    chosen = np.asarray(chosen, dtype=np.intp)

    def kappa(weights: np.ndarray) -> np.ndarray:
        if fleiss:
            return fleiss_kappa(chosen, classes, weights)
        return cohen_kappa(chosen[0], chosen[1], classes, weights)

    value = float(kappa(np.ones(chosen.shape[1])))
    if len(set(patients)) < _FEWEST_PATIENTS or not np.isfinite(value):
        return Interval(value, np.nan, np.nan)
    (found,) = bootstrap(kappa, patients, [0] * len(patients))
    return found if found.low < found.high else Interval(value, np.nan, np.nan)


def _kappa(observed: np.ndarray, by_chance: np.ndarray) -> np.ndarray:
    left = 1 - by_chance
    return _ratio(observed - by_chance, np.where(left > 1e-12, left, 0))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return a quotient, NaN where there is nothing to divide by."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
