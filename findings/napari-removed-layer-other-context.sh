#!/usr/bin/env bash
# napari 0.9.2, vispy 0.17.0, PyQt6 6.11.0
#
# Expected: what a layer had in a canvas's OpenGL context is deleted while that context is current.
#
# What happens: when a layer is removed, napari has vispy carry out all commands that are queued
# (`VispyCanvas._clean_and_update_scenegraph`), and makes no context current for it. It is Qt's, in
# which the window is composed, so a shader is deleted in another context than that which drew
# with it. The contexts share their objects, and so the shader does go.
#
# Why it matters: what OpenGL does with an object that another context still uses is left to the
# driver. napari's process has ended in a drawing on Mesa's software renderer, as on remote desktops
# and in CI. This script draws nothing afterwards; it only looks which context is current when a
# layer is removed.
#
# What we do: the canvas's context is made current before each layer that goes.
#
# Needs a screen, or xvfb-run.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11, Mesa's software rendering):
#   napari 0.9.2
#   as it is: 1 shaders deleted, 0 of them in the context that drew
#   after makeCurrent: 1 shaders deleted, 1 of them in the context that drew
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'napari==0.9.2' 'vispy==0.17.0' 'PyQt6==6.11.0' 'numpy==2.4.6'
cd "$work"
cat > contexts.py <<'PYTHON'
import sys

import napari
import numpy as np
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QApplication, QOpenGLWidget
from vispy.gloo import glir

drawn, deleted = {}, []
draw, delete = glir.GlirProgram.draw, glir.GlirProgram.delete


def note_draw(program, *args, **options):
    drawn[program._id] = QOpenGLContext.currentContext()
    return draw(program, *args, **options)


def note_delete(program):
    if program._id in drawn:
        deleted.append(QOpenGLContext.currentContext() is drawn[program._id])
    return delete(program)


glir.GlirProgram.draw, glir.GlirProgram.delete = note_draw, note_delete


def removed(with_canvas_current):
    """Remove a layer that was drawn; return for each shader whether its context was current."""
    viewer = napari.Viewer()
    viewer.add_image(np.zeros((8, 8), np.uint8))
    for _ in range(50):
        QApplication.processEvents()
    if with_canvas_current:
        (canvas,) = viewer.window._qt_window.findChildren(QOpenGLWidget)
        canvas.makeCurrent()
    deleted.clear()
    viewer.layers.clear()
    found = list(deleted)
    viewer.close()
    return found


print('napari', napari.__version__)
as_it_is, made_current = removed(False), removed(True)
for what, found in (('as it is', as_it_is), ('after makeCurrent', made_current)):
    print(f'{what}: {len(found)} shaders deleted, {sum(found)} of them in the context that drew')
if not as_it_is or any(as_it_is) or not made_current or not all(made_current):
    sys.exit('The behaviour has changed.')
PYTHON
screen=()
[ -n "${DISPLAY:-}" ] || screen=(xvfb-run -a)
HOME="$work" "${screen[@]}" "$work/venv/bin/python" -W ignore contexts.py
