"""Which fraction of a heatmap lies in the lungs, and which of a uniform one would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.lungs import LungField

__all__ = ['lung_fractions', 'lung_mask', 'uniform_lung_fraction']

#: Most rows and columns of a mask. On all pixels of a radiograph the lungs alone would take
#: longer than classifying it.
_FINE = 256


def lung_mask(field: LungField) -> np.ndarray:
    """Return the lungs as a bool mask that stretches over the radiograph, 256 x 256 at most."""
    rows, columns = field.shape
    return replace(field, shape=(min(rows, _FINE), min(columns, _FINE))).mask()


def lung_fractions(heatmaps: Sequence[Heatmap], field: LungField) -> list[float | None]:
    """Return the fraction of each heatmap that lies in the lungs; None for a map of zeros."""
    mask = lung_mask(field)
    return [heatmap.fraction_in(mask, field.shape) for heatmap in heatmaps]


def uniform_lung_fraction(heatmap: Heatmap, mask: np.ndarray, shape: tuple[int, int]) -> float:
    """Return the fraction in the lungs of a uniform map: their fraction of what the network saw.

    Parameters
    ----------
    heatmap : Heatmap
        One of the network's, for what it saw.
    mask : ndarray, shape (rows, columns)
        The lungs; it stretches over the radiograph.
    shape : tuple of int
        Rows and columns of the radiograph.

    Returns
    -------
    float
        In [0, 1].
    """
    return heatmap.uniform().fraction_in(mask, shape) or 0.0
