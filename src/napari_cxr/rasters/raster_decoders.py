"""Decoders of PNG, JPEG and TIFF: what they return, and what they may decode at all.

PNG and JPEG are decoded by Pillow, and by libpng and libjpeg where Pillow has no more than 8
bits. TIFF is decoded by one library, tifffile with imagecodecs, so that an image reads alike
whatever its compression; what the numbers mean (WhiteIsZero, palettes, YCbCr, orientation) is
applied here and nowhere else. What cannot be read correctly is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.codestream import Codestream, parse_codestream
from napari_cxr.decoding_memory import check_memory
from napari_cxr.radiograph import UnreadableImage

__all__ = [
    'MAX_SAMPLES',
    'DecodedRaster',
    'check_size',
    'read_png_or_jpeg',
    'read_tiff',
    'upright',
]

#: Pixels x channels x pages that are decoded at most.
MAX_SAMPLES = 1 << 28

_TURNED = 'The file has to be rotated or mirrored for display (orientation {}), which was done.'


@dataclass(frozen=True, eq=False)
class DecodedRaster:
    """Pixels as the file means them.

    Parameters
    ----------
    values : ndarray
        Shape (rows, columns), (pages, rows, columns), or with a last axis of 3 for colour.
    bits : int
        Of each sample, by the file.
    is_colour : bool
        Whether the last axis is red, green, blue.
    inverted : bool
        Whether the lowest value is white.
    lossy : bool
        Whether the compression was.
    notes : tuple of str
        What a person should know.
    """

    values: np.ndarray
    bits: int
    is_colour: bool = False
    inverted: bool = False
    lossy: bool = False
    notes: tuple[str, ...] = ()


def check_size(samples: int) -> None:
    """Refuse an image by its header.

    Raises
    ------
    UnreadableImage
        If it has no pixel, or more than any radiograph.
    """
    if samples < 1:
        raise UnreadableImage('The image has a side of 0 pixels, so there is nothing to open.')
    if samples > MAX_SAMPLES:
        raise UnreadableImage(
            'The image claims more pixels than any radiograph has; it was not opened.'
        )


def upright(
    values: np.ndarray, orientation: int, is_colour: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn and mirror pixels as tag 274 asks, TIFF 6.0 and EXIF 2.3.

    Parameters
    ----------
    values : ndarray
        As of `Decoded`.
    orientation : int
        1 to 8; anything else means 1.
    is_colour : bool
        Whether the last axis is colour.

    Returns
    -------
    ndarray
        The image upright.
    tuple of str
        A note, if anything was done.
    """
    if orientation not in range(2, 9):
        return values, ()
    y = values.ndim - (3 if is_colour else 2)
    if orientation >= 5:  # row 0 of the file is a side of the image
        values = np.swapaxes(values, y, y + 1)
    # which of the image's axes then run backwards
    if orientation in (3, 4, 7, 8):
        values = np.flip(values, y)
    if orientation in (2, 3, 6, 7):
        values = np.flip(values, y + 1)
    return np.ascontiguousarray(values), (_TURNED.format(orientation),)


_PNG = b'\x89PNG\r\n\x1a\n'

#: Colour types of PNG that are not one grey channel: RGB, grey and alpha, RGB and alpha.
_CHANNELS = {2: 3, 4: 2, 6: 4}

_ORIENTATION = 274

#: Where the frame header of a JPEG is looked for: behind EXIF data and thumbnails, in bytes.
_HEADERS = 1 << 20

_ONLY_8_BITS = (
    'Only the upper 8 of the 16 bits of this PNG file were read; for all of them install the '
    'package imagecodecs.'
)


