"""The main job in one go: open a radiograph, classify it, lay the heatmap on it.

python -m napari_cxr.plugin.demo [FILE] [--headless] [--out PNG]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from napari_cxr.plugin.classify.dock import ClassifyDock
from napari_cxr.plugin.reader import open_paths

__all__ = ['main']

#: Time for the last repaint before the picture is taken, in milliseconds.
_SETTLE = 1500


def main(path: str | None = None, headless: bool = False, out: str | None = None) -> int:
    """Run the demonstration.

    Parameters
    ----------
    path : str, optional
        A radiograph; by default a real one, where the environment variable
        NAPARI_CXR_DATA names a folder of them, and else the synthetic one.
    headless : bool
        Save a screenshot and end, instead of leaving napari open.
    out : str, optional
        Where the screenshot goes; by default ``napari-cxr-demo.png``.

    Returns
    -------
    int
        0 if the radiograph was classified, else 1.
    """
    viewer = napari.Viewer(title='napari-cxr', show=True)
    viewer.window.resize(1360, 860)
    dock = ClassifyDock(viewer)
    viewer.window.add_dock_widget(dock, name='Classify chest radiograph', area='right')
    chosen = Path(path) if path is not None else _real_example()
    if chosen is None:
        viewer.open_sample('napari-cxr', 'synthetic')
    else:
        open_paths(viewer, [chosen])
    if dock.inputs.current_layer is None:
        return 1  # napari has shown why
    picture = Path(out or 'napari-cxr-demo.png').resolve()
    problem = ''

    def finish() -> None:
        viewer.reset_view()
        viewer.window.screenshot(str(picture), flash=False, canvas_only=False)
        viewer.close()

    def react() -> None:
        nonlocal problem
        if dock.busy:
            return
        problem = dock.message.text
        if headless:
            QTimer.singleShot(_SETTLE, finish)

    dock.settled.connect(react)
    dock.classify()
    napari.run()
    if headless and not problem:
        sys.stdout.write(f'{picture}\n')
    if problem:
        sys.stderr.write(f'{problem}\n')
    return 1 if problem else 0


def _real_example() -> Path | None:
    """Return a 12-bit radiograph whose lowest value is white, if there is one."""
    folder = os.environ.get('NAPARI_CXR_DATA')
    path = Path(folder, 'dicom_cxr', '966_fixed.dcm') if folder else None
    return path if path is not None and path.is_file() else None


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Classify a radiograph in napari.')
    parser.add_argument('file', nargs='?', help='a radiograph; by default an example')
    parser.add_argument('--headless', action='store_true', help='save a screenshot and end')
    parser.add_argument('--out', help='where the screenshot goes')
    given = parser.parse_args()
    sys.exit(main(given.file, given.headless, given.out))
