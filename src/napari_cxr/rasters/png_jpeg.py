"""PNG and JPEG by Pillow; by libpng what Pillow would cut to 8 bits."""

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


def _by_libpng(path: Path) -> np.ndarray | None:
    """Return all bits of a PNG; None where imagecodecs is not installed or declines it."""
    try:
        import imagecodecs

        values = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    except (ImportError, AttributeError, RuntimeError, ValueError):
        return None
    return values if values.dtype == np.uint16 and values.ndim == 3 else None
