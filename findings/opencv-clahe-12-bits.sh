#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93, beside scikit-image 0.26.0
#
# Expected: contrast limited adaptive histogram equalisation with the clip limit that is usual for
# radiographs (2.0, 8 x 8 tiles) makes local contrast greater, whether the 12 bits of the detector
# are given as they are or cut to 8; only the rounding differs.
#
# What happens: 12-bit pixels in uint16 come out almost black and with a fraction of the local
# contrast that they had. For uint16 the histogram always has 65,536 bins, and the clip limit is
# counted in pixels of a tile for each bin: what is clipped is spread over all bins, fifteen
# sixteenths of which no pixel of 12 bits ever uses. Stretched to 16 bits first, the same limit
# still raises contrast far less than at 8 bits. So one limit means three things.
#
# Why it matters: CLAHE stands at the beginning of many pipelines for chest radiographs. Written
# for 8-bit PNG files and then given DICOM pixels, it hands a network dark, flat images, without an
# error; normalising afterwards hides the dark, not the loss.
#
# What we do: local contrast is made by scikit-image from the window on screen, and only for the
# eye.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11):
#   opencv 5.0.0
#   8 bits: local contrast times 1.85, brightest 0.88
#   12 bits in uint16: local contrast times 0.22, brightest 0.10
#   stretched to 16 bits: local contrast times 1.13, brightest 0.88
#   scikit-image, 8 bits: local contrast times 2.08
#   scikit-image, 12 bits in uint16: local contrast times 2.48
#   scikit-image, stretched to 16 bits: local contrast times 2.48
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'opencv-python-headless==5.0.0.93' 'scikit-image==0.26.0' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import cv2
import numpy as np
from skimage.exposure import equalize_adapthist

rows, columns = np.mgrid[0:1024, 0:1024] / 1023
smooth = 2000 + 1200 * np.sin(6 * rows) * np.cos(4 * columns)
noise = np.random.default_rng(0).normal(0, 60, smooth.shape)
detector = np.clip(smooth + noise, 0, 4095).astype(np.uint16)


def local_contrast(picture):
    """Mean standard deviation of squares of 64 pixels; the full range counts as 1."""
    return float(picture.reshape(16, 64, 16, 64).std(axis=(1, 3)).mean())


def gain(pixels, full):
    """What CLAHE by OpenCV does to local contrast, and the brightest pixel of the result."""
    out = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(pixels)
    out = out / np.iinfo(out.dtype).max
    return local_contrast(out) / local_contrast(pixels / full), float(out.max())


print('opencv', cv2.__version__)
inputs = {
    '8 bits': ((detector >> 4).astype(np.uint8), 255),
    '12 bits in uint16': (detector, 4095),
    'stretched to 16 bits': (detector * np.uint16(16), 65535),
}
seen = {}
for name, (pixels, full) in inputs.items():
    seen[name] = gain(pixels, full)
    print(f'{name}: local contrast times {seen[name][0]:.2f}, brightest {seen[name][1]:.2f}')
for name, (pixels, full) in inputs.items():
    out = equalize_adapthist(pixels / full, kernel_size=128, clip_limit=0.01)
    ratio = local_contrast(out) / local_contrast(pixels / full)
    print(f'scikit-image, {name}: local contrast times {ratio:.2f}')
deep, stretched, shallow = (seen[name][0] for name in ('12 bits in uint16', 'stretched to 16 bits', '8 bits'))
if not (deep < 0.5 and seen['12 bits in uint16'][1] < 0.2 and 1.5 < shallow and stretched < 1.4):
    sys.exit('The behaviour has changed.')
PYTHON
