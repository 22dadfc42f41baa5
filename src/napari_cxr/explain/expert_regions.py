"""What a reader marked on a radiograph: boxes and points, as JSON beside the image.

Also whether a heatmap agrees with it: the pointing game (J. Zhang et al. 2018) for boxes and
points, and overlap for boxes. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.settings_file import parse_json, read_settings

__all__ = [
    'ENDING',
    'ExpertRegions',
    'MarkedRegion',
    'RegionAgreement',
    'agreement_with',
    'read_regions',
    'regions_path',
    'regions_to_json',
]

#: How the file of an image is called: its own name without the ending, and this.
ENDING = '.regions.json'

_FORM = 1
_LARGEST = 1_000_000

#: How near to a point the peak of a heatmap is a hit, as a fraction of the longer side.
_NEAR = 0.05

#: Points along each side on which overlaps are counted.
_POINTS = 256


@dataclass(frozen=True)
class MarkedRegion:
    """A box or a point.

    Parameters
    ----------
    label : str
        The finding; empty for any.
    corners : tuple of float
        Top, left, bottom and right edge in pixels of the radiograph; of a point, twice the same.
    """

    label: str
    corners: tuple[float, float, float, float]

    @property
    def is_point(self) -> bool:
        """Whether it has no extent."""
        return self.corners[:2] == self.corners[2:]


@dataclass(frozen=True)
class ExpertRegions:
    """All that one reader marked on one radiograph.

    Parameters
    ----------
    image : str
        16 digits of the SHA-256 of the image's file.
    shape : tuple of int
        Rows and columns of the radiograph.
    regions : tuple of MarkedRegion
        Empty where the reader saw nothing.
    reader : str
        Whoever it was; may be empty.
    """

    image: str
    shape: tuple[int, int]
    regions: tuple[MarkedRegion, ...]
    reader: str = ''

    def of_label(self, label: str) -> tuple[MarkedRegion, ...]:
        """Return what was marked as a finding, or as any."""
        return tuple(r for r in self.regions if r.label.casefold() in ('', label.casefold()))


def regions_path(image: str | Path) -> Path:
    """Return where the regions of an image's file are."""
    image = Path(image)
    return image.with_name(image.stem + ENDING)


def regions_to_json(regions: ExpertRegions) -> str:
    """Return regions as the text of their file."""
    content = {
        'form': _FORM,
        'image': regions.image,
        'shape': list(regions.shape),
        'reader': regions.reader,
        'regions': [
            {'label': region.label, 'point': [round(x, 2) for x in region.corners[:2]]}
            if region.is_point
            else {'label': region.label, 'box': [round(x, 2) for x in region.corners]}
            for region in regions.regions
        ],
    }
    return json.dumps(content, indent=1) + '\n'


def read_regions(path: str | Path) -> ExpertRegions:
    """Read what `regions_to_json` wrote.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is no such file; the message says why.
    """
    content = parse_json(read_settings(Path(path), _LARGEST))
    try:
        if content['form'] != _FORM:
            raise ValueError('it has a form of a later version')
        rows, columns = (int(side) for side in content['shape'])
        regions = tuple(map(_region, content['regions']))
        image, reader = content['image'], content.get('reader', '')
        if not (isinstance(image, str) and isinstance(reader, str) and rows > 0 and columns > 0):
            raise ValueError('an entry is not what it should be')
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'This is no file of marked regions: {error}.') from None
    return ExpertRegions(image, (rows, columns), regions, reader)


def _region(entry: Any) -> MarkedRegion:
    place = entry.get('box') or [*entry['point'], *entry['point']]
    corners = tuple(float(x) for x in place)
    if len(corners) != 4 or not np.isfinite(corners).all() or not isinstance(entry['label'], str):
        raise ValueError('a region is not four finite numbers with a label')
    top, left, bottom, right = corners
    return MarkedRegion(
        entry['label'], (min(top, bottom), min(left, right), max(top, bottom), max(left, right))
    )


@dataclass(frozen=True)
class RegionAgreement:
    """How far a heatmap agrees with what a reader marked.

    Parameters
    ----------
    hit : bool
        Whether the peak lies in a box, or within 5 % of the longer side of a point.
    hit_by_chance : float
        How likely a random place of what the network saw is a hit.
    energy : float or None
        The fraction of the heatmap in the boxes; None without boxes.
    iou : float or None
        Intersection over union of the boxes and the area above half of the peak; None without
        boxes.
    """

    hit: bool
    hit_by_chance: float
    energy: float | None
    iou: float | None


def agreement_with(
    heatmap: Heatmap, regions: Sequence[MarkedRegion], shape: tuple[int, int]
) -> RegionAgreement | None:
    """Compare a heatmap with what a reader marked.

    Parameters
    ----------
    heatmap : Heatmap
        One map.
    regions : sequence of MarkedRegion
        At least one.
    shape : tuple of int
        Rows and columns of the radiograph.

    Returns
    -------
    RegionAgreement or None
        None for an empty map, which points nowhere, or without regions.
    """
    if not regions or heatmap.values.max() <= 0:
        return None
    points = min(shape[0], _POINTS), min(shape[1], _POINTS)
    step = np.array(shape) / points
    to_radiograph = np.diag([*step, 1.0])
    to_radiograph[:2, 2] = step / 2 - 0.5
    sampled = heatmap.sample_at(to_radiograph, points)
    seen = heatmap.uniform().sample_at(to_radiograph, points) > 0
    y = (step[0] * (np.arange(points[0]) + 0.5) - 0.5)[:, None]
    x = (step[1] * (np.arange(points[1]) + 0.5) - 0.5)[None, :]
    boxes, hits = np.zeros(points, bool), np.zeros(points, bool)
    for region in regions:
        top, left, bottom, right = region.corners
        if region.is_point:
            hits |= np.hypot(y - top, x - left) <= _NEAR * max(shape)
        else:
            boxes |= (y >= top) & (y <= bottom) & (x >= left) & (x <= right)
    hits |= boxes
    peak = heatmap.peak()
    strong = sampled >= sampled.max() / 2
    if peak is None:  # the same everywhere
        peak = float(y[points[0] // 2, 0]), float(x[0, points[1] // 2])
    row = int(np.clip(round((peak[0] + 0.5) / step[0] - 0.5), 0, points[0] - 1))
    column = int(np.clip(round((peak[1] + 0.5) / step[1] - 0.5), 0, points[1] - 1))
    whole = float(sampled.sum(dtype=np.float64))
    some = bool(boxes.any())
    return RegionAgreement(
        bool(hits[row, column]),
        float(hits[seen].mean()) if seen.any() else 0.0,
        float(sampled[boxes].sum(dtype=np.float64)) / whole if some and whole > 0 else None,
        float((boxes & strong).sum() / (boxes | strong).sum()) if some else None,
    )
