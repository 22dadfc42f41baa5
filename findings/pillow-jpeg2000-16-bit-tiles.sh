#!/usr/bin/env bash
# Pillow 13.0.0, read back by imagecodecs 2026.3.6 as well
#
# Expected: a grey image of 16 bits that is saved as JPEG 2000 without loss is the same image when
# it is read again, in tiles as in one piece.
#
# What happens: of a tile that does not begin at the left edge, the encoder takes the pixels from
# half as far to the right, as if each pixel had one byte. The file is
# valid, no error is raised, and every decoder gives the same wrong pixels. 8 bits are right, and
# so is an image in one tile.
#
# Why it matters: 16 bits in tiles is what digitisers' images are archived as, and "lossless" is
# believed. With four tiles half of the pixels are others.
#
# What we do: nothing of ours writes JPEG 2000; the tests encode in one tile.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   Pillow 13.0.0
#   written [0, 3, 6, 9, 12, 15, 18, 21]
#   8 bits, tiles of 4: 1.00 of the pixels are right by Pillow, 1.00 by imagecodecs
#   16 bits, one tile: 1.00 of the pixels are right by Pillow, 1.00 by imagecodecs
#   16 bits, tiles of 4: 0.50 of the pixels are right by Pillow, 0.50 by imagecodecs
#   read [0, 3, 6, 9, 6, 9, 12, 15]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'pillow==13.0.0' 'imagecodecs==2026.3.6' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import io
import sys

import imagecodecs
import numpy as np
import PIL
from PIL import Image

print('Pillow', PIL.__version__)
y, x = np.mgrid[:8, :8]
row = (np.arange(8) * 3).tolist()
print('written', row)
right = {}
for bits, dtype, tile in ((8, 'u1', 4), (16, 'u2', None), (16, 'u2', 4)):
    pixels = (y * (400 if bits == 16 else 20) + x * 3).astype(dtype)
    out = io.BytesIO()
    tiles = {} if tile is None else {'tile_size': (tile, tile)}
    Image.fromarray(pixels).save(out, 'JPEG2000', irreversible=False, num_resolutions=1, **tiles)
    by_pillow = np.asarray(Image.open(io.BytesIO(out.getvalue())))
    by_other = imagecodecs.jpeg2k_decode(out.getvalue())
    right[bits, tile] = (by_pillow == pixels).mean(), (by_other == pixels).mean()
    how = 'one tile' if tile is None else f'tiles of {tile}'
    print(f'{bits} bits, {how}: {right[bits, tile][0]:.2f} of the pixels are right by Pillow,', end=' ')
    print(f'{right[bits, tile][1]:.2f} by imagecodecs')
print('read', by_other[0].tolist())
wanted = {(8, 4): (1, 1), (16, None): (1, 1), (16, 4): (0.5, 0.5)}
if right != wanted or by_other[0].tolist() != [0, 3, 6, 9, 6, 9, 12, 15]:
    sys.exit(f'The behaviour has changed: {right}')
PYTHON
