"""Save a picture of the Batch dock at work, on synthetic radiographs.

    xvfb-run -s "-screen 0 1600x1000x24" python scripts/batch_screenshot.py docs/images/batch.png

A model learns to tell phantoms with an opacity from those without, in a minute or two; other
phantoms are scored, and one of them is opened with its heatmap. No patient is on the
picture, and no figure on it means anything. KEEP, if given, is a folder for all that is made;
what is there is not made again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import make_phantoms
from PIL import Image

#: Learnt from, and scored.
LEARN, SCORE = 36, 24
#: On top of the recipe: all of the bundled network learns, for a minute.
LEARNING = (
    'epochs=20',
    'batch=12',
    'freeze.up_to="nothing"',
    'optimiser.learning_rate=1e-3',
    'augmentation.shift=0.04',
    'augmentation.contrast=0.3',
    'augmentation.gamma=0.3',
    'selection.metric="loss"',
    'loss.label_smoothing=0.1',
    'data.duplicates=false',  # phantoms are so much alike that they count as such
    'card.title="Synthetic radiographs"',
)
NAME = 'opacities'
WINDOW = (1580, 970)
#: Width of the dock, in pixels.
DOCK = 640
#: Rows that were read before the one on the picture.
READ = 3
#: Time that anything may take, and for the last repaint, in milliseconds.
WAIT, SETTLE = 600_000, 2500


def main() -> int:
    """Make what is shown, and show it."""
    parser = argparse.ArgumentParser(description='Save a picture of the Batch dock at work.')
    parser.add_argument('out', type=Path, help='the picture')
    parser.add_argument('--keep', type=Path, help='folder for what is made')
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.keep
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Nobody's own models and choices are on the picture, or changed by it.
        for name in ('XDG_DATA_HOME', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'NAPARI_CXR_MODELS'):
            os.environ[name] = str(folder / name.lower())
        model = learn(folder)
        scored = folder / 'Chest clinic'
        phantoms(scored, SCORE, seed=3, forms=make_phantoms.FORMS, long_side=840)
        picture(scored, model, given.out)
    return 0


def phantoms(folder: Path, count: int, **how: object) -> None:
    """Make a folder of phantoms, as far as they are not there."""
    plans = make_phantoms.plan(folder, count, **how)
    make_phantoms.make([one for one in plans if not one.path.exists()])


def learn(folder: Path) -> str:
    """Return the name of a model that has learnt from phantoms."""
    from napari_cxr.checkpoint import catalog, load, save

    run = folder / 'run'
    if not (run / 'best.safetensors').is_file():
        phantoms(folder / 'learn', LEARN, seed=7, forms=['png'], long_side=512)
        command = [sys.executable, '-m', 'napari_cxr.cli', 'train', str(folder / 'learn')]
        command += ['--recipe', 'start-bundled', '--out', str(run), '--device', 'cpu']
        for setting in LEARNING:
            command += ['--set', setting]
        subprocess.run(command, check=True)
    if not any(entry.name == NAME for entry in catalog.entries()):
        learnt = load(run / 'best.safetensors')
        # Six images to validate on, all right, would make it certain of everything.
        card = replace(learnt.card, name=NAME, temperature=1.0)
        save(folder / 'model.safetensors', learnt.tensors, card)
        catalog.add(folder / 'model.safetensors', NAME)
    return NAME


def picture(scored: Path, model: str, out: Path) -> None:
    """Score a folder in the dock, open a row, and save what the screen shows."""
    import napari
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QDockWidget

    from napari_cxr.plugin.docks import open_dock
    from napari_cxr.plugin.preferences import save_preferences
    from napari_cxr.plugin.score_table.score_columns import class_column_key

    save_preferences('batch', model=model, device='cpu', shares=True, precision='float32')
    save_preferences('batch', folder=tempfile.mkdtemp(dir=scored.parent), images='', table='')
    viewer = napari.Viewer(title='napari-cxr', show=True)
    viewer.window.resize(*WINDOW)
    open_dock(viewer, 'Score a folder')
    (dock,) = viewer.window.dock_widgets.values()
    place = dock
    while not isinstance(place, QDockWidget):
        place = place.parent()
    place.parent().resizeDocks([place], [DOCK], Qt.Orientation.Horizontal)
    dock.panel.setup.set_images(str(scored))
    until(dock.panel.start.isEnabled)
    dock.panel.start.click()
    until(lambda: not dock.busy and dock.panel.table.rows())
    table = dock.panel.table
    table.sort_by(class_column_key('pneumonia'), True)
    opened: list[object] = []
    dock.annotation.opener.opened.connect(opened.append)
    table.filter_bar.pictures.click()
    dock.panel.parts.setSizes([560, 330])
    dock.annotation.step(1)
    for read in range(READ + 1):
        until(lambda: len(opened) > read)  # noqa: B023
        # Nothing is taken down of an image before it can have been seen.
        until(lambda: dock.annotation.opener.on_screen and not dock.annotation.opener.pending)
        if read < READ:
            dock.panel.annotation.agree()  # which goes on to the next row
    pause(SETTLE)
    viewer.status = 'Ready'  # not of the pixel under a pointer that is not there
    pause(50)
    shot = viewer.window.screenshot(flash=False, canvas_only=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    # As many colours as a screen of greys and one colour scale needs.
    few = Image.fromarray(shot[..., :3]).quantize(256, kmeans=3, dither=Image.Dither.NONE)
    few.save(out, optimize=True)
    print(f'{out}: {out.stat().st_size / 1000:.0f} kB')
    viewer.close()


def until(done: Callable[[], object]) -> None:
    """Let Qt work until something has come about; raises TimeoutError if it does not."""
    from qtpy.QtCore import QElapsedTimer

    clock = QElapsedTimer()
    clock.start()
    while not done():
        if clock.hasExpired(WAIT):
            raise TimeoutError('The dock has not got there.')
        pause(50)


def pause(milliseconds: int) -> None:
    """Let Qt work for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == '__main__':
    sys.exit(main())