def read_png_or_jpeg(path: Path) -> DecodedRaster:
    """Decode a PNG or JPEG file; raises what Pillow does for a damaged one.

    Raises
    ------
    UnreadableImage
        If it is of a kind that is not read, or too large.
    """
    import imageio.v3 as iio
    from PIL import Image

    notes: tuple[str, ...] = ()
    if uncommon := _uncommon_jpeg(path):
        return _by_libjpeg(path, uncommon)
    with _own_limit():
        with Image.open(path) as image:
            mode, frames = image.mode, getattr(image, 'n_frames', 1)
            pixels, bands = image.width * image.height * frames, len(image.getbands())
            check_size(pixels * bands)
            depth = 2 if '16' in mode or _channels_of_16_bits(path) else 4 if mode in 'IF' else 1
            # As Pillow keeps it, as imageio makes it (of a palette colours), and as it is turned.
            held = (2 * depth + 4) * (4 if mode in ('P', 'PA') else bands) * pixels
            check_memory(path.stat().st_size + held, pixels)
            lossy, orientation = image.format != 'PNG', _orientation(image)
        if mode in ('CMYK', 'YCCK', 'LAB', 'HSV'):
            raise UnreadableImage(
                f'An image in {mode} colours is made for print; save it as grey or RGB.'
            )
        bits, deep = 8, None
        if channels := _channels_of_16_bits(path):
            deep = _by_libpng(path)
            notes += () if deep is not None else (_ONLY_8_BITS,)
        if deep is not None:
            is_colour = channels != 2
            values = deep[..., :3] if is_colour else deep[..., 0]
        else:
            values = np.asarray(iio.imread(path, plugin='pillow'))
            is_colour = mode in ('RGB', 'RGBA', 'RGBX', 'P', 'PA', 'YCbCr')
            if mode in ('LA', 'La'):
                values = values[..., 0]
            if is_colour and values.shape[-1] not in (3, 4):
                is_colour = False  # a palette without colours
            values = values[..., :3] if is_colour else values
    bits = 1 if values.dtype == bool else values.dtype.itemsize * 8
    values, turned = upright(values, orientation, is_colour)
    return DecodedRaster(values, bits, is_colour, lossy=lossy, notes=notes + turned)


@contextmanager
def _own_limit() -> Iterator[None]:
    """Have Pillow refuse what we refuse: its own limit is below a valid radiograph's size."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = MAX_SAMPLES
    try:
        yield
    except Image.DecompressionBombError:
        check_size(MAX_SAMPLES + 1)
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _orientation(image: object) -> int:
    """Return tag 274 of the EXIF data; 1 where there are none or they are broken."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))  # type: ignore[attr-defined]
    except Exception:  # whatever a broken tag leads to
        return 1


def _channels_of_16_bits(path: Path) -> int:
    """Return how many channels a PNG of 16 bits has; 0 for one, and for any other file."""
    with path.open('rb') as file:
        head = file.read(26)
    if not head.startswith(_PNG) or len(head) < 26:
        return 0
    depth, kind = struct.unpack_from('>BB', head, 24)
    return _CHANNELS.get(kind, 0) if depth == 16 else 0


def _uncommon_jpeg(path: Path) -> Codestream | None:
    """Return what a JPEG says that Pillow cannot read; None of others.

    Those of more than 8 bits, and lossless ones (SOF3), as film scanners write.
    """
    with path.open('rb') as file:
        head = file.read(_HEADERS)
    stream = parse_codestream(head) if head.startswith(b'\xff\xd8\xff') else None
    return stream if stream and (stream.lossless or stream.precision > 8) else None


def _by_libjpeg(path: Path, stream: Codestream) -> DecodedRaster:
    """Decode a JPEG of 12 bits, or a lossless one of up to 16."""
    pixels, bits = stream.rows * stream.columns, stream.precision
    check_size(pixels * stream.components)
    check_memory(2 * path.stat().st_size + 6 * pixels * stream.components, pixels)
    try:
        import imagecodecs
    except ImportError as error:
        raise UnreadableImage(
            f'This JPEG file has {bits} bits a pixel, or is lossless: it is read only where the '
            'package imagecodecs is installed.'
        ) from error
    data = path.read_bytes()
    # libjpeg fills up what is missing with grey, without a word. In a scan 255 stands before 0,
    # so that its end is the first such pair behind the last begin of one.
    if data.find(b'\xff\xd9', data.rfind(b'\xff\xda')) < 0:
        raise UnreadableImage('This JPEG file is cut short; it was not copied or sent in full.')
    values = np.asarray(imagecodecs.jpeg_decode(data))
    return DecodedRaster(values, bits, is_colour=values.ndim == 3, lossy=not stream.lossless)


