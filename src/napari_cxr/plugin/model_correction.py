"""Invert, mirror or turn what a model sees, in place of an edited copy of the file.

The layer then holds the corrected pixels, and its `Radiograph` says what was done to them. So
whatever follows, the model's input, heatmap, lungs and measurements, lies on one raster, and the
file is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from napari_cxr.correction import Correction
from napari_cxr.plugin.background import Failure, Job
from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.layers import (
    KEY,
    file_of,
    is_base_image,
    is_heatmap,
    lying_on,
    radiograph_layer_data,
    remember_file,
)
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.source_file import radiograph_behind, shows_other_pixels
from napari_cxr.plugin.standard_windows import inverted_colormap
from napari_cxr.radiograph import Radiograph

__all__ = ['CorrectedRadiograph', 'apply_correction', 'correct_radiograph', 'correction_of']

_OTHER_PIXELS = (
    'This layer shows other pixels than its file holds, so it cannot be corrected here. Open the '
    'file with File ▸ IO Utilities ▸ Chest X-ray: Open file….'
)
_FRAMES = 'This image has several frames. Open a single frame to correct it.'


@dataclass(frozen=True, eq=False)
class CorrectedRadiograph:
    """What a layer is about to hold.

    Parameters
    ----------
    data : ndarray
        Its pixels.
    before : ndarray
        Those that it held when the correction was asked for.
    attributes : dict
        Of the layer, see `radiograph_layer_data`.
    correction : Correction
        What was done just now.
    """

    data: np.ndarray
    before: Any
    attributes: dict[str, Any]
    correction: Correction


def correction_of(layer: Image | None) -> Correction:
    """Return what was put right for the model on a layer so far."""
    found = layer.metadata.get(KEY, {}).get('radiograph') if layer is not None else None
    return found.correction if isinstance(found, Radiograph) else Correction()


def correct_radiograph(layer: Image, correction: Correction) -> Job[CorrectedRadiograph | Failure]:
    """Correct what a model is shown of a layer; a job for `run_job`, which changes no layer.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer, whoever opened it.
    correction : Correction
        What to do on top of what was done before.
    """
    before = layer.data
    radiograph = yield from radiograph_behind(layer)
    if radiograph.frames is not None:
        return Failure(_FRAMES, '')
    if shows_other_pixels(layer):
        return Failure(_OTHER_PIXELS, '')
    corrected = radiograph.corrected(correction)
    data, attributes, _ = radiograph_layer_data(corrected, layer.name)
    remember_file(attributes['metadata'][KEY]['radiograph'], file_of(radiograph))
    return CorrectedRadiograph(data, before, attributes, correction)


def apply_correction(viewer: ViewerModel, layer: Image, corrected: CorrectedRadiograph) -> bool:
    """Let a layer hold a corrected radiograph, with what lies on it in place.

    Results of what it held before go, as those of any pixels that have changed.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    layer : napari.layers.Image
        The one that was corrected.
    corrected : CorrectedRadiograph
        What `correct_radiograph` returned.

    Returns
    -------
    bool
        Whether it was done; not where the layer has gone, or holds other pixels by now.
    """
    viewer = unwrap_viewer(viewer)
    if layer not in viewer.layers or layer.data is not corrected.before:
        return False
    views, correction = views_of(viewer), corrected.correction
    rows, columns = layer.data.shape[:2]
    inverted = views.lies(layer).inverted != correction.inverted
    views.forget(layer)
    layer.metadata = {**layer.metadata, **corrected.attributes['metadata']}
    layer.data = corrected.data
    if not layer.rgb and inverted:
        layer.colormap = inverted_colormap(layer.colormap)
    if correction.turns % 2:
        layer.scale = tuple(layer.scale)[::-1]
    matrix = correction.matrix(rows, columns)
    for other in lying_on(layer, list(viewer.layers)):
        if is_heatmap(other):
            viewer.layers.remove(other)
        else:
            _follow(other, layer, correction, matrix, (rows, columns), inverted)
    views.drawings.begin_anew(layer)
    if correction.turns % 2:
        watch_viewer(viewer).fit(layer)
    views.changed.emit(layer)
    return True


def _follow(
    other: Layer,
    layer: Image,
    correction: Correction,
    matrix: np.ndarray,
    shape: tuple[int, int],
    inverted: bool,
) -> None:
    """Move the pixels or corners of a layer as those of the radiograph under it were moved."""
    if isinstance(other, Shapes):
        other.data = [
            (np.column_stack([corners, np.ones(len(corners))]) @ matrix.T)[:, :2]
            for corners in other.data
        ]
    elif isinstance(other, Labels | Image) and other.data.shape[:2] == shape:
        other.data = correction.apply(np.asarray(other.data))
        if isinstance(other, Image) and not is_base_image(other) and inverted:
            other.colormap = inverted_colormap(other.colormap)
    if correction.turns % 2:
        other.scale = layer.scale
