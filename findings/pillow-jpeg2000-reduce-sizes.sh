#!/usr/bin/env bash
# Pillow 13.0.0
#
# Expected: a JPEG 2000 image with three levels can be read at a half and at a quarter of its size
# (`image.reduce = 1`, `2` before loading), whatever its width is.
#
# What happens: at a quarter, widths and heights that leave a remainder of 1 when divided by 4
# raise "broken data stream when reading image file", although the stream is whole and is read at
# full size. At a half all sizes are read.
#
# Why it matters: reading a small version is what makes JPEG 2000 radiographs quick to look at;
# one size in four of either side is refused, with words that say that the file is damaged.
#
# What we do: such a stream is read with a size that needs no rounding, or else in full; a test
# has the sizes.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   Pillow 13.0.0 with OpenJPEG 2.5.4
#   a half: all of 16 widths and 16 heights are read
#   a quarter: width 65, 69, 73, 77 broken data stream when reading image file
#   a quarter: height 65, 69, 73, 77 broken data stream when reading image file
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pillow==13.0.0' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import io
import sys

import numpy as np
import PIL
from PIL import Image, features

print('Pillow', PIL.__version__, 'with OpenJPEG', features.version('jpg_2000'))
SIZES = range(64, 80)


def refused(shape, level):
    pixels = (np.arange(shape[0] * shape[1]) % 251).astype(np.uint8).reshape(shape)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, 'JPEG2000', irreversible=False, num_resolutions=4)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(out.getvalue()))), pixels)
    image = Image.open(io.BytesIO(out.getvalue()))
    image.reduce = level
    try:
        image.load()
    except OSError as error:
        return str(error)
    return ''


found = {}
for level, name in ((1, 'a half'), (2, 'a quarter')):
    for side, shapes in (('width', [(64, n) for n in SIZES]), ('height', [(n, 64) for n in SIZES])):
        said = {n: refused(shape, level) for n, shape in zip(SIZES, shapes)}
        odd = [n for n, text in said.items() if text]
        found[level, side] = odd
        if odd:
            print(f'{name}: {side} {", ".join(map(str, odd))} {said[odd[0]]}')
    if level == 1 and not found[1, 'width'] + found[1, 'height']:
        print('a half: all of 16 widths and 16 heights are read')
odd = [65, 69, 73, 77]
wanted = {(1, 'width'): [], (1, 'height'): [], (2, 'width'): odd, (2, 'height'): odd}
if found != wanted:
    sys.exit(f'The behaviour has changed: {found}')
PYTHON
