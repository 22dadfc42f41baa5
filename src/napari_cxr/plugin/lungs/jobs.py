"""Jobs behind the lungs: finding them, and measuring heatmaps by them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from napari.layers import Image, Labels
from napari.qt.threading import thread_worker

from napari_cxr.explain.in_lungs import even_share
from napari_cxr.lungs import LungField
from napari_cxr.plugin.classifying import Answer, Failure, Job, LungShares, failure
from napari_cxr.plugin.lungs.layer import edit_of, lungs_layer
from napari_cxr.plugin.source_file import radiograph_behind, shows_other_pixels
from napari_cxr.workers.decoding import shared_decoder

__all__ = ['Found', 'find', 'measure']

_OTHER_PIXELS = (
    "This layer was opened by napari's own reader and shows other pixels than its file holds: "
    'replace the layer with the button in the Classify dock, or open the file with '
    'File ▸ IO Utilities ▸ Chest X-ray: Open file….'
)


@dataclass(frozen=True, eq=False)
class Found:
    """The lungs of a radiograph.

    Parameters
    ----------
    radiograph : napari.layers.Image
        The radiograph's layer.
    lungs : napari.layers.Labels
        A layer for them that no viewer has yet. It is made here, because the first layer
        of this kind takes napari a quarter of a second.
    """

    radiograph: Image
    lungs: Labels


@thread_worker
def find(layer: Image, field: LungField | None = None) -> Job[Found]:
    """Find the lungs on what a layer shows, and lay them on its pixels.

    In the decoder process: it needs no torch, which may not run yet or be busy.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer.
    field : LungField, optional
        The lungs, where they are known already.

    Returns
    -------
    Found or Failure
    """
    try:
        radiograph = None
        if field is None:
            radiograph = yield from radiograph_behind(layer)
            if radiograph is not None and radiograph.refusal:
                return Failure(f'{radiograph.refusal} It has no lung field.', '')
            if shows_other_pixels(layer):
                return Failure(_OTHER_PIXELS, '')
        found, labels = yield from shared_decoder().find_lungs(radiograph, field)
        return Found(layer, lungs_layer(found, labels, layer))
    except Exception as error:
        return failure(error, 'Finding the lungs')


@thread_worker
def measure(layer: Labels, answer: Answer) -> Job[LungShares]:
    """Measure an answer's heatmaps by lungs that may have been edited.

    Parameters
    ----------
    layer : napari.layers.Labels
        What `lungs_layer` made.
    answer : Answer
        About the radiograph under it.

    Returns
    -------
    LungShares or Failure
    """
    yield None
    try:
        edit = edit_of(layer)
        if edit == answer.lungs.edit:
            return answer.lungs
        # As the model sees them: a third label is no lung.
        mask = np.isin(np.asarray(layer.data), (1, 2))
        return replace(
            answer.lungs,
            shares=tuple(heatmap.share_in(mask) for heatmap in answer.heatmaps),
            even=even_share(answer.heatmaps[0], mask, answer.field.shape),
            edit=edit,
        )
    except Exception as error:
        return failure(error, 'Measuring the heatmaps')
