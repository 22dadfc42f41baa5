"""What is in a labelled folder, told before anything is trained on it. Without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cxr.training.events import Event

__all__ = ['Pair', 'Survey']


@dataclass(frozen=True)
class Pair:
    """Two images that may be one.

    Parameters
    ----------
    first, second : int
        Places in the survey.
    distance : int
        Bits in which their perceptual hashes differ, of 64.
    similarity : float
        Cosine of a network's features of the two, or NaN where none was asked.
    across : bool
        Whether a split, a class or a patient lies between them.
    """

    first: int
    second: int
    distance: int
    similarity: float
    across: bool


@dataclass(frozen=True, eq=False)
class Survey(Event):
    """A data set as a recipe would use it.

    Parameters
    ----------
    labels : tuple of str
        The classes, K of them.
    paths : tuple of str
        The n images, in the order of all that follows.
    digests : tuple of str
        What recipes call them.
    truth : ndarray of bool, shape (n, K)
        Their labels.
    sources, groups : tuple of str
        Their collections ('' where unknown), and numbers for their patients.
    splits : tuple of str
        'train', 'val', 'test', or '' for images that the recipe leaves out.
    excluded : ndarray of bool, shape (n,)
        Images that a person left out.
    sizes : ndarray of int, shape (n, 2)
        Rows and columns of the files.
    histograms : ndarray, shape (K, bins)
        Mean share of each grey value, by class, over [0, 1].
    cooccurrence : ndarray of int, shape (K, K)
        Images with both labels.
    split_kind : str
        'by patient' or 'by image'.
    association : float
        Cramér's V of source and class, NaN with one source.
    flags : tuple of str
        Sentences about what would mislead, most serious first.
    baselines : dict of str to tuple of float
        Macro AUC of classifiers that see no anatomy, with its 95 % interval: value, low,
        high. Empty where there are too few images.
    pairs : tuple of Pair
        Near-duplicates, the most alike first.
    skipped : tuple of (str, str)
        Files that could not be used, and why.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    truth: np.ndarray
    sources: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    excluded: np.ndarray
    sizes: np.ndarray
    histograms: np.ndarray
    cooccurrence: np.ndarray
    split_kind: str
    association: float
    flags: tuple[str, ...]
    baselines: dict[str, tuple[float, float, float]]
    pairs: tuple[Pair, ...]
    skipped: tuple[tuple[str, str], ...]
