"""Reasons to trust a prediction less, found in the header and in the image."""

from __future__ import annotations

from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.inference.preprocessing import NetworkInput
from napari_cxr.lungs import LungField
from napari_cxr.lungs.frontal_check import check_frontal
from napari_cxr.radiograph import Radiograph, View

__all__ = ['find_warnings']

#: Enlarging a radiograph by less than this adds no visible blur.
_ENLARGED = 1.05
#: Codes of warnings about a kind of image that the frontal check found.
_CODES = {'inverted': 'polarity', 'other': 'not-a-chest'}


def find_warnings(
    radiograph: Radiograph, ready: NetworkInput, field: LungField | None = None, preset: int = 0
) -> tuple[ImageWarning, ...]:
    """Return what a person should know before believing a prediction.

    Those that say "this is probably no image for the model" come first.

    Parameters
    ----------
    radiograph : Radiograph
        The image that was classified.
    ready : NetworkInput
        What the network saw of it.
    field : LungField, optional
        Its lungs; found here where they are needed and not given.
    preset : int
        Which of its presets it was classified with.
    """
    found: list[ImageWarning] = []
    view = radiograph.geometry.view
    if view in (View.LATERAL, View.OBLIQUE):
        found.append(
            ImageWarning(
                'view',
                f'By its header this is a {view} view, and the model knows frontal views only: '
                'classify the frontal image of the study instead.',
            )
        )
    frontal = check_frontal(radiograph, ready.field if field is None else field, preset)
    if frontal.kind != 'frontal':
        code = _CODES.get(frontal.kind, frontal.kind)
        found.append(ImageWarning(code, frontal.message))
    if ready.field is not None and ready.field.implausible:
        found.append(
            ImageWarning(
                'lung-field',
                f'This model looks where the lungs are, and they could not be found here '
                f'({ready.field.implausible}): it was shown where they are on average.',
            )
        )
    if ready.enlargement > _ENLARGED:
        rows, columns = radiograph.shape
        found.append(
            ImageWarning(
                'enlarged',
                f'With {columns} x {rows} pixels it is coarser than the network’s input '
                f'and was enlarged {ready.enlargement:.1f} times.',
            )
        )
    if radiograph.provenance.lossy:
        found.append(ImageWarning('lossy', 'The image went through lossy compression.'))
    found.extend(ImageWarning('note', note) for note in radiograph.notes)
    return tuple(found)
