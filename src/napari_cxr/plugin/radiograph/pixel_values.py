"""What a radiograph holds under the cursor: stored, modality and displayed value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image

from napari_cxr.plugin.layers import KEY
from napari_cxr.plugin.radiograph_views import pixel_at
from napari_cxr.radiograph import Radiograph

__all__ = ['PixelValue', 'pixel_value']


@dataclass(frozen=True)
class PixelValue:
    """The values of one pixel.

    Parameters
    ----------
    row, column : int
        Of the radiograph, from 0.
    stored : int, float or None
        What the file holds; None where that is not known.
    modality : float or tuple of float
        After the Modality LUT; three of a colour image.
    displayed : float or None
        Brightness on screen, 0 for black and 1 for white; None of a colour image.
    is_padding : bool
        Whether it is padding or behind a shutter.
    """

    row: int
    column: int
    stored: float | None
    modality: float | tuple[float, ...]
    displayed: float | None
    is_padding: bool = False

    def __str__(self) -> str:
        place = f'Row {self.row}, column {self.column}'
        if isinstance(self.modality, tuple):
            return f'{place} · red, green, blue {", ".join(f"{v:g}" for v in self.modality)}'
        stored = '' if self.stored is None else f' · stored {self.stored:g}'
        shown = '' if self.displayed is None else f' · brightness {self.displayed:.0%}'
        padding = ' · padding' if self.is_padding else ''
        return f'{place}{stored} · value {self.modality:g}{shown}{padding}'.replace('%', '\u00a0%')


def pixel_value(base: Image, shown: Image, position: Any) -> PixelValue | None:
    """Return the values under a place in the world; None beside the radiograph.

    Parameters
    ----------
    base : napari.layers.Image
        The radiograph.
    shown : napari.layers.Image
        The layer that is seen there: itself, or its local contrast.
    position : sequence of float
        The place, as napari's cursor has it.
    """
    index = pixel_at(base, position)
    if index is None:
        return None
    ours = base.metadata.get(KEY, {})
    radiograph = ours.get('radiograph')
    data = base.data[0] if base.multiscale else base.data
    is_padding, rescale = False, None
    values: Any = data
    if isinstance(radiograph, Radiograph) and data is ours.get('shown'):
        values = radiograph.values  # padding is drawn as background, and has a value all the same
        rescale = radiograph.rescale
        is_padding = bool(radiograph.padding is not None and radiograph.padding[index])
    value = np.asarray(values[index])
    row, column = index[-2:]
    if base.rgb:
        colour = tuple(float(v) for v in value[:3])
        return PixelValue(row, column, None, colour, None, is_padding)
    stored = None
    if rescale is not None:
        stored = (float(value) - rescale[1]) / rescale[0]
        stored = float(round(stored)) if abs(stored - round(stored)) < 1e-3 else stored
    displayed = brightness(shown, np.asarray((shown.data if shown is not base else data)[index]))
    return PixelValue(row, column, stored, float(value), displayed, is_padding)


def brightness(layer: Image, values: np.ndarray) -> Any:
    """Return how bright a layer draws values, from 0 for black to 1 for white."""
    low, high = layer.contrast_limits
    part = np.clip((np.asarray(values, np.float64) - low) / max(high - low, 1e-30), 0, 1)
    drawn = layer.colormap.map(np.atleast_1d(part**layer.gamma).ravel())[:, :3].mean(axis=1)
    return float(drawn[0]) if np.ndim(values) == 0 else drawn.reshape(np.shape(values))
