"""From a radiograph to a napari layer and back, and a heatmap as a layer on top of it."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Layer
from napari.utils import Colormap

from napari_cxr.explain.heatmap import HEAT_COLOURS, Heatmap
from napari_cxr.inference.prediction import Prediction
from napari_cxr.radiograph import LookupTable, Provenance, Radiograph, SpacingSource, View, Window
from napari_cxr.rasters import raster_format

__all__ = [
    'appearance',
    'base_of',
    'blank_heatmap',
    'file_of',
    'has_drawings',
    'heatmap_layer',
    'is_base_image',
    'is_blank',
    'is_heatmap',
    'is_jpeg_2000',
    'is_local_contrast',
    'is_placeholder',
    'lay_on',
    'lying_on',
    'name_without_identity',
    'overlay_layers_data',
    'path_of',
    'placeholder_layer_data',
    'radiograph_layer_data',
    'radiograph_of',
    'remember_file',
    'show_heatmap',
]

#: The key under which everything of ours lives in a layer's metadata.
KEY = 'napari_cxr'
_FULL_RANGE = 'Full range'
#: Steps at which a table or a sigmoid is sampled for the screen; vispy's texture has as many.
_STEPS = 1024
#: The file of a layer's radiograph, and a checksum of its values. Not in the metadata, since a
#: path may identify a patient.
_FILES: WeakKeyDictionary[Radiograph, tuple[str, int]] = WeakKeyDictionary()
#: The file of each layer's radiograph; in memory only, as above.
_PATHS: WeakKeyDictionary[Radiograph, str] = WeakKeyDictionary()
#: Which radiograph's layer each heatmap and outline lies on.
_UNDER: WeakKeyDictionary[Layer, weakref.ref[Image]] = WeakKeyDictionary()


def radiograph_layer_data(
    radiograph: Radiograph, name: str = ''
) -> tuple[np.ndarray, dict[str, Any], str]:
    """Return what a napari reader returns for one radiograph.

    The layer holds modality values. Its window is contrast limits, and a table or
    a sigmoid is a colormap. Padding is drawn as background.

    Parameters
    ----------
    radiograph : Radiograph
        The image.
    name : str, optional
        Name of the layer; by default what it is, with the start of its pseudonym.
    """
    path = radiograph.provenance.path
    provenance = replace(radiograph.provenance, path='', uids={})
    radiograph = replace(radiograph, provenance=provenance, overlays=())
    remember_file(radiograph, path)
    _PATHS[radiograph] = path
    shown = _with_background(radiograph)
    geometry = radiograph.geometry
    axes: tuple[str, ...] = ('y', 'x')
    scale: tuple[float, ...] = geometry.spacing or (geometry.aspect, 1.0)
    units: tuple[str, ...] = ('mm', 'mm') if geometry.spacing else ('pixel', 'pixel')
    if radiograph.frames is not None:
        axes, scale, units = ('frame', *axes), (1.0, *scale), ('pixel', *units)
    attributes: dict[str, Any] = {
        'name': name or _name(radiograph),
        'scale': scale,
        'units': units,
        'axis_labels': axes,
        'metadata': {
            KEY: {'radiograph': radiograph, 'shown': shown, **_for_people(radiograph)},
        },
    }
    if radiograph.is_colour:
        attributes['rgb'] = True
        if shown.dtype != np.uint8:
            colour = radiograph.presets[0].apply(shown)
            shown = (colour * 255).round().astype(np.uint8)
        if radiograph.inverted:  # there is no colormap that could do it
            shown = 255 - shown
        attributes['metadata'][KEY]['shown'] = shown
    else:
        attributes |= appearance(radiograph)
    return shown, attributes, 'image'


def is_jpeg_2000(radiograph: Radiograph) -> bool:
    """Tell whether a radiograph's file can be decoded at a part of its size."""
    return 'JPEG 2000' in radiograph.provenance.transfer_syntax


def remember_file(radiograph: Radiograph, path: str) -> None:
    """Remember which file a radiograph was read from, for `file_of`; of others it is not asked."""
    if path and is_jpeg_2000(radiograph):
        _FILES[radiograph] = path, _checksum(radiograph)


def path_of(layer: Layer) -> str:
    """Return the file that a layer of ours was read from, in this session; else nothing."""
    radiograph = layer.metadata.get(KEY, {}).get('radiograph')
    return _PATHS.get(radiograph, '') if isinstance(radiograph, Radiograph) else ''


