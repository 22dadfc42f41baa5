"""napari's sample images of this plugin: synthetic radiographs, no patients."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

__all__ = [
    'inverted_radiograph',
    'lateral_radiograph',
    'radiograph_with_effusion',
    'radiograph_with_opacity',
    'synthetic_radiograph',
]

LayerData = tuple[Any, ...]


def synthetic_radiograph() -> list[LayerData]:
    """Return a normal radiograph."""
    return _case('synthetic')


def radiograph_with_opacity() -> list[LayerData]:
    """Return a radiograph with an opacity in the left lung."""
    return _case('opacity')


def radiograph_with_effusion() -> list[LayerData]:
    """Return a radiograph with a right pleural effusion."""
    return _case('effusion')


def lateral_radiograph() -> list[LayerData]:
    """Return a lateral radiograph."""
    return _case('lateral')


def inverted_radiograph() -> list[LayerData]:
    """Return a radiograph whose lowest value is white, as its header says."""
    return _case('monochrome1')


def _case(key: str) -> list[LayerData]:
    from napari_cxr import dicom, samples
    from napari_cxr.plugin.layers import radiograph_layer_data
    from napari_cxr.plugin.reader import current_viewer

    case = samples.CASES[key]
    with tempfile.TemporaryDirectory() as folder:
        # Written by ourselves a moment ago, so it may be read in this process.
        radiograph = dicom.read(case.write(Path(folder) / 'synthetic.dcm'))
    layers: list[Any] = [radiograph_layer_data(radiograph, f'Synthetic: {case.title}')]
    viewer = current_viewer()
    if viewer is None:
        return layers
    from napari_cxr.plugin.radiograph import prepare_viewer

    return prepare_viewer(viewer).arriving(layers)
