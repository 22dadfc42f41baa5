"""Windows that every radiograph can be shown with: those of its file, and standard ones.

A projection radiograph has no Hounsfield units, so a window for the lungs cannot be two numbers:
the standard windows are parts of the image's own histogram, counted from dark to bright.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image
from napari.utils import Colormap

from napari_cxr.plugin.layers import KEY, appearance
from napari_cxr.radiograph import Radiograph

__all__ = ['NamedWindow', 'inverted_colormap', 'windows_of']

#: Names, and the fractions of the pixels, from dark to bright, that become black and white.
_PARTS = (
    ('Whole range', 0.0, 1.0),
    ('Automatic', 0.005, 0.995),
    ('Lungs', 0.005, 0.70),
    ('Mediastinum and bones', 0.40, 0.995),
)

#: So many pixels describe the histogram of a radiograph as well as all of them.
_SAMPLED = 200_000


@dataclass(frozen=True, eq=False)
class NamedWindow:
    """A way to show a radiograph.

    Parameters
    ----------
    name : str
        What it is called.
    limits : tuple of float
        Contrast limits.
    colormap : str or Colormap
        From the lower limit to the upper one, as the file's polarity has it.
    of_file : bool
        Whether the file's header asks for it.
    """

    name: str
    limits: tuple[float, float]
    colormap: str | Colormap
    of_file: bool


#: Windows are computed once for the data of a layer.
_KNOWN: WeakKeyDictionary[Image, tuple[object, tuple[NamedWindow, ...]]] = WeakKeyDictionary()


def windows_of(layer: Image) -> tuple[NamedWindow, ...]:
    """Return the windows of a radiograph: those of its file first; none of colour.

    Parameters
    ----------
    layer : napari.layers.Image
        A layer, whoever opened it.
    """
    if layer.rgb:
        return ()
    data = layer.data[0] if layer.multiscale else layer.data
    known = _KNOWN.get(layer)
    if known is None or known[0] is not data:
        known = _KNOWN[layer] = data, _windows(layer, np.asarray(data))
    return known[1]


def _windows(layer: Image, data: np.ndarray) -> tuple[NamedWindow, ...]:
    radiograph = layer.metadata.get(KEY, {}).get('radiograph')
    found: list[NamedWindow] = []
    inverted = False
    inside = data
    if isinstance(radiograph, Radiograph):
        inverted = radiograph.inverted
        if radiograph.padding is not None and not radiograph.padding.all():
            inside = data[~radiograph.padding]
        for number, preset in enumerate(radiograph.presets, 1):
            look = appearance(radiograph, number - 1)
            name = preset.explanation.capitalize() or f'Window {number} of the file'
            if name != 'Full range':  # which is ours, where the file has none
                found.append(NamedWindow(name, look['contrast_limits'], look['colormap'], True))
    plain = 'gray_r' if inverted else 'gray'
    values = inside.ravel()[:: max(1, inside.size // _SAMPLED)]
    values = values[np.isfinite(values)] if values.dtype.kind == 'f' else values
    if values.size == 0:
        return tuple(found)
    ends = float(np.nanmin(inside)), float(np.nanmax(inside))
    for name, dark, bright in _PARTS:
        part = (1 - bright, 1 - dark) if inverted else (dark, bright)
        low, high = (float(v) for v in np.quantile(values, part))
        if name == 'Whole range':
            low, high = ends
        if high > low:
            found.append(NamedWindow(name, (low, high), plain, False))
    return tuple(found)


def inverted_colormap(colormap: Colormap) -> Colormap:
    """Return a colormap with black and white exchanged; twice is the same again."""
    if colormap.name in ('gray', 'gray_r'):
        from napari.utils.colormaps import ensure_colormap

        return ensure_colormap('gray' if colormap.name == 'gray_r' else 'gray_r')
    name = colormap.name
    suffix = ' (inverted)'
    name = name.removesuffix(suffix) if name.endswith(suffix) else name + suffix
    return Colormap(
        np.asarray(colormap.colors)[::-1],
        name=name,
        controls=1 - np.asarray(colormap.controls)[::-1],
        interpolation=colormap.interpolation,
    )
