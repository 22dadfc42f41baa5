"""A heatmap on the pixels of its radiograph, as a file that other programs read.

The map is placed by its matrix, see `Heatmap.sample_on`. Whose radiograph it is, and where that
lies, is not in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.explain.heatmap import Heatmap

__all__ = ['HEATMAP_ENDINGS', 'write_heatmap']

#: What a heatmap can be written as.
HEATMAP_ENDINGS = ('.npz', '.tif', '.tiff', '.png')
_TOP = 65_535


def write_heatmap(
    path: str | Path,
    heatmap: Heatmap,
    shape: tuple[int, int],
    strongest: float,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write a heatmap at the resolution of its radiograph.

    Parameters
    ----------
    path : str or Path
        The file; its ending is one of `HEATMAP_ENDINGS`. NPZ holds ``heatmap`` (float32), the
        ``cells`` that the network really has, ``cells_to_radiograph``, the matrix from a cell to
        the pixel (y, x, 1) at which it looks, and ``about`` as JSON. TIFF holds float32, with the
        same JSON as its description. PNG holds 16 bits: 65,535 is `strongest`.
    heatmap : Heatmap
        The map.
    shape : tuple of int
        Rows and columns of the radiograph.
    strongest : float
        The value that is drawn in full colour.
    about : mapping, optional
        More to say of it than label, probability, method and model.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If the file's name has another ending.
    """
    path = Path(path)
    ending = path.suffix.lower()
    values = heatmap.sample_on(shape)
    text = json.dumps(
        {
            'label': heatmap.label,
            'probability': heatmap.probability,
            'logit': heatmap.logit,
            'method': heatmap.method,
            'model': heatmap.model,
            'full_colour': strongest,
            **(about or {}),
        }
    )
    if ending == '.npz':
        with path.open('wb') as file:
            np.savez_compressed(
                file,
                heatmap=values,
                cells=heatmap.values,
                cells_to_radiograph=heatmap.to_radiograph,
                about=np.array(text),
            )
    elif ending in ('.tif', '.tiff'):
        import tifffile

        tifffile.imwrite(path, values, description=text, metadata=None, compression='zlib')
    elif ending == '.png':
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        scaled = np.clip(values / max(strongest, 1e-12), 0, 1) * _TOP
        info = PngInfo()
        info.add_text('Description', text)
        Image.fromarray(scaled.round().astype(np.uint16)).save(path, format='PNG', pnginfo=info)
    else:
        raise ValueError(
            f'{path.name} does not end in .npz, .tif or .png. A heatmap is written as one of '
            'these.'
        )
