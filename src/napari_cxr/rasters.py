"""PNG, JPEG and TIFF to :class:`~napari_cxr.radiograph.Radiograph`.

The pixels are those that napari's own reader gives (imageio, and tifffile for
TIFF), so that an image scores the same from the command line and as a layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.radiograph import Provenance, Radiograph, UnreadableImage

__all__ = ['MAX_SAMPLES', 'is_raster', 'raster_format', 'read']

#: Pixels x channels x pages that are decoded at most.
MAX_SAMPLES = 1 << 28

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
    path = Path(path)
    if not path.is_file():
        raise UnreadableImage('There is no such file.')
    form = raster_format(path)
    if not form:
        raise UnreadableImage('This is not a PNG, JPEG or TIFF image.')
    load: Callable[[Path], tuple[np.ndarray, bool, bool, tuple[str, ...]]]
    load = _read_tiff if form == 'TIFF' else _read_pillow
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            values, is_colour, inverted, notes = load(path)
    except UnreadableImage:
        raise
    except MemoryError as error:
        raise UnreadableImage('There is not enough memory to open this image.') from error
    except Exception as error:
        # Pillow and tifffile raise whatever a damaged file leads to.
        raise UnreadableImage(f'This {form} file is damaged and could not be read.') from error
    bits = 1 if values.dtype == bool else values.dtype.itemsize * 8
    lossy = form == 'JPEG' or 'lossy' in notes
    provenance = Provenance(path=str(path), format=form, bits=bits, lossy=lossy)
    radiograph = Radiograph.from_array(values, is_colour=is_colour, provenance=provenance)
    notes = tuple(note for note in notes if note != 'lossy')
    return replace(radiograph, inverted=inverted, notes=radiograph.notes + notes)


def _check_size(samples: int) -> None:
    if samples > MAX_SAMPLES:
        raise UnreadableImage(
            'The image claims more pixels than any radiograph has; it was not opened.'
        )


def _read_pillow(path: Path) -> tuple[np.ndarray, bool, bool, tuple[str, ...]]:
    import imageio.v3 as iio
    from PIL import Image

    with Image.open(path) as image:
        mode, frames = image.mode, getattr(image, 'n_frames', 1)
        _check_size(image.width * image.height * len(image.getbands()) * frames)
    if mode in ('CMYK', 'YCCK', 'LAB', 'HSV'):
        raise UnreadableImage(
            f'An image in {mode} colours is made for print; save it as grey or RGB.'
        )
    values = np.asarray(iio.imread(path, plugin='pillow'))
    bands = 3 if mode in ('RGB', 'RGBA', 'RGBX', 'P', 'PA', 'YCbCr') else 1
    if mode in ('LA', 'La'):
        values = values[..., 0]
    if bands == 3 and values.shape[-1] not in (3, 4):
        bands = 1  # a palette without colours
    return values, bands == 3, False, ()


def _read_tiff(path: Path) -> tuple[np.ndarray, bool, bool, tuple[str, ...]]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        if not file.series:
            raise UnreadableImage('This TIFF file holds no image.')
        series = file.series[0]
        page: Any = series.keyframe
        _check_size(int(np.prod(series.shape, dtype=np.int64)))
        photometric, axes = page.photometric, series.axes
        compression = int(page.compression)
        colormap = page.colormap
        more = len(file.series) > 1
        try:
            values = series.asarray()
        except ValueError as error:
            if 'imagecodecs' not in str(error):
                raise
            values, axes = _read_tiff_with_pillow(path), 'YX'
            axes = 'YXS' if values.ndim == 3 else axes
    if values.dtype.kind not in 'biuf':
        raise UnreadableImage('The pixels of this TIFF file are no real numbers.')
    is_colour = int(photometric) in (2, 6) and 'S' in axes
    if 'S' in axes:  # interleaved or planar, colour or grey with alpha
        values = np.moveaxis(values, axes.index('S'), -1)
        values = values[..., :3] if is_colour else values[..., 0]
    notes: tuple[str, ...] = ()
    if more:
        notes += ('This TIFF file holds several images; the first one is shown.',)
    if int(photometric) == 3 and colormap is not None and values.dtype.kind == 'u':
        values, is_colour, said = _apply_palette(values, colormap)
        notes += said
    values = _drop_single_axes(values, 3 if is_colour else 2)
    if values.ndim - is_colour not in (2, 3):
        raise UnreadableImage('This TIFF file is a stack of more than three dimensions.')
    if int(photometric) == 0:  # WhiteIsZero
        notes += (
            'This TIFF file says that its lowest value is white; napari itself shows it black.',
        )
    if compression in (6, 7):  # JPEG inside TIFF
        notes += ('lossy',)
    return values, is_colour, int(photometric) == 0, notes


def _read_tiff_with_pillow(path: Path) -> np.ndarray:
    """Read a compression, such as LZW, that tifffile leaves to an optional package.

    napari can't open such a file without that package, so there is no other
    reading to agree with.
    """
    from PIL import Image

    with Image.open(path) as image:
        if image.mode in ('CMYK', 'LAB'):
            raise UnreadableImage('An image in colours for print; save it as grey or RGB.')
        return np.asarray(image)


def _drop_single_axes(values: np.ndarray, keep: int) -> np.ndarray:
    while values.ndim > keep and values.shape[0] == 1:
        values = values[0]
    return values


def _apply_palette(
    values: np.ndarray, colormap: np.ndarray
) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Replace indices by colours of 8 bits; leave them where they are the grey values."""
    table = (np.asarray(colormap) >> 8).astype(np.uint8)
    indices = np.arange(table.shape[1])
    if values.dtype == np.uint8 and all(np.array_equal(part, indices) for part in table):
        return values, False, ()
    note = 'This TIFF file has a colour palette, which napari itself does not apply.'
    if np.array_equal(table[0], table[1]) and np.array_equal(table[0], table[2]):
        return table[0][values], False, (note,)
    return np.moveaxis(table[:, values], 0, -1), True, (note,)
