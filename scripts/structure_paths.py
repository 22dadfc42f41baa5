"""Do what a person does, for `structure.py`: open, classify, score or train.

    python structure_paths.py NAME FOLDER

in the environment that `structure.passed` makes. Nothing here imports the project.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from structure import LONGEST, contributions

#: Radiographs that are scored, and learnt from.
IMAGES = 24
#: Seconds without work after which a worker has got ready.
IDLE = 8.0


def main() -> None:
    """Take a path from where it begins to its end, and note files only meanwhile."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    # Where a window waits for an answer, say where.
    faulthandler.dump_traceback_later(3 * LONGEST, exit=True)
    try:
        {'open': _open, 'classify': _classify, 'score': _score, 'train': _train}[name](folder)
    except TimeoutError as error:
        print(f'{name}: {error}', *_said(), sep='\n', file=sys.stderr, flush=True)
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    # Neither torch nor napari has to end in good order.
    os._exit(code)


def _said() -> Iterator[str]:
    """Yield what the windows say, and the buttons' tool tips, which tell what is in the way."""
    if 'qtpy.QtWidgets' in sys.modules:
        from qtpy.QtWidgets import QApplication, QLabel, QPushButton

        for widget in QApplication.allWidgets():
            if isinstance(widget, QLabel | QPushButton) and widget.isVisible() and widget.text():
                yield f'    {widget.text()} [{widget.toolTip()}]'


def mark(on: bool) -> None:
    """Begin or end to note files."""
    path = Path(os.environ['STRUCTURE_HOOK']) / 'mark'
    with path.open('r+b') as file:
        file.write(bytes([on]))


def _open(folder: Path) -> None:
    """Drop a DICOM file on the viewer, until it is a layer."""
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent
    from qtpy.QtWidgets import QApplication

    dicom = folder / 'film.dcm'
    _write_dicom(dicom, _sample())
    viewer = _viewer()
    (canvas,) = (w for w in QApplication.allWidgets() if type(w).__name__ == 'QtViewer')
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(dicom))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    mark(True)
    drop = QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, mime, left, none)
    canvas.dropEvent(drop)
    _until(lambda: len(viewer.layers) == 1, 'no layer came')
    mark(False)


def _classify(folder: Path) -> None:
    """Click Classify, until something lies over the radiograph."""
    viewer = _viewer()
    viewer.open_sample('napari-cxr', contributions(_checkout())['sample_data'][0]['key'])
    layers = len(viewer.layers)
    dock = _dock(viewer, r'classify')
    button = _button(dock, 'Classify')
    _until(button.isEnabled, 'Classify stays disabled')
    _until(_idle(), 'the worker that loads the model goes on')
    mark(True)
    button.click()

    def there() -> bool:
        for other in _buttons(dock):
            if 'anyway' in other.text() and other.isVisible():
                other.click()
        return len(viewer.layers) > layers

    _until(there, 'no heatmap came')
    mark(False)


def _score(folder: Path) -> None:
    """Call ``napari-cxr score``, until the first row is kept."""
    _write_images(folder / 'images')
    out = folder / 'scores.csv'
    journal = out.with_name(f'{out.name}.journal')
    project = tomllib.loads((_checkout() / 'pyproject.toml').read_text(encoding='utf-8'))
    module, _, function = project['project']['scripts']['napari-cxr'].partition(':')
    words = ['napari-cxr', 'score', str(folder / 'images'), '--out', str(out), '--device', 'cpu']
    script = f'import sys; sys.argv = {words!r}; from {module} import {function}; {function}()'
    mark(True)
    scoring = subprocess.Popen([sys.executable, '-c', script], start_new_session=True)

    def there() -> bool:
        rows = journal.read_bytes().count(b'\n') > 1 if journal.exists() else out.exists()
        return rows or scoring.poll() is not None

    try:
        _until(there, 'no row came', pace=lambda: time.sleep(0.002))
        mark(False)
    finally:
        if scoring.poll() is None:
            os.killpg(scoring.pid, signal.SIGKILL)
    if scoring.returncode not in (None, 0) or not (journal.exists() or out.exists()):
        raise TimeoutError('scoring ended without a row')


