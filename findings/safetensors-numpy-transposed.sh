#!/usr/bin/env bash
# safetensors 0.8.0 (numpy 2.4.6, CPython 3.11)
#
# Expected: safetensors.numpy.save_file stores the array that it is given, or refuses it, as
# safetensors.torch does with a tensor that is not contiguous.
#
# What happens: for a transposed array it writes the bytes in the order in which they lie in
# memory under the transposed shape, and for a slice with a step the numbers in between as well.
# The file is valid; its numbers are others. By safetensors issue 825 (open) it is new in 0.8.0.
#
# Why it matters: weights brought over from Keras or Flax are transposed (dense kernels, and
# convolutions from HWIO to OIHW), and so is an image whose axes were swapped. The network loads,
# all shapes fit, and its answers on a radiograph are noise.
#
# What we do: whatever is written is made contiguous before.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   safetensors 0.8.0
#   contiguous   given [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] stored [[0.0, 1.0, 2.0], [3.0, 4.0,
#     5.0]]
#   transposed   given [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]] stored [[0.0, 1.0], [2.0, 3.0], [4.0,
#     5.0]]
#   every second given [[0.0, 2.0], [3.0, 5.0]] stored [[0.0, 1.0], [2.0, 3.0]]
#   {'contiguous': True, 'transposed': False, 'every second': False}
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'safetensors==0.8.0' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
given = {'contiguous': kernel, 'transposed': kernel.T, 'every second': kernel[:, ::2]}
save_file(given, 'kernels.safetensors')
stored = load_file('kernels.safetensors')
print('safetensors', safetensors.__version__)
for name, array in given.items():
    print(f'{name:12} given {array.tolist()} stored {stored[name].tolist()}')
same = {name: bool(np.array_equal(array, stored[name])) for name, array in given.items()}
print(same)
if same != {'contiguous': True, 'transposed': False, 'every second': False}:
    sys.exit('The behaviour has changed.')
PYTHON
