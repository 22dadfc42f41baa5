#!/usr/bin/env bash
# Pillow 13.0.0, files made by tifffile 2026.3.3
#
# Expected: the pixels of a TIFF do not depend on whether it is opened by its path or as a stream
# of the same bytes, nor on whether it is compressed without loss.
#
# What happens: an uncompressed grey TIFF of 8 or 16 bits with Orientation 6 or 8 (a quarter
# turn), opened by path, is turned, but then has the shape from before the turn, so every row is
# of the wrong length and the rows run into each other. From a stream, compressed, or as float it
# is right; Orientation 3 (half a turn) is right as well.
#
# Why it matters: scanned films and exports of digitisers are often uncompressed TIFF with a
# quarter turn. A square image hides the fault: only a radiograph that is not square is sheared.
#
# What we do: TIFF is read by tifffile and imagecodecs alone, the orientation is applied by us,
# and the notes say so.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   Pillow 13.0.0
#   6 u1 as a stream [[3, 0], [4, 1], [5, 2]] by path [[4, 2, 0], [5, 3, 1]]
#   6 u2 as a stream [[3, 0], [4, 1], [5, 2]] by path [[4, 2, 0], [5, 3, 1]]
#   8 u1 as a stream [[2, 5], [1, 4], [0, 3]] by path [[1, 3, 5], [0, 2, 4]]
#   8 u2 as a stream [[2, 5], [1, 4], [0, 3]] by path [[1, 3, 5], [0, 2, 4]]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'pillow==13.0.0' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import io
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image

print('Pillow', PIL.__version__)
turns = {3: 2, 6: -1, 8: 1}
wrong = []
for orientation, turn in turns.items():
    for dtype in ('u1', 'u2', 'f4'):
        for compression in (None, 'deflate'):
            pixels = np.arange(6, dtype=dtype).reshape(2, 3)
            tifffile.imwrite(
                'a.tif',
                pixels,
                photometric='minisblack',
                compression=compression,
                extratags=[(274, 'H', 1, orientation, True)],
            )
            assert np.array_equal(tifffile.imread('a.tif'), pixels)
            right = np.rot90(pixels, turn)
            with open('a.tif', 'rb') as file:
                stream = np.asarray(Image.open(io.BytesIO(file.read())))
            by_path = np.asarray(Image.open('a.tif'))
            assert np.array_equal(stream, right)
            if not np.array_equal(by_path, right):
                wrong.append((orientation, dtype, compression))
                print(orientation, dtype, 'as a stream', stream.tolist(), end=' ')
                print('by path', by_path.tolist())
if wrong != [(6, 'u1', None), (6, 'u2', None), (8, 'u1', None), (8, 'u2', None)]:
    sys.exit(f'The behaviour has changed: {wrong}')
PYTHON
