"""napari's own Save, for the layers of this plugin: radiographs, heatmaps, lungs.

A PNG is what is seen, but for a heatmap, whose PNG holds its values; TIFF and NPZ hold values.
Nothing of a header goes with them but the size of a pixel, so no file tells whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ['write_image', 'write_labels']

_KEY = 'napari_cxr'


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a radiograph or a heatmap.

    Parameters
    ----------
    path : str
        A file that ends in .png, .tif, .tiff or .npz.
    data : array or list of array
        Of the layer; of several scales the first is written.
    attributes : dict
        Of the layer, as napari gives them.

    Returns
    -------
    list of str
        The file.

    Raises
    ------
    ValueError
        If it has more than two dimensions, which napari shows.
    """
    image = np.asarray(data[0] if isinstance(data, list) else data)
    ours = attributes.get('metadata', {}).get(_KEY, {})
    if 'placed' in ours:
        _write_heatmap(Path(path), image, ours)
        return [path]
    if image.ndim != (3 if attributes.get('rgb') else 2):
        raise ValueError(
            'This layer has more than two dimensions. Select a single frame as a 2D layer to save '
            'it.'
        )
    _write(Path(path), image, attributes, lambda: _as_seen(image, attributes))
    return [path]


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write lungs, or other labels: the number of each pixel's label; see `write_image`."""
    labels = np.asarray(data)
    if labels.ndim != 2:
        raise ValueError('These labels have more than two dimensions. Save a single frame.')
    least = next(kind for kind in (np.uint8, np.uint16, np.int32) if _fits(labels, kind))
    labels = labels.astype(least)
    _write(Path(path), labels, attributes, lambda: labels)
    return [path]


def _fits(labels: np.ndarray, kind: type) -> bool:
    info = np.iinfo(kind)
    return not labels.size or bool(labels.min() >= info.min and labels.max() <= info.max)


def _write(
    path: Path,
    values: np.ndarray,
    attributes: Mapping[str, Any],
    picture: Callable[[], np.ndarray],
) -> None:
    scale = tuple(float(size) for size in attributes.get('scale', (1, 1))[-2:])
    units = [str(unit) for unit in attributes.get('units') or ()][-2:]
    spacing = scale if units and units[-1] in ('millimeter', 'mm') else None
    ending = path.suffix.lower()
    if ending == '.png':
        from PIL import Image

        Image.fromarray(picture()).save(path, format='PNG')
    elif ending in ('.tif', '.tiff'):
        import tifffile

        more: dict[str, Any] = {}
        if spacing is not None:  # pixels a centimetre, across and down
            more = {'resolution': (10 / spacing[1], 10 / spacing[0]), 'resolutionunit': 3}
        kind = 'rgb' if values.ndim == 3 else 'minisblack'
        tifffile.imwrite(path, values, photometric=kind, compression='zlib', metadata=None, **more)
    elif ending == '.npz':
        with path.open('wb') as file:
            np.savez_compressed(
                file,
                values=values,
                spacing_mm=np.array(spacing if spacing is not None else (np.nan, np.nan)),
            )
    else:
        raise ValueError(f'{path.name} does not end in .png, .tif or .npz.')


def _as_seen(image: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray:
    """Return 8-bit grey or colours, as the layer is drawn."""
    if attributes.get('rgb'):
        whole = np.issubdtype(image.dtype, np.integer)
        top = float(np.iinfo(image.dtype).max) if whole else 1.0
        return (np.clip(image[..., :3] / top, 0, 1) * 255).round().astype(np.uint8)
    from napari.utils.colormaps import ensure_colormap

    low, high = attributes.get('contrast_limits') or (image.min(), image.max())
    shown = np.clip((image.astype(np.float32) - low) / max(high - low, 1e-30), 0, 1)
    colormap = ensure_colormap(attributes.get('colormap', 'gray'))
    colours = colormap.map((shown ** attributes.get('gamma', 1.0)).ravel())[:, :3]
    picture = (colours.reshape(*image.shape, 3) * 255).round().astype(np.uint8)
    grey = bool((np.ptp(picture, axis=-1) == 0).all())
    return picture[..., 0] if grey else picture


def _write_heatmap(path: Path, cells: np.ndarray, ours: Mapping[str, Any]) -> None:
    """Write a heatmap at the resolution of the radiograph on which it lies."""
    from napari_cxr.explain.heatmap import Heatmap
    from napari_cxr.explain.heatmap_export import write_heatmap

    placed = ours['placed']
    heatmap = Heatmap(
        cells.astype(np.float32),
        np.array(placed['to_radiograph'], float),
        ours['label'],
        ours['probability'],
        ours['logit'],
        ours['method'],
        ours['model'],
        placed['input_bounds'],
    )
    about = {name: ours[name] for name in ('model_hash', 'preset', 'version') if name in ours}
    write_heatmap(path, heatmap, tuple(placed['shape']), placed['strongest'], _plain(about))


def _plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return entries as JSON can hold them."""
    found: dict[str, Any] = json.loads(json.dumps(about, default=str))
    return found
