#!/usr/bin/env bash
# imagecodecs 2026.3.6 (OpenJPH 0.26.3), beside Pillow 13.0.0
#
# Expected: at a half of its size an HTJ2K image of values from 0 to 4000 has values of about 0 to
# 4000. The small image of a wavelet overshoots at edges; values below 0 have to be
# clipped, since the image has none.
#
# What happens: `htj2k_decode(skipres=1)` lets them wrap round: beside every edge to black stand
# pixels of 65,036 and more. The full image is right to the last bit. Pillow, which decodes the
# same stream with OpenJPEG, clips them.
#
# Why it matters: collimated radiographs have black borders, and it takes one such pixel to stretch
# a window by sixteen times.
#
# What we do: reduced HTJ2K is decoded by Pillow.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   imagecodecs 2026.3.6 openjph 0.26.3, Pillow 13.0.0
#   in full: equal to what was written, 0 to 4000
#   a half by imagecodecs: 0 to 65099, 52 pixels above 60000
#   a half by Pillow: 0 to 4000
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

print('imagecodecs', imagecodecs.__version__, imagecodecs.htj2k_version(), end=', ')
print('Pillow', PIL.__version__)
pixels = np.zeros((64, 64), np.uint16)
pixels[20:45, 20:45] = 4000
stream = imagecodecs.htj2k_encode(pixels)
full = imagecodecs.htj2k_decode(stream)
assert np.array_equal(full, pixels)
print('in full: equal to what was written,', full.min(), 'to', full.max())
half = imagecodecs.htj2k_decode(stream, skipres=1)
wrapped = int((half > 60000).sum())
print('a half by imagecodecs:', half.min(), 'to', half.max(), end=', ')
print(wrapped, 'pixels above 60000')
image = Image.open(io.BytesIO(stream))
image.reduce = 1
other = np.asarray(image)
print('a half by Pillow:', other.min(), 'to', other.max())
if half.shape != (32, 32) or wrapped != 52 or other.max() > 4200:
    sys.exit('The behaviour has changed.')
PYTHON
