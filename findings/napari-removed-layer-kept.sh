#!/usr/bin/env bash
# napari 0.9.2 (numpy 2.4.6, CPython 3.11)
#
# Expected: a layer that was removed from a viewer is freed with its pixels once nobody holds it.
#
# What happens: the list of layers keeps the one that was selected last. When it is removed, or
# goes with all others by `layers.clear()`, nothing is selected any more, but the layer stays in
# `layers.selection._current` until another one is selected.
#
# Why it matters: a reader of radiographs clears the viewer before the next one. The last one, 40
# MB as floating point and more with its pyramids, is held beside it, and a weak reference that
# should say "it is gone" does not. Whoever caches by weak references sees a layer that no viewer
# shows.
#
# What we do: whether a layer is in the viewer is asked of the list, never of a weak reference.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   napari 0.9.2
#   removed alone: alive True
#   cleared with another: alive True, selection set(), current is the removed layer True
#   after another layer was selected: alive False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'napari==0.9.2' 'numpy==2.4.6'
cd "$work"
HOME="$work" "$work/venv/bin/python" -W ignore - <<'PYTHON'
import gc
import sys
import weakref

import napari
import numpy as np
from napari.components import ViewerModel


def viewer_with(count):
    viewer = ViewerModel()
    for _ in range(count):
        viewer.add_image(np.zeros((4, 4)))
    viewer.layers.selection.active = viewer.layers[0]
    return viewer, weakref.ref(viewer.layers[0])


def alive(reference):
    gc.collect()
    return reference() is not None


print('napari', napari.__version__)
viewer, alone = viewer_with(1)
viewer.layers.remove(viewer.layers[0])
removed = alive(alone)
print('removed alone: alive', removed)
viewer, first = viewer_with(2)
viewer.layers.clear()
cleared = alive(first)
current = viewer.layers.selection._current is first()
print(
    f'cleared with another: alive {cleared}, selection {set(viewer.layers.selection)}, '
    f'current is the removed layer {current}'
)
viewer.layers.selection.active = viewer.add_image(np.zeros((4, 4)))
later = alive(first)
print('after another layer was selected: alive', later)
if (removed, cleared, current, later) != (True, True, True, False):
    sys.exit('The behaviour has changed.')
PYTHON
