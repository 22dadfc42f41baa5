"""How long the first click on Classify in a fresh napari takes, beside another checkout.

    xvfb-run -a python benchmarks/first_click.py --other CHECKOUT [--rounds N]

Each turn is a napari of its own with one generated radiograph and the Classify dock, left alone
for five seconds, as a person looks at the image before clicking. Time runs from the click until
the heatmap's layer is there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ratios import note_ratio

from napari_cxr import samples

HERE = Path(__file__).parents[1]

_SESSION = """
import sys, time
import napari
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QApplication, QPushButton

def rest(milliseconds):
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()

viewer = napari.Viewer()
viewer.open(sys.argv[1], plugin='napari-cxr')
_, dock = viewer.window.add_plugin_dock_widget('napari-cxr', 'Classify chest radiograph')
rest(5000)
(button,) = [b for b in dock.findChildren(QPushButton) if b.text() == 'Classify']
began = time.perf_counter()
button.click()
while not any(layer.name.startswith('Grad-CAM') for layer in viewer.layers):
    QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
    if time.perf_counter() - began > 120:
        raise SystemExit('no heatmap came')
print(time.perf_counter() - began, flush=True)
viewer.close()
"""


def main() -> None:
    """Take turns, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--other', type=Path, required=True)
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        film = samples.write_phantom_dicom(Path(folder) / 'film.dcm', shape=(2500, 2048), seed=1)
        for number in range(options.rounds + 1):
            own, other = (click(one, film) for one in (HERE, options.other.resolve()))
            print(f'{own:.2f} s, there {other:.2f} s', flush=True)
            if number:  # the first fills the disk's cache
                ratios.append(own / other)
    note_ratio('the first click on Classify', 'the other checkout', ratios, '<= 0.4')


def click(checkout: Path, film: Path) -> float:
    """Return the seconds of the first click in a napari of its own."""
    done = subprocess.run(
        [sys.executable, '-c', _SESSION, str(film)],
        env={**os.environ, 'PYTHONPATH': str(checkout / 'src')},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


if __name__ == '__main__':
    main()
