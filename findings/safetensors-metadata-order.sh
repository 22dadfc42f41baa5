#!/usr/bin/env bash
# safetensors 0.8.0 (numpy 2.4.6, CPython 3.11)
#
# Expected: equal tensors and equal metadata give equal bytes, so the SHA-256 of a model file says
# whether two runs made the same model. The tensors are indeed sorted.
#
# What happens: the metadata stand in the header in the order of a hash map that is seeded anew at
# every call. With three keys one process writes up to six files for one content
# (safetensors issue 584, open; pull request 790 would sort them).
#
# Why it matters: an index of radiograph models that is checked by hash, a cache by hash and
# "same seed, same file" all fail at random. With one key the bytes are always the same.
#
# What we do: all of a model's card is one JSON string under one key of our own, the only one, and
# where the header of a file with more keys is rewritten they are put in order.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   safetensors 0.8.0
#   different files among 60 with one key: 1
#   different files among 60 with three keys: more than one
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'safetensors==0.8.0' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import hashlib
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

tensors = {'weight': np.arange(6, dtype=np.float32)}


def hashes(metadata):
    files = [save(tensors, metadata=metadata) for _ in range(60)]
    assert all(np.array_equal(load(f)['weight'], tensors['weight']) for f in files)
    assert len({len(f) for f in files}) == 1
    return len({hashlib.sha256(f).hexdigest() for f in files})


one, three = hashes({'card': '1'}), hashes({'card': '1', 'format': 'np', 'made': '2026'})
print('safetensors', safetensors.__version__)
print('different files among 60 with one key:', one)
print('different files among 60 with three keys:', 'more than one' if three > 1 else three)
if one != 1 or three == 1:
    sys.exit('The behaviour has changed.')
PYTHON
