"""Where the heatmaps of many images lie: means with intervals, and histograms ready to draw."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_table import HEATMAP_MEASURES, EvaluationTable
from napari_cxr.metrics.confidence_intervals import Interval, mean_interval, proportion_interval
from napari_cxr.scoring.score_row import ScoreRow

__all__ = [
    'MEASURES',
    'HeatmapDistribution',
    'HeatmapDistributions',
    'heatmap_distributions',
    'heatmap_distributions_of',
]

#: What is measured of each heatmap, by the attribute of a `ScoreRow`, in words.
MEASURES = {
    'half_peak_lung_fraction': 'area above half of the peak in the lungs',
    'lung_share': 'heatmap in the lungs',
    'frame_share': 'heatmap in the outer 8 %',
    'marker_fraction': 'heatmap on text and markers',
}

#: What each would be if the heatmap were the same everywhere: an attribute, or the number.
_UNIFORM: dict[str, str | float] = {
    'half_peak_lung_fraction': 'lung_share_if_even',
    'lung_share': 'lung_share_if_even',
    'frame_share': 1 - 0.84**2,
    'marker_fraction': 'marker_fraction_uniform',
}

_BINS = 20


@dataclass(frozen=True)
class HeatmapDistribution:
    """One measure over all images.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    mean : Interval
        Of the images, by patient.
    uniform : float
        The mean if heatmaps were the same everywhere.
    lift : Interval or None
        The mean over images of the measure divided by its uniform value: 1 is chance. None where
        a uniform heatmap would have nothing there on any image.
    counts : tuple of int
        Images in each of 20 bins of equal width from 0 to 1.
    """

    name: str
    mean: Interval
    uniform: float
    lift: Interval | None
    counts: tuple[int, ...]


@dataclass(frozen=True)
class HeatmapDistributions:
    """Where heatmaps lie.

    Parameters
    ----------
    images : int
        How many heatmaps were measured.
    peak_in_lung : Interval
        The fraction whose peak lies in a lung (the pointing game), by patient.
    measures : tuple of HeatmapDistribution
        Those that are known.
    """

    images: int
    peak_in_lung: Interval
    measures: tuple[HeatmapDistribution, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON."""
        return {
            'images': self.images,
            'peak_in_lung': self.peak_in_lung.to_list(),
            'measures': {
                one.name: {
                    'mean': one.mean.to_list(),
                    'uniform': round(one.uniform, 4),
                    'lift': None if one.lift is None else one.lift.to_list(),
                    'counts': list(one.counts),
                }
                for one in self.measures
            },
        }


def heatmap_distributions(
    rows: Sequence[ScoreRow], patients: Sequence[Hashable]
) -> HeatmapDistributions | None:
    """Return where the heatmaps of a table's rows lie.

    Parameters
    ----------
    rows : sequence of ScoreRow
        Of a table with heatmaps or ``--lung-share``; rows without are left out.
    patients : sequence
        Of each row.

    Returns
    -------
    HeatmapDistributions or None
        None where no row has a heatmap with a peak.
    """
    hits = [
        (row.peak_in_lung, owner)
        for row, owner in zip(rows, patients, strict=True)
        if row.peak_in_lung is not None
    ]
    if not hits:
        return None
    measures = []
    for name in MEASURES:
        known = [
            (value, _uniform(row, name), owner)
            for row, owner in zip(rows, patients, strict=True)
            if (value := getattr(row, name)) is not None
        ]
        if not known:
            continue
        values = np.array([value for value, _, _ in known])
        uniform = np.array([even for _, even, _ in known])
        owners = [owner for _, _, owner in known]
        some = uniform > 0
        lift = None
        if some.any():
            lifted = [owner for owner, one in zip(owners, some, strict=True) if one]
            lift = mean_interval(values[some] / uniform[some], lifted)
        counts, _ = np.histogram(values, bins=_BINS, range=(0, 1))
        measures.append(
            HeatmapDistribution(
                name,
                mean_interval(values, owners),
                float(uniform.mean()),
                lift,
                tuple(counts.tolist()),
            )
        )
    return HeatmapDistributions(
        len(hits),
        proportion_interval(np.array([hit for hit, _ in hits]), [owner for _, owner in hits]),
        tuple(measures),
    )


def heatmap_distributions_of(table: EvaluationTable, model: str) -> HeatmapDistributions | None:
    """Return where the heatmaps of a model lie on the images of an evaluation; None if unknown."""
    if model not in table.heatmaps:
        return None
    rows = []
    for number, values in enumerate(table.heatmaps[model].tolist()):
        known = dict(zip(HEATMAP_MEASURES, values, strict=True))
        found: dict[str, Any] = {k: v for k, v in known.items() if not math.isnan(v)}
        rows.append(ScoreRow(number=number, path='', status='scored', **found))
    return heatmap_distributions(rows, table.patients)


def _uniform(row: ScoreRow, name: str) -> float:
    even = _UNIFORM[name]
    return float(getattr(row, even) or 0) if isinstance(even, str) else even
