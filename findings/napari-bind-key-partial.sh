#!/usr/bin/env bash
# napari 0.9.2 (numpy 2.4.6, vispy as napari asks for it, CPython 3.11)
#
# Expected: `viewer.bind_key(key, function)` takes any callable, and a key calls it; what it
# cannot take it refuses there.
#
# What happens: a `functools.partial` is bound without a word. From then on every key that is
# pressed on the canvas, also one that has nothing to do with it, raises AttributeError: for each
# key press napari collects the `__name__` of all functions that are bound, and a partial has none.
#
# Why it matters: a plugin that binds keys 1 to 9 to labels or windows does so in a loop, where a
# partial is the natural way to keep the loop's variable. The plugin then takes away all keys of
# napari, and the traceback names napari's file only.
#
# What we do: keys are bound to functions made by `def`.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   napari 0.9.2
#   a function is bound: key K calls ['function'], key J raises nothing
#   a partial is bound: key K raises AttributeError, key J raises AttributeError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'napari==0.9.2' 'numpy==2.4.6'
cd "$work"
HOME="$work" "$work/venv/bin/python" -W ignore - <<'PYTHON'
import functools
import sys
from types import SimpleNamespace

import napari
from napari.components import ViewerModel
from napari.utils.key_bindings import KeymapHandler
from vispy.util import keys


def note(viewer, what):
    called.append(what)


def pressed(viewer, letter):
    """Press a key as the canvas does; return the name of the error, or nothing."""
    handler = KeymapHandler()
    handler.keymap_providers = [viewer]
    event = SimpleNamespace(key=keys.Key(letter), modifiers=(), native=None, handled=False)
    try:
        handler.on_key_press(event)
    except Exception as error:
        return type(error).__name__
    return 'nothing'


print('napari', napari.__version__)
called = []
plain = ViewerModel()
plain.bind_key('K', lambda viewer: note(viewer, 'function'))
before = pressed(plain, 'K'), pressed(plain, 'J')
print(f'a function is bound: key K calls {called}, key J raises {before[1]}')
partial = ViewerModel()
partial.bind_key('K', functools.partial(note, what='partial'))
after = pressed(partial, 'K'), pressed(partial, 'J')
print(f'a partial is bound: key K raises {after[0]}, key J raises {after[1]}')
if (before, called, after) != (('nothing', 'nothing'), ['function'], ('AttributeError',) * 2):
    sys.exit('The behaviour has changed.')
PYTHON
