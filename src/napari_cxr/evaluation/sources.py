"""Learning from some hospitals and being judged by another."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ['Stratum', 'balanced_weights', 'held_out', 'patient_folds']


@dataclass(frozen=True, order=True)
class Stratum:
    """Images that may be compared with one another: one source, one projection."""

    source: str
    projection: str = ''


def balanced_weights(positive: np.ndarray, strata: Sequence[Stratum]) -> np.ndarray:
    """Weight training images so that neither source nor projection gives the answer away.

    Within each stratum both classes count alike, a stratum counts by its number of images
    within its source, and all sources count alike. A stratum with one class only counts for
    nothing, since there the stratum is the answer.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    strata : sequence of Stratum, length n
        Of each image.

    Returns
    -------
    ndarray of float64, shape (n,)
        Of mean 1.

    Raises
    ------
    ValueError
        If no stratum has both classes.
    """
    positive = np.asarray(positive, bool)
    names = np.array([f'{s.source}\0{s.projection}' for s in strata])
    sources = np.array([s.source for s in strata])
    weights = np.zeros(len(positive))
    for name in np.unique(names):
        there = names == name
        have, lack = there & positive, there & ~positive
        if have.any() and lack.any():
            weights[have] = there.sum() / have.sum()
            weights[lack] = there.sum() / lack.sum()
    for source in np.unique(sources):
        there = sources == source
        if weights[there].any():
            weights[there] /= weights[there].sum()
    if not weights.any():
        raise ValueError('No source and projection has images with the finding and without it.')
    return weights / weights.mean()


def patient_folds(
    groups: Sequence[Hashable], positive: np.ndarray, folds: int, seed: int = 0
) -> list[np.ndarray]:
    """Divide images into folds by patient, each class spread as evenly as patients allow.

    Parameters
    ----------
    groups : sequence, length n
        The patient of each image.
    positive : ndarray of bool, shape (n,)
        Whether each has the finding.
    folds : int
        How many.
    seed : int
        Of the order in which patients of equal numbers of images are dealt out.

    Returns
    -------
    list of ndarray of int
        The places of the images of each fold, rising.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    patients = [numbers[group] for group in groups]
    labels = np.asarray(positive, int)
    return [held for _, held in splitter.split(np.zeros(len(labels)), labels, patients)]


def held_out(sources: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each source with the places of all other images and of its own."""
    names = np.asarray(sources)
    for source in sorted(set(sources)):
        yield source, np.flatnonzero(names != source), np.flatnonzero(names == source)
