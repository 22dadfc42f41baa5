"""What codestreams say of themselves; sizes are those that Pillow was asked for."""

import io

import numpy as np
from PIL import Image

from napari_cxr.codestream import Codestream, parse_codestream


def packed(array, form):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return buffer.getvalue()


def test_sizes_in_codestreams():
    rgb = packed(np.zeros((7, 9, 3), np.uint8), 'JPEG')
    assert parse_codestream(rgb) == Codestream(7, 9, 3, 8)
    boxed = packed(np.zeros((5, 6), np.uint16), 'JPEG2000')  # with JP2 boxes
    assert parse_codestream(boxed) == Codestream(5, 6, 1, 16, signed=False)
    assert parse_codestream(b'') is None
    assert parse_codestream(rgb[:20]) is None


def test_lossless_jpeg_is_told_by_its_marker():
    frame = b'\xff\xd8\xff\xc3\x00\x0b\x10\x00\x05\x00\x06\x01\x01\x11\x00'
    assert parse_codestream(frame) == Codestream(5, 6, 1, 16, lossless=True)
