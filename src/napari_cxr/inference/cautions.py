"""Reasons to trust a prediction less, found in the header and in the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_cxr.inference.prediction import Caution
from napari_cxr.inference.preprocessing import Prepared, Preprocessing
from napari_cxr.lungs.resemblance import SIZE, looks_inverted, looks_like_a_chest
from napari_cxr.radiograph import Radiograph, View

__all__ = ['cautions_for']

#: Enlarging a radiograph by less than this adds no visible blur.
_ENLARGED = 1.05


def cautions_for(radiograph: Radiograph, ready: Prepared) -> tuple[Caution, ...]:
    """Return what a person should know before believing a prediction.

    Parameters
    ----------
    radiograph : Radiograph
        The image that was classified.
    ready : Prepared
        What the network saw of it.
    """
    found: list[Caution] = []
    view = radiograph.geometry.view
    if view in (View.LATERAL, View.OBLIQUE):
        found.append(
            Caution('view', f'This is a {view} view; the model knows frontal views only.')
        )
    glance = _glance(radiograph)
    if looks_inverted(glance):
        found.append(
            Caution(
                'polarity',
                'Black and white look exchanged: the lungs should be dark. '
                'The header may be wrong, or this is not a frontal chest radiograph.',
            )
        )
    elif not looks_like_a_chest(glance):
        found.append(Caution('not-a-chest', 'This does not look like a frontal chest radiograph.'))
    if ready.enlargement > _ENLARGED:
        rows, columns = radiograph.shape
        found.append(
            Caution(
                'enlarged',
                f'With {columns} x {rows} pixels it is smaller than the network’s input '
                f'and was enlarged {ready.enlargement:.1f} times.',
            )
        )
    if radiograph.provenance.lossy:
        found.append(Caution('lossy', 'The image went through lossy compression.'))
    found.extend(Caution('note', note) for note in radiograph.notes)
    return tuple(found)


def _glance(radiograph: Radiograph) -> np.ndarray:
    """Return the radiograph as small as the average chest, whatever the model cuts off it."""
    step = max(1, min(radiograph.shape) // (8 * SIZE))
    thinned = np.s_[..., ::step, ::step]
    small = replace(
        radiograph,
        values=radiograph.values[(*thinned, slice(None)) if radiograph.is_colour else thinned],
        padding=None if radiograph.padding is None else radiograph.padding[thinned],
    )
    return Preprocessing(SIZE, SIZE).apply(small).image
