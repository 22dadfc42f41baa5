"""Measurements as a napari Shapes layer on a radiograph, with their results as text.

The layer is what holds them: lines and paths in pixels of the radiograph, and in its features
what each is. So they can be moved with napari's own tools as well, and follow the radiograph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Layer, Shapes

from napari_cxr.measurements import MeasuredImage, Measurement, result_text
from napari_cxr.plugin.layers import KEY, base_of, lay_on, lying_on, name_without_identity
from napari_cxr.radiograph import Geometry, Radiograph

__all__ = [
    'is_measurement_layer',
    'measured_image',
    'measurement_layer',
    'measurements_in',
    'measurements_layer_of',
    'refresh_results',
    'show_measurements',
]

_YELLOW, _CYAN, _PINK = '#ffd60a', '#4dd0e1', '#ff8fab'
#: Width of lines, as a fraction of the radiograph's height. Two radiographs side by side are some
#: 350 pixels high on a small screen, where a line of less than one pixel is not always drawn.
_LINE = 1 / 200


def is_measurement_layer(layer: Layer) -> bool:
    """Return whether a layer holds measurements."""
    return isinstance(layer, Shapes) and 'measured' in layer.metadata.get(KEY, {})


def measured_image(base: Image) -> MeasuredImage:
    """Return what measurements depend on of an image's layer, whoever opened it."""
    radiograph = base.metadata.get(KEY, {}).get('radiograph')
    if isinstance(radiograph, Radiograph):
        return MeasuredImage.of(radiograph)
    rows, columns = (base.data[0] if base.multiscale else base.data).shape[:2]
    aspect = float(base.scale[-2] / base.scale[-1])
    return MeasuredImage(rows, columns, Geometry(aspect=aspect))


def measurements_layer_of(base: Image, layers: Iterable[Layer]) -> Shapes | None:
    """Return the layer with the measurements of a radiograph, if it is there."""
    for layer in lying_on(base, layers):
        if isinstance(layer, Shapes) and is_measurement_layer(layer):
            return layer
    return None


def measurement_layer(base: Image) -> Shapes:
    """Return a layer for measurements, without one, in place on a radiograph."""
    about = name_without_identity(base)
    layer = Shapes(
        ndim=2,
        name=f'Measurements · {about}' if about else 'Measurements',
        opacity=1.0,
        axis_labels=base.axis_labels,
        features=pd.DataFrame({'kind': [], 'number': [], 'text': []}),
        text={'string': '{text}', 'color': _YELLOW, 'size': 11, 'anchor': 'upper_left'},
        metadata={KEY: {'measured': measured_image(base), 'drawn_by_person': True}},
    )
    for name in ('scale', 'translate', 'rotate', 'shear', 'affine', 'units'):
        setattr(layer, name, getattr(base, name))
    lay_on(layer, base)
    return layer


def show_measurements(layer: Shapes, measurements: Sequence[Measurement]) -> None:
    """Put measurements into a layer, in place of those that it holds."""
    image: MeasuredImage = layer.metadata[KEY]['measured']
    data: list[np.ndarray] = []
    types: list[str] = []
    colors: list[str] = []
    kinds: list[str] = []
    numbers: list[int] = []
    for number, each in enumerate(measurements):
        points = np.array(each.points)
        if each.kind == 'cardiothoracic ratio':
            parts = [(points[:2], 'line', _PINK), (points[2:], 'line', _CYAN)]
        elif each.kind == 'angle':
            parts = [(points, 'path', _YELLOW)]
        else:
            parts = [(points, 'line', _YELLOW)]
        for part, shape_type, color in parts:
            data.append(part)
            types.append(shape_type)
            colors.append(color)
            kinds.append(each.kind)
            numbers.append(number)
    with layer.events.blocker_all():
        layer.data = []
        if data:
            layer.add(
                data,
                shape_type=types,
                edge_color=colors,
                face_color='transparent',
                edge_width=max(image.rows * _LINE, 0.5),
            )
        features = {'kind': kinds, 'number': numbers, 'text': [''] * len(kinds)}
        layer.features = pd.DataFrame(features)
    refresh_results(layer)
    layer.refresh()


def measurements_in(layer: Shapes) -> list[Measurement]:
    """Return the measurements that a layer holds; shapes that are none are passed over.

    A line that was drawn with napari's own tools is a length, a path of three points an angle.
    """
    return [each for each, _ in _rows(layer)]


def refresh_results(layer: Shapes) -> None:
    """Write anew beside each measurement what it comes to."""
    base = base_of(layer)
    if base is not None:  # which may have been corrected
        layer.metadata[KEY]['measured'] = measured_image(base)
    image: MeasuredImage = layer.metadata[KEY]['measured']
    texts = [''] * len(layer.data)
    for each, places in _rows(layer):
        texts[places[-1]] = result_text(each, image.geometry, sizes=False)
    features = layer.features.copy()
    if list(features.get('text', ())) == texts:
        return
    features['text'] = texts
    layer.features = features
    layer.refresh_text()


def _rows(layer: Shapes) -> list[tuple[Measurement, list[int]]]:
    """Return each measurement with the places of its shapes."""
    found: list[tuple[Measurement, list[int]]] = []
    halves: dict[Any, int] = {}
    kinds = list(layer.features.get('kind', [None] * len(layer.data)))
    numbers = list(layer.features.get('number', [None] * len(layer.data)))
    for at, (data, shape_type) in enumerate(zip(layer.data, layer.shape_type, strict=True)):
        kind, points = kinds[at], [(float(y), float(x)) for y, x in np.asarray(data)[:, -2:]]
        if kind == 'cardiothoracic ratio' and len(points) == 2:
            other = halves.pop(numbers[at], None)
            if other is None:
                halves[numbers[at]] = at
                continue
            first = [(float(y), float(x)) for y, x in np.asarray(layer.data[other])[:, -2:]]
            found.append((Measurement(kind, (*first, *points)), [other, at]))
        elif str(shape_type) == 'line' and len(points) == 2:
            found.append((Measurement('length', tuple(points)), [at]))
        elif str(shape_type) == 'path' and len(points) == 3:
            found.append((Measurement('angle', tuple(points)), [at]))
    return found
