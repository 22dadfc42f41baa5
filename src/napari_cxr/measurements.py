"""Lengths, angles and the cardiothoracic ratio on a radiograph, and the JSON file that keeps them.

Points are pixel centres (row, column) of the image as its file holds it, so a measurement does
not depend on how the image was shown. A length is in millimetres only where the file says how
large a pixel is, and then with what that size is worth: a spacing at the detector measures the
shadow, which is larger than the patient.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.correction import NO_CORRECTION, Correction
from napari_cxr.radiograph import Geometry, Radiograph, SpacingSource
from napari_cxr.settings_file import parse_json, read_settings

__all__ = [
    'POINTS',
    'SPACING_KINDS',
    'MeasuredImage',
    'Measurement',
    'angle_between',
    'distance',
    'read_measurements',
    'result',
    'result_text',
    'write_measurements',
]

#: The kinds of measurements, and how many points each has. An angle lies at its middle point; a
#: cardiothoracic ratio is the width of the heart, two points, over that of the thorax.
POINTS = {'length': 2, 'angle': 3, 'cardiothoracic ratio': 4}

_FORMAT = 'napari-cxr measurements'
_VERSION = 1
#: More than a person draws on one radiograph.
_MOST = 1000
#: What a spacing is worth, in so few words that they fit beside a line.
SPACING_KINDS = {
    SpacingSource.CALIBRATED: 'calibrated',
    SpacingSource.AS_STATED: 'as stated',
    SpacingSource.DETECTOR: 'at the detector',
    SpacingSource.MAGNIFICATION: 'magnification estimated',
    SpacingSource.SCANNED: 'on the film',
}

_NO_SPACING = Geometry()

Point = tuple[float, float]


@dataclass(frozen=True)
class MeasuredImage:
    """What of a radiograph a measurement depends on; nothing that identifies a patient.

    Parameters
    ----------
    rows, columns : int
        Of the image that is measured, after its correction.
    geometry : Geometry
        Spacing and its kind, after the correction.
    correction : Correction
        What was put right of the file's image.
    instance : str
        Pseudonym of the image, see `Provenance`; may be empty.
    """

    rows: int
    columns: int
    geometry: Geometry = _NO_SPACING
    correction: Correction = NO_CORRECTION
    instance: str = ''

    @classmethod
    def of(cls, radiograph: Radiograph) -> MeasuredImage:
        """Return what counts of a radiograph."""
        rows, columns = radiograph.shape
        instance = radiograph.provenance.pseudonyms.get('instance', '')
        return cls(rows, columns, radiograph.geometry, radiograph.correction, instance)

    def to_file(self, points: Sequence[Point]) -> tuple[Point, ...]:
        """Take points of the corrected image to pixels of the file's."""
        return _moved(points, self.correction.inverse().matrix(self.rows, self.columns))

    def from_file(self, points: Sequence[Point]) -> tuple[Point, ...]:
        """Take points of the file's image to pixels of the corrected one."""
        shape = self.correction.inverse().shape(self.rows, self.columns)
        return _moved(points, self.correction.matrix(*shape))


@dataclass(frozen=True)
class Measurement:
    """Something that was measured.

    Parameters
    ----------
    kind : {'length', 'angle', 'cardiothoracic ratio'}
        What.
    points : tuple of (float, float)
        Rows and columns, as many as `POINTS` says.

    Raises
    ------
    ValueError
        If there is no such kind, or the points are not those of it.
    """

    kind: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if self.kind not in POINTS:
            raise ValueError(f'{self.kind!r} is not a measurement; there are {", ".join(POINTS)}')
        if len(self.points) != POINTS[self.kind]:
            raise ValueError(
                f'{self.kind} has {POINTS[self.kind]} points, and here are {len(self.points)}'
            )
        if not all(math.isfinite(c) and abs(c) < 1e7 for point in self.points for c in point):
            raise ValueError(f'the points of {self.kind} must be finite numbers')


def distance(one: Point, other: Point, geometry: Geometry) -> float:
    """Return how far two points lie apart.

    Returns
    -------
    float
        In millimetres where there is a spacing; else in widths of a pixel.
    """
    down, right = geometry.spacing or (geometry.aspect, 1.0)
    return math.hypot((one[0] - other[0]) * down, (one[1] - other[1]) * right)


def angle_between(points: Sequence[Point], geometry: Geometry) -> float:
    """Return the angle at the middle of three points, in degrees from 0 to 180."""
    scale = np.array(geometry.spacing or (geometry.aspect, 1.0))
    first, corner, last = (np.asarray(point) * scale for point in points)
    a, b = first - corner, last - corner
    cross = a[0] * b[1] - a[1] * b[0]
    return math.degrees(math.atan2(abs(float(cross)), float(a @ b)))


def result(measurement: Measurement, geometry: Geometry) -> tuple[float, str]:
    """Return what a measurement comes to, and its unit: 'mm', 'pixel', 'degree' or ''.

    A ratio over a line without length is NaN.
    """
    points = measurement.points
    if measurement.kind == 'angle':
        return angle_between(points, geometry), 'degree'
    first = distance(points[0], points[1], geometry)
    if measurement.kind == 'length':
        return first, 'mm' if geometry.spacing else 'pixel'
    second = distance(points[2], points[3], geometry)
    return first / second if second else math.nan, ''


