#!/usr/bin/env bash
# ImageHash 4.3.2 on 16-bit greyscale images of Pillow 13.0.0
#
# Expected: two pictures that do not resemble each other have perceptual hashes that differ in many
# of their 64 bits, whatever the depth of their pixels.
#
# What happens: all 16-bit radiographs have one and the same hash. The hash first asks Pillow for
# 8 bits, and Pillow cuts everything above 255 instead of scaling it, so an image with values of
# 10 or 12 bits is a white square: average, perceptual, difference and wavelet hash alike.
#
# Why it matters: a search for near-duplicates in a folder of 16-bit PNG files, made before the
# images are split into training and test, reports that every pair is a duplicate, or, where the
# radiographs are kept once for each hash, throws all but one away. Nothing is raised.
#
# What we do: hashes are taken from display values, after the VOI LUT, and checked by a
# correlation of fine detail.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11):
#   ImageHash 4.3.2
#   average_hash: 12 bits 0 bits apart, the same at 8 bits 27
#   phash: 12 bits 0 bits apart, the same at 8 bits 32
#   dhash: 12 bits 0 bits apart, the same at 8 bits 25
#   whash: 12 bits 0 bits apart, the same at 8 bits 41
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'ImageHash==4.3.2' 'pillow==13.0.0' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import imagehash
import numpy as np
from PIL import Image

rows, columns = np.mgrid[0:256, 0:256] / 255


def opacity(row, column, width):
    """A 12-bit picture with one soft bright spot."""
    spot = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / width)
    return (1000 + 2500 * spot).astype(np.uint16)


def distance(method, one, other):
    """Bits in which the hashes of two arrays differ, after a way through a PNG file."""
    hashes = []
    for at, pixels in enumerate((one, other)):
        Image.fromarray(pixels).save(f'{at}.png')
        with Image.open(f'{at}.png') as picture:
            hashes.append(getattr(imagehash, method)(picture))
    return hashes[0] - hashes[1]


print('ImageHash', imagehash.__version__)
left, right = opacity(0.5, 0.3, 0.05), opacity(0.2, 0.8, 0.01)
for method in ('average_hash', 'phash', 'dhash', 'whash'):
    deep = distance(method, left, right)
    shallow = distance(method, *((pixels >> 4).astype(np.uint8) for pixels in (left, right)))
    print(f'{method}: 12 bits {deep} bits apart, the same at 8 bits {shallow}')
    if deep != 0 or shallow < 8:
        sys.exit('The behaviour has changed.')
PYTHON
