"""PNG and JPEG by Pillow; by libpng and libjpeg what Pillow has no more than 8 bits of."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from napari_cxr.radiograph import UnreadableImage
from napari_cxr.rasters.decoded import MAX_SAMPLES, Decoded, check_size, upright

__all__ = ['read_png_or_jpeg']

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


def read_png_or_jpeg(path: Path) -> Decoded:
    """Decode a PNG or JPEG file; raises what Pillow does for a damaged one.

    Raises
    ------
    UnreadableImage
        If it is of a kind that is not read.
    """
    import imageio.v3 as iio
    from PIL import Image

    notes: tuple[str, ...] = ()
    if uncommon := _uncommon_jpeg(path):
        return _by_libjpeg(path, *uncommon)
    with _own_limit():
        with Image.open(path) as image:
            mode, frames = image.mode, getattr(image, 'n_frames', 1)
            check_size(image.width * image.height * len(image.getbands()) * frames)
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
    return Decoded(values, bits, is_colour, lossy=lossy, notes=notes + turned)


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


def _uncommon_jpeg(path: Path) -> tuple[int, int, int, int, bool] | None:
    """Return size, channels, bits and loss of a JPEG that Pillow cannot read; None of others.

    ITU-T T.81 table B.2: more than 8 bits, or lossless (SOF3), as film scanners write.
    """
    with path.open('rb') as file:
        data = file.read(_HEADERS)
    position = 2
    if not data.startswith(b'\xff\xd8\xff'):
        return None
    while position + 10 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, rows, columns, channels = struct.unpack_from('>BHHB', data, position + 4)
            lossless = marker == 0xC3
            return (rows, columns, channels, bits, lossless) if lossless or bits > 8 else None
        if marker in (0xD9, 0xDA):
            return None
        position += 2 + int(struct.unpack_from('>H', data, position + 2)[0])
    return None


def _by_libjpeg(
    path: Path, rows: int, columns: int, channels: int, bits: int, lossless: bool
) -> Decoded:
    """Decode a JPEG of 12 bits, or a lossless one of up to 16."""
    check_size(rows * columns * channels)
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
    return Decoded(values, bits, is_colour=values.ndim == 3, lossy=not lossless)


def _by_libpng(path: Path) -> np.ndarray | None:
    """Return all bits of a PNG; None where imagecodecs is not installed or declines it."""
    try:
        import imagecodecs

        values = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    except (ImportError, AttributeError, RuntimeError, ValueError):
        return None
    return values if values.dtype == np.uint16 and values.ndim == 3 else None
