"""The lungs as a napari Labels layer on a radiograph's layer."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterable
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils import DirectLabelColormap

from napari_cxr.lungs import LungField
from napari_cxr.plugin.layers import KEY, name_without_identity

__all__ = [
    'LUNG_COLOURS',
    'align_lungs',
    'detach_lungs',
    'edit_number',
    'edited_field',
    'found_field',
    'is_lungs_layer',
    'lungs_layer',
    'lungs_of',
    'radiograph_of_lungs',
]

#: Of the right and of the left lung: calm beside grey, and no colour of the heatmap's.
LUNG_COLOURS = ('#a28ff0', '#ec9bc9')
_NAMES = ('outside the lungs', 'right lung', 'left lung')
#: A brush of this fraction of the radiograph's height draws a lung's edge in a few strokes.
_BRUSH = 1 / 40
#: Which radiograph's layer each layer with lungs lies on.
_UNDER: WeakKeyDictionary[Labels, weakref.ref[Image]] = WeakKeyDictionary()


def lungs_layer(field: LungField, labels: np.ndarray, base: Image) -> Labels:
    """Return a layer with both lungs that can be painted on, in place on `base`.

    Filled and faint, not outlined: napari redraws outlines for all pixels at every
    stroke of the brush, and as thick as so many pixels of the radiograph.

    Parameters
    ----------
    field : LungField
        The lungs.
    labels : ndarray of uint8
        What `field.labels()` returned, where it may take its time.
    base : napari.layers.Image
        The radiograph's layer.
    """
    right, left = LUNG_COLOURS
    about = name_without_identity(base)
    layer = Labels(
        labels,
        name=f'Lungs · {about}' if about else 'Lungs',
        colormap=DirectLabelColormap(
            color_dict={None: 'transparent', 0: 'transparent', 1: right, 2: left}
        ),
        features={'index': [0, 1, 2], 'name': list(_NAMES)},
        opacity=0.35,
        blending='translucent_no_depth',
        axis_labels=base.axis_labels,
        metadata={
            KEY: {
                'lungs': field.source,
                'plausibility': field.plausibility,
                'implausible': field.implausible,
                'field': field,
                'fingerprint': _fingerprint(labels),
            }
        },
    )
    layer.brush_size = max(5, round(_BRUSH * field.shape[0]))
    align_lungs(layer, base)
    _UNDER[layer] = weakref.ref(base)
    return layer


def align_lungs(layer: Labels, base: Image) -> None:
    """Lay the lungs where the radiograph's layer is now."""
    for name in ('scale', 'translate', 'rotate', 'shear', 'affine'):
        value = getattr(base, name)
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)
    if layer.units != base.units:
        layer.units = base.units


def is_lungs_layer(layer: Layer) -> bool:
    """Return whether a layer holds lungs that we found."""
    return 'lungs' in layer.metadata.get(KEY, {})


def found_field(layer: Labels) -> LungField:
    """Return the lungs that a layer had before anyone edited it."""
    field: LungField = layer.metadata[KEY]['field']
    return field


def radiograph_of_lungs(layer: Layer) -> Image | None:
    """Return the radiograph's layer on which a layer with lungs lies, if both are related."""
    under = _UNDER.get(layer) if isinstance(layer, Labels) else None
    return under() if under is not None else None


def lungs_of(base: Image, layers: Iterable[Layer]) -> Labels | None:
    """Return the layer with the lungs of a radiograph's layer, if it is there."""
    for layer in layers:
        if isinstance(layer, Labels) and radiograph_of_lungs(layer) is base:
            return layer
    return None


def detach_lungs(layer: Labels) -> None:
    """Make a layer independent of its radiograph, whose lungs it no longer shows."""
    _UNDER.pop(layer, None)


def edit_number(layer: Labels) -> int:
    """Return a number that stands for the lungs as a person has edited them.

    0 for lungs that are as they were found, so also after every edit was undone.
    """
    found: int = layer.metadata[KEY]['fingerprint']
    now = _fingerprint(np.asarray(layer.data))
    return 0 if now == found else now


def edited_field(layer: Labels) -> LungField:
    """Return lungs as they are painted, on as many cells as they were found on.

    Parameters
    ----------
    layer : napari.layers.Labels
        What `lungs_layer` made.
    """
    from PIL import Image as Picture

    found, labels = found_field(layer), np.asarray(layer.data)
    rows, columns = found.right.shape
    right, left = (
        np.asarray(
            Picture.fromarray(np.where(labels == side, np.uint8(255), np.uint8(0))).resize(
                (columns, rows), Picture.Resampling.BOX
            ),
            dtype=np.float32,
        )
        / 255
        for side in (1, 2)
    )
    return replace(found, right=right, left=left, plausibility=1.0, implausible='', drawn=True)


def _fingerprint(labels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(labels).data) or 1