def file_of(radiograph: Radiograph) -> str:
    """Return the file of a radiograph whose values are still those that were read, or nothing."""
    path, checksum = _FILES.get(radiograph, ('', 0))
    return path if path and checksum == _checksum(radiograph) else ''


def _checksum(radiograph: Radiograph) -> int:
    return zlib.crc32(np.ascontiguousarray(radiograph.values).data)


def overlay_layers_data(
    radiograph: Radiograph, attributes: dict[str, Any]
) -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Return what a napari reader returns for a radiograph's overlays: layers, switched off.

    Parameters
    ----------
    radiograph : Radiograph
        The image as it was read.
    attributes : dict
        Of its own layer, see `radiograph_layer_data`.
    """
    placed = {name: attributes[name] for name in ('scale', 'units', 'axis_labels')}
    numbers = [overlay.number for overlay in radiograph.overlays]
    names = {n: f'Overlay {n}' if len(numbers) > 1 else 'Overlay' for n in numbers}
    return [
        (
            overlay.mask.view(np.uint8),
            {
                'name': f'{names[overlay.number]} · {attributes["name"]}',
                'visible': False,
                'opacity': 0.8,
                'colormap': {1: 'yellow', None: 'transparent'},
                'metadata': {KEY: {'overlay': overlay.kind}},
                **placed,
            },
            'labels',
        )
        for overlay in radiograph.overlays
    ]


def placeholder_layer_data(name: str, token: object) -> tuple[np.ndarray, dict[str, Any], str]:
    """Return what a napari reader returns for a radiograph that is still being opened.

    Points without a point: nothing is drawn, and there are no pixels that could be classified.

    Parameters
    ----------
    name : str
        Name of the layer.
    token : object
        By which `is_placeholder` knows the layer again.
    """
    return np.empty((0, 2)), {'name': name, 'metadata': {KEY: {'opening': token}}}, 'points'


def is_placeholder(layer: Layer, token: object = None) -> bool:
    """Return whether a layer stands for a radiograph that is still being opened.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any layer.
    token : object, optional
        Of the one that is meant; any by default.
    """
    found = layer.metadata.get(KEY, {}).get('opening')
    return found is not None and token in (None, found)


def appearance(radiograph: Radiograph, preset: int | None = 0) -> dict[str, Any]:
    """Return the contrast limits and the colormap that show a preset as it is meant.

    Parameters
    ----------
    radiograph : Radiograph
        A grey image.
    preset : int or None
        Which of its presets; None for all values that there are.
    """
    whole = Window.spanning(0, 1, _FULL_RANGE)
    chosen = whole if preset is None else radiograph.presets[preset]
    low, high = chosen.limits
    if chosen.explanation == _FULL_RANGE:  # no header asked for it: show what is there
        inside = radiograph.values
        if radiograph.padding is not None and not radiograph.padding.all():
            inside = inside[~radiograph.padding]
        low, high = float(np.nanmin(inside)), float(np.nanmax(inside))
    if high <= low:
        low, high = _threshold(radiograph.values, low)
    return {'contrast_limits': (low, high), 'colormap': _colormap(chosen, radiograph.inverted)}


def _threshold(values: np.ndarray, at: float) -> tuple[float, float]:
    """Return contrast limits that draw `at` and below black, and every value above it white."""
    if np.issubdtype(values.dtype, np.integer):
        return float(np.floor(at)), float(np.floor(at)) + 1
    finite = values[np.isfinite(values)]
    span = float(np.ptp(finite)) if finite.size else 0.0
    return at, at + max(span, abs(at), float(np.finfo(np.float32).tiny)) * 1e-6


def radiograph_of(layer: Image) -> Radiograph:
    """Return the radiograph that a 2D image layer shows, however it was opened.

    Contrast limits and colormap of the layer play no part. May read a lazy array,
    so call it outside the GUI thread.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer.

    Raises
    ------
    ValueError
        If the layer is not a single 2D image.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim != 2:
        raise ValueError(
            'This layer has more than two dimensions. '
            'Select a single frame as a 2D layer to classify it.'
        )
    ours = layer.metadata.get(KEY, {})
    radiograph = ours.get('radiograph')
    if isinstance(radiograph, Radiograph):
        if data is ours.get('shown'):
            return radiograph
        if radiograph.is_colour == layer.rgb:
            return radiograph.with_values(np.asarray(data))
    provenance = None
    if layer.source.path:  # napari opened it: its path still says what the file is
        kind = raster_format(layer.source.path)
        provenance = Provenance(format=kind or 'array', lossy=kind == 'JPEG')
    return Radiograph.from_array(np.asarray(data), is_colour=layer.rgb, provenance=provenance)