def _train(folder: Path) -> None:
    """Click Train, until a model lies in the folder of the person's own."""
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent

    _write_images(folder / 'images')
    models = Path(os.environ['NAPARI_CXR_MODELS'])
    dock = _dock(_viewer(), r'train\b')
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder / 'images'))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    dock.dropEvent(QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, mime, left, none))
    button = _button(dock, 'Train')
    _settle(5)  # the images are looked at after a pause
    _until(button.isEnabled, 'Train stays disabled')
    _settle(5)
    _until(button.isEnabled, 'Train stays disabled')
    mark(True)
    button.click()
    _until(lambda: any(models.glob('*.safetensors')), 'no model came')
    _settle(1)  # until the docks know it
    mark(False)


def _checkout() -> Path:
    return Path(os.environ['STRUCTURE_CHECKOUT'])


def _viewer() -> Any:
    """Open napari, where the person has said once who shall read DICOM files."""
    import napari
    from napari.settings import get_settings

    get_settings().plugins.extension2reader = {'*.dcm': 'napari-cxr'}
    return napari.Viewer(show=True)


def _dock(viewer: Any, pattern: str) -> Any:
    """Open the dock whose name begins so."""
    names = [widget['display_name'] for widget in contributions(_checkout())['widgets']]
    (name,) = (name for name in names if re.match(pattern, name, re.IGNORECASE))
    _, dock = viewer.window.add_plugin_dock_widget('napari-cxr', name)
    return dock


def _buttons(dock: Any) -> list[Any]:
    from qtpy.QtWidgets import QPushButton

    return list(dock.findChildren(QPushButton))


def _button(dock: Any, text: str) -> Any:
    return next(button for button in _buttons(dock) if button.text() == text)


def _settle(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _events()


def _idle() -> Callable[[], bool]:
    """Return what tells whether the worker processes have done nothing for some seconds."""
    import psutil

    there = psutil.Process()
    last, since = -1.0, time.monotonic()

    def idle() -> bool:
        nonlocal last, since
        spent = 0.0
        for worker in there.children(recursive=True):
            with suppress(psutil.Error):
                spent += sum(worker.cpu_times()[:2])
        if spent > last + 0.05:
            last, since = spent, time.monotonic()
        return time.monotonic() - since > IDLE

    return idle


def _events() -> None:
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()
    time.sleep(0.01)


def _until(there: Callable[[], bool], otherwise: str, pace: Callable[[], None] = _events) -> None:
    end = time.monotonic() + LONGEST
    while not there():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        pace()


def _sample() -> Any:
    """Return the pixels of the synthetic radiograph that the plugin offers, 8 bits."""
    import numpy as np
    from npe2 import PluginManager

    plugins = PluginManager.instance()
    plugins.discover()
    sample = plugins.get_manifest('napari-cxr').contributions.sample_data[0]
    pixels = np.asarray(sample.open()[0][0], np.float32)
    low, high = pixels.min(), pixels.max()
    return ((pixels - low) / (high - low) * 255).astype(np.uint8)


def _write_images(folder: Path) -> None:
    """Write two classes of radiographs: with and without a bright spot in a lung."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    small = np.asarray(Image.fromarray(_sample()).resize((224, 256)), np.float32)
    y, x = np.mgrid[:256, :224]
    for i in range(IMAGES):
        label = ('normal', 'opacity')[i % 2]
        # Films of one phantom are taken for copies of each other, unless clouds lie over them.
        clouds = Image.fromarray(rng.normal(0, 60, (5, 4)).astype(np.float32))
        spot = np.exp(-((y - rng.normal(140, 9)) ** 2 + (x - rng.normal(60, 9)) ** 2) / 900)
        image = 0.6 * small + np.asarray(clouds.resize((224, 256), Image.Resampling.BICUBIC))
        image = 40 + image + 70 * spot * (i % 2) + rng.normal(0, 4, image.shape)
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / label / f'{i}.png')


def _write_dicom(path: Path, pixels: Any) -> None:
    """Write a radiograph of nobody as a digital X-ray image."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
    from pydicom.uid import generate_uid as uid

    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID, film.StudyInstanceUID, film.SeriesInstanceUID = uid(), uid(), uid()
    film.PatientName, film.PatientID = 'Nobody', '0'
    film.Modality, film.BodyPartExamined, film.ViewPosition = 'DX', 'CHEST', 'PA'
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, 'MONOCHROME2'
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 8, 8, 7, 0
    film.PixelSpacing = [0.4, 0.4]
    film.PixelData = pixels.tobytes()
    film.save_as(path, enforce_file_format=True)


if __name__ == '__main__':
    main()
