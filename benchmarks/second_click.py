"""What a second click on Classify costs, and how long it holds up the window.

    NAPARI_CXR_DATA=... python benchmarks/second_click.py [FILE...] [--clicks N]

Without files: three real ones where NAPARI_CXR_DATA names a folder of them, and a
synthetic uncompressed radiograph of 2800 x 2300 pixels.

Figures for each file, all from one run in a napari of its own:

* the time from a second click on a radiograph until the heatmap layer has its data, over a bare
  forward pass of the same network plus decoding the same file, measured in a process of its own
  between the clicks;
* the same of a click on another radiograph: a pixel was changed, so lungs, text and the frontal
  check are looked for again;
* the longest time that one event held the GUI thread, painting not counted; the first
  click, in which napari makes a layer with its controls, stands beside the later ones.

Needs a display; under Linux, `xvfb-run -a` will do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QEventLoop, QObject, QTimer
from qtpy.QtWidgets import QApplication
from ratios import note_ratio

from napari_cxr import samples

_PAINTING = {
    QEvent.Type.Paint,
    QEvent.Type.UpdateRequest,
    QEvent.Type.Expose,
    QEvent.Type.UpdateLater,
}
_BARE = """
import sys, time
import torch
from napari_cxr import image_files
from napari_cxr.inference.classifier import Classifier
classifier = Classifier.load('cxr3-resnet10')
for path in sys.stdin:
    path = path.rstrip('\\n')
    start = time.perf_counter()
    radiograph = image_files.read(path)
    decoded = time.perf_counter()
    image = classifier.prepare(radiograph).image
    x = torch.from_numpy(classifier.preprocessing.normalise(image[None]))
    ready = time.perf_counter()
    with torch.inference_mode():
        classifier.network(x)
    print(decoded - start, time.perf_counter() - ready, flush=True)
"""


class TimedApplication(QApplication):
    """Notes how long each event holds the GUI thread, painting inside it taken off."""

    def __init__(self) -> None:
        super().__init__(sys.argv[:1])
        self.longest = 0.0
        self._depth = 0
        self._painting = 0.0

    def notify(self, receiver: QObject, event: QEvent) -> bool:
        """Deliver one event, as Qt asks, and time it."""
        kind = event.type()
        start = time.perf_counter()
        if kind in _PAINTING:
            before = self._painting
            done = super().notify(receiver, event)
            self._painting = before + time.perf_counter() - start
            return done
        self._depth += 1
        if self._depth == 1:
            self._painting = 0.0
        done = super().notify(receiver, event)
        self._depth -= 1
        if self._depth == 0:
            self.longest = max(self.longest, time.perf_counter() - start - self._painting)
        return done


def wait_for(signal, seconds: float = 120) -> None:
    """Run the event loop until a signal comes."""
    loop = QEventLoop()
    signal.connect(loop.quit)
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()
    signal.disconnect(loop.quit)


def settle(milliseconds: int = 300) -> None:
    """Let the window repaint."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def main() -> None:
    """Measure each file in a process of its own, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='*', type=Path)
    parser.add_argument('--clicks', type=int, default=9)
    parser.add_argument('--here', action='store_true', help='measure one file in this process')
    given = parser.parse_args()
    if given.here:
        print(json.dumps(clicks_on(given.files[0], given.clicks)))
        return
    failed = []
    with tempfile.TemporaryDirectory() as made:
        paths = given.files
        if not paths:
            paths = [Path(made) / 'uncompressed.dcm']
            samples.write_phantom_dicom(paths[0], shape=(2800, 2300))
            if 'NAPARI_CXR_DATA' in os.environ:
                folder = Path(os.environ['NAPARI_CXR_DATA']) / 'dicom_cxr'
                names = ('rsna_viral_2_.dcm', 'RG1_J2KI.dcm', '966_fixed.dcm')
                paths += [folder / name for name in names]
        for path in paths:
            if not measure(path, given.clicks):
                failed.append(path.name)
    if failed:
        raise SystemExit(f'Not measured: {", ".join(failed)}.')


def measure(path: Path, clicks: int) -> bool:
    """Measure one file in a napari of its own; a canvas that crashes has a second try."""
    command = [sys.executable, __file__, '--here', str(path), '--clicks', str(clicks)]
    for _ in range(2):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.stdout:  # it may have crashed afterwards, as its window was closed
            break
        print(f'{path.name}: napari ended with {done.returncode}', file=sys.stderr)
    else:
        return False
    found = json.loads(done.stdout)
    bares = [sum(one['bare']) for one in found]
    for kind, aim in (('again', '<= 1.5'), ('other', '')):
        what = {'again': 'a second click on Classify', 'other': 'a click on another radiograph'}
        if ratios := [
            one[kind] / bare for one, bare in zip(found, bares, strict=True) if kind in one
        ]:
            over = 'decoding and a bare forward pass'
            note_ratio(f'{what[kind]}, {path.name}', over, ratios, aim)

    def middle(values: Iterable[float]) -> str:
        return f'{1000 * statistics.median(values):.0f} ms'

    others = [one['other'] for one in found if 'other' in one]
    print(
        f'{path.name}: click {middle(one["again"] for one in found)}, '
        + (f'on another radiograph {middle(others)}, ' if others else '')
        + f'decoding {middle(one["bare"][0] for one in found)}, '
        f'forward {middle(one["bare"][1] for one in found)}, '
        f'longest hold {1000 * max(one["hold"] for one in found):.0f} ms, '
        f'of the first click {1000 * found[0]["first hold"]:.0f} ms',
        flush=True,
    )
    return True


def clicks_on(path: Path, clicks: int) -> list[dict[str, Any]]:
    """Click again and again on one file.

    Returns
    -------
    list of dict
        For each turn: seconds of a second click (``again``), of a click after a pixel was changed,
        so that everything is looked at anew (``other``; left out where the model is shown another
        decoding than the layer), of decoding and a forward pass (``bare``), and for how long one
        event held the window (``hold``, ``first hold``).
    """
    app = TimedApplication()

    import napari

    from napari_cxr.plugin.classify.dock import ClassifyDock
    from napari_cxr.plugin.reader import open_paths

    bare = subprocess.Popen(
        [sys.executable, '-c', _BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stamped: list[float] = []
    viewer = napari.Viewer()
    dock = ClassifyDock(viewer)
    viewer.window.add_dock_widget(dock, area='right')
    (film,) = open_paths(viewer, [path])

    def click() -> float:
        settle()
        stamped.clear()
        app.longest = 0.0
        start = time.perf_counter()
        dock.start.click()
        wait_for(dock.settled)
        assert not dock.message.text, dock.message.text
        return stamped[-1] - start if stamped else 0.0

    def without_napari() -> list[float]:
        bare.stdin.write(f'{path}\n')
        bare.stdin.flush()
        return [float(seconds) for seconds in bare.stdout.readline().split()]

    click()
    without_napari()
    first_hold = app.longest
    # The heatmap's layer is there from the first click on.
    (heat,) = (layer for layer in viewer.layers if layer.name.startswith('Grad-CAM'))
    heat.events.data.connect(lambda: stamped.append(time.perf_counter()))
    whole = dock.answer.prediction.decoded == '1'
    found = []
    for _ in range(clicks):
        one: dict[str, Any] = {'first hold': first_hold}
        if whole:
            film.data[0, 0] ^= 1
            one['other'] = click()
        one |= {'again': click(), 'hold': app.longest}
        one['bare'] = without_napari()
        found.append(one)
    bare.communicate()
    return found


if __name__ == '__main__':
    main()