def is_heatmap(layer: Image) -> bool:
    """Return whether a layer is a heatmap that we made."""
    return 'method' in layer.metadata.get(KEY, {})


def is_local_contrast(layer: Layer) -> bool:
    """Return whether a layer shows a radiograph with more local contrast, for the eye alone."""
    return bool(layer.metadata.get(KEY, {}).get('local_contrast'))


def has_drawings(layer: Layer) -> bool:
    """Return whether a layer on a radiograph holds what a person has drawn, such as measurements.

    Such layers say so in their metadata, and go with nothing that is shown instead.
    """
    return bool(layer.metadata.get(KEY, {}).get('drawn_by_person')) and len(layer.data) > 0


def is_base_image(layer: Layer) -> bool:
    """Return whether a layer shows an image, and is none that we have laid on one."""
    return isinstance(layer, Image) and not is_heatmap(layer) and not is_local_contrast(layer)


def lay_on(layer: Layer, base: Image) -> None:
    """Remember that a layer of ours lies on a radiograph's layer."""
    _UNDER[layer] = weakref.ref(base)


def base_of(layer: Layer) -> Image | None:
    """Return the radiograph's layer on which a layer of ours lies; not of lungs."""
    under = _UNDER.get(layer)
    return under() if under is not None else None


def lying_on(base: Image, layers: Iterable[Layer]) -> list[Layer]:
    """Return the heatmap and the outline of a radiograph's layer, as far as they are there."""
    return [layer for layer in layers if layer in _UNDER and _UNDER[layer]() is base]


def heatmap_layer(
    heatmap: Heatmap, prediction: Prediction, base: Image, strongest: float
) -> Image:
    """Return a layer that lies on `base` cell by cell; see `show_heatmap`."""
    layer = Image(
        np.ascontiguousarray(heatmap.values, dtype=np.float32),
        colormap=Colormap(HEAT_COLOURS, name='heat'),
        contrast_limits=(0, 1),
        blending='translucent_no_depth',
        opacity=0.5,
        interpolation2d='cubic',
        axis_labels=base.axis_labels,
    )
    show_heatmap(layer, heatmap, prediction, base, strongest)
    lay_on(layer, base)
    return layer


def show_heatmap(
    layer: Image, heatmap: Heatmap, prediction: Prediction, base: Image, strongest: float
) -> None:
    """Put a heatmap into an existing layer, in place on the radiograph's layer.

    The map keeps the few cells that the network produced; the layer's scale and
    translation place them, through every crop, resize and padding.

    Parameters
    ----------
    layer : napari.layers.Image
        A layer that `heatmap_layer` made.
    heatmap : Heatmap
        What to show.
    prediction : Prediction
        What it explains, for the provenance.
    base : napari.layers.Image
        The radiograph's layer.
    strongest : float
        The value drawn in full colour, see `full_colour`: one for all classes, so that a weak
        map looks weak.
    """
    matrix = heatmap.to_radiograph
    reshaped = layer.data.shape != heatmap.values.shape
    layer.data = np.ascontiguousarray(heatmap.values, dtype=np.float32)
    if reshaped:
        # napari 0.9.2 goes on interpolating as for the shape before, until it is set anew: the
        # map would be drawn in the wrong place.
        chosen, layer.interpolation2d = layer.interpolation2d, 'nearest'
        layer.interpolation2d = chosen
    # The first cell's centre goes where the base layer draws that point. `affine` is
    # applied after the translation, so it is taken off again.
    place = {
        'rotate': base.rotate,
        'shear': base.shear,
        'affine': np.asarray(base.affine),
        'scale': np.asarray(base.scale) * np.diag(matrix)[:2],
        'translate': base.affine.inverse(base.data_to_world(matrix[:2, 2])),
    }
    for name, value in place.items():
        # Every change makes napari lay out the whole scene again.
        if not np.array_equal(np.asarray(getattr(layer, name)), value):
            setattr(layer, name, value)
    if layer.units != base.units:
        layer.units = base.units
    limits = (0.0, max(strongest, 1e-12))
    if tuple(layer.contrast_limits) != limits:
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
    layer.name = f'{heatmap.method} · {heatmap.title} · p={heatmap.probability:.2f}'
    if prediction.multilabel and not prediction.predicts(heatmap.label):
        layer.name += ' · below threshold'
    layer.metadata = {
        KEY: {
            'method': heatmap.method,
            'label': heatmap.label,
            'probability': heatmap.probability,
            'logit': heatmap.logit,
            'model': prediction.model,
            'model_hash': prediction.model_hash,
            'preprocessing': prediction.preprocessing,
            'preset': prediction.preset,
            'version': prediction.version,
            'base': base.name,
            # What a writer needs to lay it on the radiograph's own pixels.
            'placed': {
                'to_radiograph': matrix.tolist(),
                'input_bounds': heatmap.input_bounds,
                'shape': (base.data[0] if base.multiscale else base.data).shape[:2],
                'strongest': strongest,
            },
        }
    }


