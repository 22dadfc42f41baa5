#!/usr/bin/env bash
# Pillow 13.0.0 and tifffile 2026.3.3
#
# Expected: a reader turns WhiteIsZero (photometric interpretation 0) over, or leaves it to the
# caller, for all grey images alike.
#
# What happens: Pillow inverts 8 bits and leaves 16 bits and float as stored; its mode says
# nothing about it. tifffile never inverts. So the polarity depends on the library for 8 bits,
# and on the depth within one library.
#
# Why it matters: WhiteIsZero is the MONOCHROME1 of TIFF. The 16-bit original and the 8-bit copy
# of one radiograph come out as each other's negative, and a data set that mixes them teaches a
# network the depth instead of the disease.
#
# What we do: TIFF is read by one library, WhiteIsZero is turned over in one place, and the
# notes of the image say that it was.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   Pillow 13.0.0 tifffile 2026.3.3
#   u1 stored [[0, 1, 2]] Pillow (L) [[255, 254, 253]] tifffile [[0, 1, 2]]
#   u2 stored [[0, 1, 2]] Pillow (I;16) [[0, 1, 2]] tifffile [[0, 1, 2]]
#   f4 stored [[0.0, 1.0, 2.0]] Pillow (F) [[0.0, 1.0, 2.0]] tifffile [[0.0, 1.0, 2.0]]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'pillow==13.0.0' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image

print('Pillow', PIL.__version__, 'tifffile', tifffile.__version__)
inverted = {}
for dtype in ('u1', 'u2', 'f4'):
    pixels = np.array([[0, 1, 2]], dtype)
    tifffile.imwrite('a.tif', pixels, photometric='miniswhite')
    with Image.open('a.tif') as image:
        by_pillow, mode = np.asarray(image), image.mode
    by_tifffile = tifffile.imread('a.tif')
    print(dtype, 'stored', pixels.tolist(), f'Pillow ({mode})', by_pillow.tolist(), end=' ')
    print('tifffile', by_tifffile.tolist())
    inverted[dtype] = [not np.array_equal(a, pixels) for a in (by_pillow, by_tifffile)]
if inverted != {'u1': [True, False], 'u2': [False, False], 'f4': [False, False]}:
    sys.exit('The behaviour has changed.')
PYTHON
