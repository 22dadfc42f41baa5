#!/usr/bin/env bash
# vispy 0.17.0 (napari 0.9.2 draws its image layers with it), PyQt6 6.11.0
#
# Expected: an Image visual that is given new pixels by set_data looks like one that was made with
# them, whatever filter draws it.
#
# What happens: with cubic, catrom, lanczos and the other filters of several pixels it does so only
# where the new pixels have the shape of the old ones. Otherwise the shader goes on with the number
# of rows and columns of the first image, and weighs pixels by their distance on that raster.
# Nearest and linear are right.
#
# Why it matters: a viewer that replaces the pixels of a layer, by the next radiograph or by a
# heatmap of another network, shows structures that are not in the image.
#
# What we do: the interpolation of a layer is set anew where new pixels have another shape.
#
# Needs a screen, or xvfb-run.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11, Mesa's software rendering):
#   vispy 0.17.0
#   nearest: 0.0 grey levels apart after another shape, 0.0 after the same
#   linear: 0.0 grey levels apart after another shape, 0.0 after the same
#   cubic: 50.9 grey levels apart after another shape, 0.0 after the same
#   catrom: 70.0 grey levels apart after another shape, 0.0 after the same
#   lanczos: 75.6 grey levels apart after another shape, 0.0 after the same
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'vispy==0.17.0' 'PyQt6==6.11.0' 'numpy==2.4.6'
cd "$work"
cat > shapes.py <<'PYTHON'
import sys

import numpy as np
import vispy
from vispy import app, scene

app.use_app('pyqt6')
rng = np.random.default_rng(0)
small, large, other = (rng.random((side, side), np.float32) for side in (6, 24, 24))


def drawn(first, then, interpolation):
    """Grey levels of a canvas that showed one picture and, where given, another one after it."""
    canvas = scene.SceneCanvas(size=(240, 240), show=False, bgcolor='black')
    view = canvas.central_widget.add_view()
    view.camera = scene.PanZoomCamera(aspect=1)
    picture = scene.visuals.Image(
        first, parent=view.scene, interpolation=interpolation, clim=(0, 1), cmap='grays'
    )
    for pixels in (first, then):
        if pixels is None:
            continue
        if pixels is not first:
            picture.set_data(pixels)
        view.camera.set_range(x=(0, pixels.shape[1]), y=(0, pixels.shape[0]), margin=0)
        levels = canvas.render()[..., 0].astype(int)
    canvas.close()
    return levels


print('vispy', vispy.__version__)
changed = {}
for interpolation in ('nearest', 'linear', 'cubic', 'catrom', 'lanczos'):
    wanted = drawn(large, None, interpolation)
    apart = [
        abs(drawn(first, large, interpolation) - wanted).mean() for first in (small, other)
    ]
    print(
        f'{interpolation}: {apart[0]:.1f} grey levels apart after another shape, '
        f'{apart[1]:.1f} after the same'
    )
    changed[interpolation] = apart
right = all(changed[name][0] < 0.5 for name in ('nearest', 'linear'))
wrong = all(changed[name][0] > 10 for name in ('cubic', 'catrom', 'lanczos'))
if not right or not wrong or any(same > 0.5 for _, same in changed.values()):
    sys.exit('The behaviour has changed.')
PYTHON
screen=()
[ -n "${DISPLAY:-}" ] || screen=(xvfb-run -a)
"${screen[@]}" "$work/venv/bin/python" -W ignore shapes.py
