"""TIFF by one library, so that an image reads alike whatever its compression.

tifffile with imagecodecs decodes; what the numbers mean (WhiteIsZero, palettes, YCbCr,
orientation) is applied here and nowhere else. What cannot be read rightly is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.radiograph import UnreadableImage
from napari_cxr.rasters.decoded import Decoded, check_size, upright

__all__ = ['read_tiff']

# PhotometricInterpretation, TIFF 6.0
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_IN_PRINT = 5, 8, 9, 10
#: JPEG, old and new, and JPEG of other vendors: tifffile makes RGB of YCbCr for these.
_JPEG = 6, 7, 33007, 34892
#: Compressions that give back the very numbers: none, LZW, Deflate, PackBits, LZMA, ZSTD.
_PLAIN = 1, 5, 8, 32773, 32946, 34925, 50000
#: Further ones that lose something: JPEG XR, JPEG 2000, WebP, JPEG XL.
_PERHAPS_LOSSY = 22610, 34934, 33003, 33004, 33005, 34712, 34927, 50001, 50002
#: ITU-R BT.601, the default of tag 529.
_LUMA = 0.299, 0.587, 0.114


def read_tiff(path: Path) -> Decoded:
    """Decode the first image, or stack of like pages, of a TIFF file.

    Raises
    ------
    UnreadableImage
        If it holds none, or one of a kind that is not read; whatever tifffile raises for a
        damaged file.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        first: Any = file.pages.first
        check_size(first.imagewidth * first.imagelength)  # tifffile would divide by 0
        if not file.series:
            raise UnreadableImage('This TIFF file holds no image.')
        series = file.series[0]
        page: Any = series.keyframe
        check_size(int(np.prod(series.shape, dtype=np.int64)))
        photometric, compression = int(page.photometric), int(page.compression)
        _check_kind(page, photometric, compression)
        _check_length([page, *series.pages], path.stat().st_size)
        try:
            values = series.asarray()
        except NotImplementedError as error:
            raise UnreadableImage(
                'This TIFF file is written in a way that is not supported; save it again '
                'without compression.'
            ) from error
        axes = series.axes
        notes: tuple[str, ...] = ()
        if len(file.series) > 1:
            notes += ('This TIFF file holds several images; the first one is shown.',)
        colormap, bits = page.colormap, _bits(page)
        tags = {n: page.tags[n].value for n in (274, 529) if n in page.tags}
    if values.dtype.kind not in 'biuf':
        raise UnreadableImage('The pixels of this TIFF file are no real numbers.')
    is_colour = photometric in (_RGB, _YCBCR) and 'S' in axes
    if 'S' in axes:  # interleaved or planar, colour or grey with alpha
        values = np.moveaxis(values, axes.index('S'), -1)
        if is_colour and values.shape[-1] < 3:
            raise UnreadableImage('This TIFF file says that it is in colour, and is not.')
        values = values[..., :3] if is_colour else values[..., 0]
    if photometric == _YCBCR and is_colour and compression not in _JPEG:
        values = _from_ycbcr(values, tags.get(529))
    if photometric == _PALETTE and colormap is not None and values.dtype.kind in 'bu':
        values, is_colour, said = _apply_palette(values, colormap)
        bits, notes = 8, notes + said
    values = _drop_single_axes(values, 3 if is_colour else 2)
    if values.ndim - is_colour not in (2, 3):
        raise UnreadableImage('This TIFF file is a stack of more than three dimensions.')
    values, turned = upright(values, _whole(tags.get(274)), is_colour)
    inverted = photometric == _WHITE_IS_ZERO
    if inverted:
        notes += (
            'This TIFF file says that its lowest value is white; napari itself shows it black.',
        )
    lossy = compression in (*_JPEG, *_PERHAPS_LOSSY)
    return Decoded(values, bits, is_colour, inverted, lossy, notes + turned)


def _check_kind(page: Any, photometric: int, compression: int) -> None:
    """Refuse what would be read wrongly, or not at all, before it is decoded."""
    import tifffile

    if photometric in _IN_PRINT:
        raise UnreadableImage(
            'An image in colours for print (CMYK or Lab); save it as grey or RGB.'
        )
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR):
        raise UnreadableImage(
            'The pixels of this TIFF file are of a kind that is not supported (Photometric '
            f'Interpretation {photometric}); save it as grey or RGB.'
        )
    try:
        tifffile.TIFF.DECOMPRESSORS[compression]
    except KeyError as error:
        raise UnreadableImage(
            f'The compression of this TIFF file (number {compression}) is not supported; save '
            'it again without compression.'
        ) from error
    if photometric == _YCBCR and compression not in (*_JPEG, *_PLAIN):
        raise UnreadableImage(
            'This TIFF file keeps colours as YCbCr in a compression where that is not '
            'supported; save it as grey or RGB.'
        )


def _check_length(pages: list[Any], size: int) -> None:
    """Refuse a file that ends before its pixels do: libjpeg would fill them up with grey."""
    for page in pages:
        if page is None:  # the pixels of several pages stand in a row
            continue
        parts = zip(page.dataoffsets, page.databytecounts, strict=False)
        if any(offset + length > size for offset, length in parts):
            raise UnreadableImage(
                'This TIFF file is damaged: it ends before its pixels do, so it was not copied or '
                'sent in full.'
            )


def _bits(page: Any) -> int:
    """Return the bits of a sample; tifffile gives a tuple where samples differ."""
    stated = page.bitspersample
    return max(int(n) for n in stated) if isinstance(stated, tuple) else int(stated)


def _whole(value: Any) -> int:
    """Return a tag's value as a number, 1 where it is none."""
    try:
        return int(value[0] if isinstance(value, tuple) else value)
    except (TypeError, ValueError, IndexError):
        return 1


def _from_ycbcr(values: np.ndarray, coefficients: Any) -> np.ndarray:
    """Return RGB, TIFF 6.0 section 21, with full-range luma and chroma around 128."""
    if values.dtype != np.uint8:
        raise UnreadableImage('This TIFF file keeps colours as YCbCr of other than 8 bits.')
    red, green, blue = _LUMA
    if isinstance(coefficients, tuple) and len(coefficients) == 6:
        over, under = coefficients[::2], coefficients[1::2]
        if all(under):
            red, green, blue = (a / b for a, b in zip(over, under, strict=True))
    y, cb, cr = np.moveaxis(values.astype(np.float32), -1, 0)
    r = y + (2 - 2 * red) * (cr - 128)
    b = y + (2 - 2 * blue) * (cb - 128)
    g = (y - red * r - blue * b) / green
    return np.clip(np.rint(np.stack([r, g, b], axis=-1)), 0, 255).astype(np.uint8)


def _drop_single_axes(values: np.ndarray, keep: int) -> np.ndarray:
    while values.ndim > keep and values.shape[0] == 1:
        values = values[0]
    return values


def _apply_palette(
    values: np.ndarray, colormap: np.ndarray
) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Replace indices by colours of 8 bits; leave them where they are the grey values."""
    table = (np.asarray(colormap) >> 8).astype(np.uint8)
    values = values.astype(np.uint8) if values.dtype == bool else values
    indices = np.arange(table.shape[1])
    if values.dtype == np.uint8 and all(np.array_equal(part, indices) for part in table):
        return values, False, ()
    note = 'This TIFF file has a colour palette, which napari itself does not apply.'
    if np.array_equal(table[0], table[1]) and np.array_equal(table[0], table[2]):
        return table[0][values], False, (note,)
    return np.moveaxis(table[:, values], 0, -1), True, (note,)
