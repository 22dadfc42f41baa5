#!/usr/bin/env bash
# Pillow 13.0.0, files made by tifffile 2026.3.3
#
# Expected: the byte order of a TIFF is the reader's business, whatever the compression.
#
# What happens: in big-endian files with Deflate (and LZW and PackBits) the bytes of float, 16-bit
# signed and 32-bit signed pixels are in the wrong order: 1 reads as 256, as 16777216, or as
# 4.6e-41. The same files without compression, the little-endian ones, and unsigned 16 bits are
# right. Nothing is raised. libtiff gives the bytes in the machine's order already; Pillow knows
# that for unsigned 16 bits alone.
#
# Why it matters: big-endian TIFF is what ImageJ and Fiji write by default, and heatmaps,
# flat-field corrections and normalised radiographs are saved as float. Scaled to its own range
# such an image looks like noise at best; zeros stay zeros, so a mask looks right.
#
# What we do: TIFF is read by tifffile and imagecodecs alone.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   Pillow 13.0.0
#   >f4 deflate stored [[0.0, 1.0], [2.0, 3.0]] read [[0.0, 4.600e-41], [8.968e-44, 2.304e-41]]
#   >i4 deflate stored [[0, 1], [2, 3]] read [[0, 16777216], [33554432, 50331648]]
#   >i2 deflate stored [[0, 1], [2, 3]] read [[0, 256], [512, 768]]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'pillow==13.0.0' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import itertools
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image

print('Pillow', PIL.__version__)
wrong = set()
for dtype, order, compression in itertools.product(
    ('f4', 'i4', 'i2', 'u2'), '<>', (None, 'deflate')
):
    pixels = np.array([[0, 1], [2, 3]], dtype)
    tifffile.imwrite(
        'a.tif', pixels, byteorder=order, compression=compression, photometric='minisblack'
    )
    assert np.array_equal(tifffile.imread('a.tif'), pixels)
    with Image.open('a.tif') as image:
        read = np.asarray(image)
    if not np.array_equal(read, pixels):
        wrong.add((order + dtype, compression))
        print(order + dtype, compression, 'stored', pixels.tolist(), 'read', read.tolist())
if wrong != set(itertools.product(('>f4', '>i4', '>i2'), ('deflate',))):
    sys.exit(f'The behaviour has changed: {wrong}')
PYTHON