def blank_heatmap(layer: Image) -> None:
    """Let a heatmap's layer show and say nothing, until `show_heatmap` fills it again."""
    layer.data = np.zeros_like(layer.data)
    layer.name = 'Heatmap'
    layer.metadata = {KEY: {'method': ''}}


def is_blank(layer: Image) -> bool:
    """Return whether a heatmap's layer waits to be filled."""
    return not layer.metadata[KEY]['method']


def _with_background(radiograph: Radiograph) -> np.ndarray:
    """Return the values with padding set to whatever the window draws black."""
    if radiograph.padding is None:
        return radiograph.values
    if radiograph.is_colour:
        return np.where(radiograph.padding[..., None], 0, radiograph.values)
    limits = np.array(radiograph.presets[0].limits)
    # A table may fall: black is the end at which it draws less, after the inversion.
    drawn = radiograph.presets[0].apply(limits)
    black = limits[np.argmax(drawn) if radiograph.inverted else np.argmin(drawn)]
    if np.issubdtype(radiograph.values.dtype, np.integer):
        info = np.iinfo(radiograph.values.dtype)
        black = int(np.clip(black, info.min, info.max))
    return np.where(radiograph.padding, radiograph.values.dtype.type(black), radiograph.values)


def _colormap(preset: Window | LookupTable, inverted: bool) -> str | Colormap:
    """Return a colormap that draws a preset between its limits."""
    if isinstance(preset, Window) and preset.function != 'SIGMOID':
        return 'gray_r' if inverted else 'gray'
    low, high = preset.limits
    grey = preset.apply(np.linspace(low, high, _STEPS, dtype=np.float32))
    grey = 1 - grey if inverted else grey
    colors = np.stack([grey, grey, grey, np.ones_like(grey)], axis=1)
    return Colormap(colors, name=f'VOI {preset.explanation}'.strip())


def _name(radiograph: Radiograph) -> str:
    """Return a name without identity: modality, view, start of the image's pseudonym."""
    provenance, view = radiograph.provenance, radiograph.geometry.view
    parts = [provenance.modality or provenance.format]
    if view is not View.UNKNOWN:
        parts.append(str(view))
    name = ' '.join(parts)
    short = provenance.pseudonyms.get('instance', '')[:6]
    return f'{name} · {short}' if short else name


def name_without_identity(layer: Image) -> str:
    """Return what a layer of ours is by its header; empty for a layer from elsewhere.

    The layer's own name may be that of a file, and a file may be named after a patient.
    """
    radiograph = layer.metadata.get(KEY, {}).get('radiograph')
    return _name(radiograph) if isinstance(radiograph, Radiograph) else ''


def _for_people(radiograph: Radiograph) -> dict[str, Any]:
    """Return what a person may want to read in the layer's metadata."""
    geometry, provenance = radiograph.geometry, radiograph.provenance
    return {
        'view': str(geometry.view),
        'spacing': 'none in the header'
        if geometry.source is SpacingSource.NONE
        else f'{geometry.source}',
        'modality': provenance.modality,
        'transfer_syntax': provenance.transfer_syntax,
        'photometric': provenance.photometric,
        'bits': provenance.bits,
        'lossy': provenance.lossy,
        'notes': [*((radiograph.refusal,) if radiograph.refusal else ()), *radiograph.notes],
    }
