"""Where the evidence of a heatmap lies, by the lungs: its peak, and what is above half of it.

That the peak lies in the region it should is a hit of the pointing game (J. Zhang et al., Top-down
Neural Attention by Excitation Backprop, International Journal of Computer Vision 126, 2018). How
much of a whole map lies there, `Heatmap.fraction_in`, is its energy-based form (H. Wang et al.,
Score-CAM, CVPR Workshops 2020). A map with most of its sum in the lungs may have its peak on the
chest wall, so the peak is said first. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.lungs import LungField
from napari_cxr.lungs.text_markers import TextMarkers
from napari_cxr.messages import message_type

__all__ = [
    'HeatmapLocation',
    'MarkerFraction',
    'heatmap_location',
    'heatmap_locations',
    'lung_labels',
    'marker_fraction',
    'uniform_lung_fraction',
]

#: Most rows and columns of a mask. On all pixels of a radiograph the lungs alone would take
#: longer than classifying it.
_FINE = 256


def lung_labels(field: LungField) -> np.ndarray:
    """Return the lungs as labels that stretch over the radiograph, 256 x 256 at most.

    Returns
    -------
    ndarray of uint8
        As of `LungField.labels`: 1 for the patient's right lung, 2 for the left one.
    """
    rows, columns = field.shape
    return replace(field, shape=(min(rows, _FINE), min(columns, _FINE))).labels()


@message_type
@dataclass(frozen=True)
class HeatmapLocation:
    """Where the strongest evidence of a heatmap lies.

    Parameters
    ----------
    peak : tuple of float
        The peak, (y, x) in pixels of the radiograph.
    region : str
        Where that is: 'right lung', 'left lung', 'between the lungs', 'above the lungs',
        'below the lungs', 'beside the right lung', 'beside the left lung', or, where no lungs
        were found, 'outside the lungs'.
    half_peak_lung_fraction : float
        The fraction in the lungs, in [0, 1], of the area where the map reaches half of its peak.
    """

    peak: tuple[float, float]
    region: str
    half_peak_lung_fraction: float

    @property
    def in_lungs(self) -> bool:
        """Whether the peak lies in a lung: a hit of the pointing game (Zhang et al. 2018)."""
        return self.region in _LUNGS

    @property
    def place(self) -> str:
        """The region as it follows 'the peak lies'."""
        if self.in_lungs:
            return f'in the {self.region}'
        if 'outside' in self.region:
            return self.region
        return f'outside the lungs, {self.region.replace("the lungs", "them")}'


_LUNGS = ('right lung', 'left lung')


def heatmap_location(
    heatmap: Heatmap, labels: np.ndarray, shape: tuple[int, int]
) -> HeatmapLocation | None:
    """Return where the strongest evidence of a heatmap lies, by the lungs.

    Parameters
    ----------
    heatmap : Heatmap
        One map.
    labels : ndarray of int, shape (rows, columns)
        1 where the patient's right lung is, 2 where the left one is; it stretches over the
        radiograph.
    shape : tuple of int
        Rows and columns of the radiograph.

    Returns
    -------
    HeatmapLocation or None
        None for a map that is the same everywhere, which has no peak.
    """
    peak = heatmap.peak()
    if peak is None:
        return None
    inside = np.array(shape) - 1
    peak = float(np.clip(peak[0], 0, inside[0])), float(np.clip(peak[1], 0, inside[1]))
    step = np.maximum(np.array(labels.shape) // _FINE, 1)
    thinned = labels[step[0] // 2 :: step[0], step[1] // 2 :: step[1]]
    pixels = np.array(shape) / labels.shape
    to_radiograph = np.diag([*(step * pixels), 1.0])
    to_radiograph[:2, 2] = (step // 2 + 0.5) * pixels - 0.5
    sampled = heatmap.sample_at(to_radiograph, thinned.shape)
    strong = sampled >= sampled.max() / 2
    row, column = ((np.array(peak) + 0.5) / pixels).astype(int)
    here = int(labels[row, column])
    return HeatmapLocation(
        peak,
        _LUNGS[here - 1] if here in (1, 2) else _region(thinned, *((row, column) // step)),
        float(np.isin(thinned[strong], (1, 2)).mean()),
    )


def heatmap_locations(
    heatmaps: Sequence[Heatmap], field: LungField
) -> list[HeatmapLocation | None]:
    """Return where the strongest evidence of each heatmap lies; see `heatmap_location`."""
    labels = lung_labels(field)
    return [heatmap_location(heatmap, labels, field.shape) for heatmap in heatmaps]


def _region(labels: np.ndarray, row: int, column: int) -> str:
    """Return where a cell outside the lungs of a raster lies, see `HeatmapLocation`."""
    row, column = min(row, labels.shape[0] - 1), min(column, labels.shape[1] - 1)
    lungs = np.isin(labels, (1, 2))
    if not lungs.any():
        return 'outside the lungs'
    along = {side: np.flatnonzero(labels[row] == side) for side in (1, 2)}
    if all(map(len, along.values())):
        inner = sorted((float(along[1].mean()), float(along[2].mean())))
        if inner[0] < column < inner[1]:
            return 'between the lungs'
    rows = np.flatnonzero(lungs[:, column])
    if not len(rows):
        rows = np.flatnonzero(lungs.any(axis=1))
    if row < rows[0]:
        return 'above the lungs'
    if row > rows[-1]:
        return 'below the lungs'
    nearest = min(
        (side for side in (1, 2) if (labels == side).any()),
        key=lambda side: float(
            np.hypot(*(np.argwhere(labels == side) - (row, column)).T).min(initial=np.inf)
        ),
    )
    return f'beside the {_LUNGS[nearest - 1]}'


@message_type
@dataclass(frozen=True)
class MarkerFraction:
    """How much of a heatmap lies on burnt-in text and side markers.

    Parameters
    ----------
    fraction : float or None
        In [0, 1]; None for an empty map.
    uniform : float
        That of a uniform map.
    count : int
        How many there are on the radiograph.
    """

    fraction: float | None
    uniform: float
    count: int


def marker_fraction(
    heatmap: Heatmap, markers: TextMarkers, shape: tuple[int, int]
) -> MarkerFraction:
    """Return how much of a heatmap lies on text and markers.

    Parameters
    ----------
    heatmap : Heatmap
        One map.
    markers : TextMarkers
        Of the radiograph.
    shape : tuple of int
        Rows and columns of the radiograph.
    """
    return MarkerFraction(
        heatmap.fraction_in(markers.mask, shape),
        heatmap.uniform().fraction_in(markers.mask, shape) or 0.0,
        len(markers.boxes),
    )


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
