"""What a second click on Classify costs, and how long it holds up the window.

    NAPARI_CXR_DATA=... python benchmarks/second_click.py [FILE...] [--clicks N]

Without files: three real ones where NAPARI_CXR_DATA names a folder of them, and a
synthetic uncompressed radiograph of 2800 x 2300 pixels.

Two figures for each file, both from one run:

* the time from the click until the heatmap layer has its data, over a bare forward
  pass of the same network plus decoding the same file, measured in a process of its
  own between the clicks (medians);
* the longest time that one event held the GUI thread, painting not counted; the first
  click, in which napari makes a layer with its controls, stands beside the later ones.

Needs a display; under Linux, `xvfb-run -a` will do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
        self.longest: tuple[float, str] = (0.0, '')
        self._depth = 0
        self._painting = 0.0

    def notify(self, receiver: QObject, event: QEvent) -> bool:
        """Deliver one event, as Qt asks, and time it."""
        kind = event.type()
        name = f'{kind} {type(receiver).__name__}'
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
            self.longest = max(self.longest, (time.perf_counter() - start - self._painting, name))
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
    """Click, and print a line a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs='*', type=Path)
    parser.add_argument('--clicks', type=int, default=9)
    given = parser.parse_args()
    paths = given.files
    made = tempfile.TemporaryDirectory()
    if not paths:
        paths = [Path(made.name) / 'uncompressed.dcm']
        samples.write_phantom_dicom(paths[0], shape=(2800, 2300))
        if 'NAPARI_CXR_DATA' in os.environ:
            folder = Path(os.environ['NAPARI_CXR_DATA']) / 'dicom_cxr'
            names = ('rsna_viral_2_.dcm', 'RG1_J2KI.dcm', '966_fixed.dcm')
            paths += [folder / name for name in names]
    app = TimedApplication()

    import napari

    from napari_cxr.plugin.classify.dock import ClassifyDock
    from napari_cxr.plugin.reader import open_paths

    bare = subprocess.Popen(
        [sys.executable, '-c', _BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stamped: list[float] = []

    def stamp() -> None:
        stamped.append(time.perf_counter())

    viewer = napari.Viewer()
    dock = ClassifyDock(viewer)
    viewer.window.add_dock_widget(dock, area='right')
    for path in paths:
        viewer.layers.clear()
        settle()  # napari's canvas crashes when layers go and come without a repaint between
        open_paths(viewer, [path])
        settle()
        clicks, bares, holds = [], [], []
        for number in range(given.clicks + 1):
            settle()
            app.longest = (0.0, '')
            start = time.perf_counter()
            dock.start.click()
            if number:  # the heatmap layer is there from the first click on
                heat = next(x for x in viewer.layers if x.name.startswith('Grad-CAM'))
                heat.events.data.connect(stamp)
            wait_for(dock.settled)
            holds.append(app.longest)
            assert not dock.message.text, dock.message.text
            bare.stdin.write(f'{path}\n')
            bare.stdin.flush()
            decoding, forward = map(float, bare.stdout.readline().split())
            if number:
                clicks.append(stamped.pop() - start)
                bares.append((decoding, forward))
                heat.events.data.disconnect(stamp)
        click = statistics.median(clicks)
        decoding = statistics.median(d for d, _ in bares)
        forward = statistics.median(f for _, f in bares)
        hold, what = max(holds[1:])
        note_ratio(
            f'a second click on Classify, {path.name}',
            'decoding and a bare forward pass',
            [c / sum(b) for c, b in zip(clicks, bares, strict=True)],
            '<= 1.5',
        )
        print(
            f'{path.name}: click {1000 * click:.0f} ms, decoding {1000 * decoding:.0f} ms, '
            f'forward {1000 * forward:.0f} ms, ratio {click / (decoding + forward):.2f}; '
            f'longest hold {1000 * hold:.0f} ms ({what}), first click {1000 * holds[0][0]:.0f} ms'
        )
    bare.communicate()
    viewer.close()
    made.cleanup()


if __name__ == '__main__':
    main()