def result_text(measurement: Measurement, geometry: Geometry, *, sizes: bool = True) -> str:
    """Return what a measurement comes to in words, with the kind of the spacing.

    Without `sizes` a ratio is that number alone, short enough to stand on an image.
    """
    number, unit = result(measurement, geometry)
    if unit == 'degree':
        return f'{number:.1f}°'
    if measurement.kind == 'length':
        return _length_text(number, geometry)
    points = measurement.points
    heart = distance(points[0], points[1], geometry)
    thorax = distance(points[2], points[3], geometry)
    if math.isnan(number):
        return 'CTR –'
    if not sizes:
        return f'CTR {number:.2f}'
    kind = SPACING_KINDS.get(geometry.source, '')
    unit = f'mm {kind}'.strip() if geometry.spacing else 'px'
    return f'CTR {number:.2f} ({heart:.0f} / {thorax:.0f} {unit})'


def _length_text(number: float, geometry: Geometry) -> str:
    if not geometry.spacing:
        return f'{number:.0f} px'
    digits = 1 if number < 100 else 0
    kind = SPACING_KINDS.get(geometry.source, '')
    return f'{number:.{digits}f} mm {kind}'.strip()


def _moved(points: Sequence[Point], matrix: np.ndarray) -> tuple[Point, ...]:
    if not len(points):
        return ()
    placed = np.column_stack([np.asarray(points, float), np.ones(len(points))]) @ matrix.T
    return tuple((float(row), float(column)) for row, column, _ in placed)


def write_measurements(
    path: str | Path, image: MeasuredImage, measurements: Sequence[Measurement]
) -> None:
    """Write measurements to a JSON file, whole or not at all; raises OSError.

    Parameters
    ----------
    path : str or Path
        The file; one of this name is replaced.
    image : MeasuredImage
        What they were made on.
    measurements : sequence of Measurement
        In pixels of the corrected image.
    """
    geometry = image.geometry
    rows, columns = image.correction.inverse().shape(image.rows, image.columns)
    content = {
        'format': _FORMAT,
        'version': _VERSION,
        'image': {'instance': image.instance, 'rows': rows, 'columns': columns},
        'spacing': None if geometry.spacing is None else str(geometry.source),
        'measurements': [
            {
                'kind': each.kind,
                'points': [list(point) for point in image.to_file(each.points)],
                **_result_entries(each, geometry),
            }
            for each in measurements
        ],
    }
    path = Path(path)
    beside = path.with_name(f'.{path.name}.part')
    try:
        beside.write_text(json.dumps(content, indent=1) + '\n', encoding='ascii')
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _result_entries(measurement: Measurement, geometry: Geometry) -> dict[str, Any]:
    number, unit = result(measurement, geometry)
    return {'result': None if math.isnan(number) else round(number, 4), 'unit': unit}


def read_measurements(
    path: str | Path, image: MeasuredImage
) -> tuple[tuple[Measurement, ...], bool]:
    """Read measurements from a JSON file; results in it are not read but measured anew.

    Parameters
    ----------
    path : str or Path
        The file.
    image : MeasuredImage
        The radiograph that they are for.

    Returns
    -------
    measurements : tuple of Measurement
        In pixels of the corrected image.
    same : bool
        Whether the file names this very image; a colleague's file of it never does, since
        pseudonyms are each person's own.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is no file of this kind, or of an image of another size; the
        message is one sentence.
    """
    name = Path(path).name
    content = parse_json(read_settings(Path(path)))
    if not isinstance(content, dict) or content.get('format') != _FORMAT:
        raise ValueError(f'{name} holds no measurements. Choose a file that was saved here.')
    if content.get('version') != _VERSION:
        raise ValueError(f'{name} was written by a newer version of napari-cxr. Update it first.')
    of, listed = content.get('image'), content.get('measurements')
    if not isinstance(of, dict) or not isinstance(listed, list) or len(listed) > _MOST:
        raise ValueError(f'{name} is damaged: its image or its measurements are missing.')
    rows, columns = image.correction.inverse().shape(image.rows, image.columns)
    if (of.get('rows'), of.get('columns')) != (rows, columns):
        raise ValueError(
            f'{name} was measured on an image of another size. Open that image first.'
        )
    try:
        found = tuple(_measurement(entry, image) for entry in listed)
    except (ValueError, OverflowError) as error:
        raise ValueError(f'{name} is damaged: {error}.') from None
    same = bool(image.instance) and of.get('instance') == image.instance
    return found, same


def _measurement(entry: Any, image: MeasuredImage) -> Measurement:
    if not isinstance(entry, dict) or not isinstance(entry.get('points'), list):
        raise ValueError('a measurement is no entry with a kind and points')
    points = tuple(_point(point) for point in entry['points'][:5])
    return Measurement(str(entry.get('kind')), image.from_file(points))


def _point(point: Any) -> Point:
    if not isinstance(point, list) or len(point) != 2:
        raise ValueError('a point is no pair of row and column')
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in point):
        raise ValueError('a point is no pair of numbers')
    return float(point[0]), float(point[1])
