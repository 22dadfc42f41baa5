"""PNG, JPEG and TIFF to :class:`~napari_cxr.radiograph.Radiograph`.

The pixels are those that napari's own reader gives (imageio, and tifffile for TIFF), but where
that reader leaves out what the file says: its orientation, a palette, which end is white, the
lower 8 of 16 bits.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from napari_cxr.radiograph import Provenance, Radiograph, UnreadableImage, Window

__all__ = ['is_raster', 'raster_format', 'read']

_SIGNATURES = {
    b'\x89PNG\r\n\x1a\n': 'PNG',
    b'\xff\xd8\xff': 'JPEG',
    b'II*\0': 'TIFF',
    b'MM\0*': 'TIFF',
    b'II+\0': 'TIFF',  # BigTIFF
    b'MM\0+': 'TIFF',
}


def raster_format(path: str | Path) -> str:
    """Return 'PNG', 'JPEG' or 'TIFF' by the content of a file, or an empty string."""
    path = Path(path)
    try:
        if not path.is_file():
            return ''
        with path.open('rb') as file:
            head = file.read(8)
    except OSError:
        return ''
    return next((name for mark, name in _SIGNATURES.items() if head.startswith(mark)), '')


def is_raster(path: str | Path) -> bool:
    """Tell by its content whether a file is a PNG, JPEG or TIFF."""
    return raster_format(path) != ''


def read(path: str | Path) -> Radiograph:
    """Read a PNG, JPEG or TIFF.

    Alpha is dropped. Resolution tags are dots per inch of a page, not the size
    of anything in the patient, and are left alone.

    Parameters
    ----------
    path : str or Path
        The file; what it is, its content decides.

    Returns
    -------
    Radiograph

    Raises
    ------
    UnreadableImage
        If the file is missing, none of the three, damaged, or too large.
    """
    from napari_cxr.rasters.raster_decoders import read_png_or_jpeg, read_tiff

    path = Path(path)
    if not path.is_file():
        raise UnreadableImage('There is no such file.')
    form = raster_format(path)
    if not form:
        raise UnreadableImage('This is not a PNG, JPEG or TIFF image.')
    load = read_tiff if form == 'TIFF' else read_png_or_jpeg
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            decoded = load(path)
    except UnreadableImage:
        raise
    except MemoryError as error:
        raise UnreadableImage('There is not enough memory to open this image.') from error
    except Exception as error:
        # Pillow and tifffile raise whatever a damaged file leads to.
        raise UnreadableImage(f'This {form} file is damaged and could not be read.') from error
    provenance = Provenance(path=str(path), format=form, bits=decoded.bits, lossy=decoded.lossy)
    radiograph = Radiograph.from_array(
        decoded.values, is_colour=decoded.is_colour, provenance=provenance
    )
    presets = radiograph.presets
    if decoded.values.dtype.kind == 'u' and decoded.bits < 8 * decoded.values.dtype.itemsize:
        presets = (Window.spanning(0, (1 << decoded.bits) - 1, 'Full range'),)
    return replace(
        radiograph,
        presets=presets,
        inverted=decoded.inverted,
        notes=radiograph.notes + decoded.notes,
    )