def _by_libpng(path: Path) -> np.ndarray | None:
    """Return all bits of a PNG; None where imagecodecs is not installed or declines it."""
    try:
        import imagecodecs

        values = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    except (ImportError, AttributeError, RuntimeError, ValueError):
        return None
    return values if values.dtype == np.uint16 and values.ndim == 3 else None


# PhotometricInterpretation, TIFF 6.0
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6

_IN_PRINT = 5, 8, 9, 10

#: JPEG, old and new, and JPEG of other vendors: tifffile makes RGB of YCbCr for these.
_JPEG = 6, 7, 33007, 34892

#: JPEG 2000, and how much of a piece is looked at, in bytes.
_JPEG_2000, _PIECE_HEADER = (33003, 33004, 33005, 34712), 4096

#: Compressions that give back the very numbers: none, LZW, Deflate, PackBits, LZMA, ZSTD.
_PLAIN = 1, 5, 8, 32773, 32946, 34925, 50000

#: Further ones that lose something: JPEG XR, JPEG 2000, WebP, JPEG XL.
_PERHAPS_LOSSY = 22610, 34934, 33003, 33004, 33005, 34712, 34927, 50001, 50002

#: ITU-R BT.601, the default of tag 529.
_LUMA = 0.299, 0.587, 0.114


def read_tiff(path: Path) -> DecodedRaster:
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
            raise UnreadableImage('This TIFF file contains no image.')
        series = file.series[0]
        page: Any = series.keyframe
        check_size(int(np.prod(series.shape, dtype=np.int64)))
        photometric, compression = int(page.photometric), int(page.compression)
        _check_kind(page, photometric, compression)
        size, piece = path.stat().st_size, int(np.prod(page.chunks, dtype=np.int64))
        streams = compression in (*_JPEG, *_JPEG_2000)
        most = 2 * max(page.imagewidth * page.imagelength, piece) + (1 << 16) if streams else 0
        _check_pieces(file, [page, *series.pages], size, most)
        samples = int(np.prod(series.shape, dtype=np.int64))
        # As it is decoded, piece by piece, as it is turned, and what colours are made of.
        held = (3 * samples + 2 * piece) * max(series.dtype.itemsize, 1)
        held += 28 * samples if photometric in (_PALETTE, _YCBCR) else 0
        check_memory(size + held, samples)
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
            notes += ('This TIFF file contains several images; the first one is shown.',)
        colormap, bits = page.colormap, _bits(page)
        tags = {n: page.tags[n].value for n in (274, 529) if n in page.tags}
    if values.dtype.kind not in 'biuf':
        raise UnreadableImage('The pixels of this TIFF file are not real numbers.')
    is_colour = photometric in (_RGB, _YCBCR) and 'S' in axes
    if 'S' in axes:  # interleaved or planar, colour or grey with alpha
        values = np.moveaxis(values, axes.index('S'), -1)
        if is_colour and values.shape[-1] < 3:
            raise UnreadableImage('This TIFF file claims to be in colour, but is not.')
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
    return DecodedRaster(values, bits, is_colour, inverted, lossy, notes + turned)


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


def _check_pieces(file: Any, pages: list[Any], size: int, most: int) -> None:
    """Refuse what ends before its pixels do, and pieces far larger than the image.

    libjpeg would fill up what is missing with grey, and a decoder makes room for what a
    JPEG or JPEG 2000 piece says of itself.
    """
    for page in pages:
        if page is None:  # the pixels of several pages stand in a row
            continue
        for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False):
            if offset + length > size:
                raise UnreadableImage(
                    'This TIFF file is damaged: it ends before its pixels do, so it was not '
                    'copied or sent in full.'
                )
            if most:
                file.filehandle.seek(offset)
                stream = parse_codestream(file.filehandle.read(min(length, _PIECE_HEADER)))
                if stream is not None and stream.rows * stream.columns > most:
                    raise UnreadableImage(
                        'This TIFF file is damaged or forged: what is compressed in it has more '
                        'pixels than the file says.'
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
