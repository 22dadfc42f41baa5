"""A proposal for the cardiothoracic ratio of a radiograph on screen."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Labels

from napari_cxr.lungs.cardiothoracic import cardiothoracic_lines
from napari_cxr.measurements import Measurement
from napari_cxr.plugin.background import Failure, Job
from napari_cxr.plugin.source_file import radiograph_behind, shows_other_pixels
from napari_cxr.workers.decoder_pool import shared_decoder

__all__ = ['propose_ratio']

_OTHER_PIXELS = (
    'This layer shows other pixels than its file holds. Open the file with File ▸ IO Utilities ▸ '
    'Chest X-ray: Open file….'
)
_NO_LUNGS = (
    'No two lungs were found here, so there is no cardiothoracic ratio to propose. Measure both '
    'widths as lengths.'
)


def propose_ratio(layer: Image, lungs: Labels | None) -> Job[Measurement | Failure]:
    """Propose both lines of the cardiothoracic ratio; a job for `run_job`.

    Parameters
    ----------
    layer : napari.layers.Image
        A radiograph.
    lungs : napari.layers.Labels, optional
        Its lungs as they are on screen, where they are; else they are found.
    """
    radiograph = yield from radiograph_behind(layer)
    if radiograph.refusal:
        return Failure(f'{radiograph.refusal} It has no cardiothoracic ratio.', '')
    if shows_other_pixels(layer):
        return Failure(_OTHER_PIXELS, '')
    if lungs is not None:
        labels = np.asarray(lungs.data)
    else:
        field, labels = yield from shared_decoder().find_lungs(radiograph, None)
        if field.source == 'atlas':
            return Failure(_NO_LUNGS, '')
    lines = cardiothoracic_lines(labels, radiograph.to_display())
    if lines is None:
        return Failure(_NO_LUNGS, '')
    return Measurement('cardiothoracic ratio', lines)
