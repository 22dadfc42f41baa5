"""Save pictures of every dock, in given sizes, scales and themes, on synthetic radiographs.

    xvfb-run -s "-screen 0 2600x1500x24" python scripts/pictures.py OUT
    xvfb-run -s "-screen 0 2600x1500x24" python scripts/pictures.py docs/images --documents

Each picture is that of the whole window, as the screen shows it: OUT/SCENE-SIZE-SCALE-THEME.png,
with the width of the dock where one was asked for. Sizes are those of the screen, so 1280x720
at a scale of 1.25 is the same window with larger letters. With --documents, OUT/SCENE.png are the
pictures of the documentation, in the sizes of `DOCUMENTS` and in few colours.

Phantoms are scored with the bundled model, which knows no phantoms: no figure on the pictures
means anything, and no patient is on them. KEEP, if given, is a folder for all that is made; what
is there is not made again. A dock that does not get where it should within ten minutes is an
error that says what it shows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import make_phantoms
from PIL import Image

#: How many phantoms there are.
CASES = 24
#: Time that anything may take, and for the last repaint, in milliseconds.
WAIT, SETTLE = 600_000, 700
#: Readers of the table, and on how many of its images they answer like the first.
READERS = {'Anna': 24, 'Ben': 20}


@dataclass(frozen=True)
class Cases:
    """What is shown.

    Parameters
    ----------
    folder : Path
        Where all of it is.
    images : Path
        Phantoms, a folder for each class.
    table : Path
        Their scores.
    """

    folder: Path

    @property
    def images(self) -> Path:
        return self.folder / 'Chest clinic'

    @property
    def table(self) -> Path:
        return self.folder / 'scores.csv'

    @property
    def first(self) -> Path:
        return min((self.images / 'pneumonia').rglob('*.*'))


def main() -> int:
    """Make what is shown, and take the pictures of each scale in a process of its own."""
    given = _arguments()
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Nobody's own models and choices are on the pictures, or changed by them.
        for name in ('XDG_DATA_HOME', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'NAPARI_CXR_MODELS'):
            os.environ[name] = str(folder / name.lower())
        (folder / 'home').mkdir(parents=True, exist_ok=True)
        os.environ['HOME'] = str(folder / 'home')
        cases = Cases(folder)
        if given.scale:
            take(cases, given)
            return 0
        prepare(cases)
        for scale in given.scales:
            command = [sys.executable, __file__, str(given.out), '--keep', str(folder)]
            command += ['--scale', str(scale), *['--documents'] * given.documents]
            command += ['--sizes', *given.sizes, '--themes', *given.themes]
            command += ['--widths', *map(str, given.widths)]
            command += ['--scenes', *given.scenes] if given.scenes else []
            subprocess.run(command, check=True, env={**os.environ, 'QT_SCALE_FACTOR': str(scale)})
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Save pictures of every dock.')
    parser.add_argument('out', type=Path, help='folder of the pictures')
    parser.add_argument('--scenes', nargs='+', default=[], choices=list(SCENES))
    parser.add_argument('--sizes', nargs='+', default=['1280x720'], help='of the window')
    parser.add_argument('--scales', nargs='+', type=float, default=[1.0])
    parser.add_argument('--themes', nargs='+', default=['dark'], choices=['dark', 'light'])
    parser.add_argument('--widths', nargs='+', type=int, default=[0], help='of the dock')
    parser.add_argument(
        '--documents', action='store_true', help='those of the documentation, as they are there'
    )
    parser.add_argument('--keep', type=Path, help='folder for what is made')
    parser.add_argument('--scale', type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(cases: Cases) -> None:
    """Draw phantoms, score them, and let two readers label them."""
    plans = make_phantoms.plan(
        cases.images, CASES, seed=3, forms=make_phantoms.FORMS, long_side=840
    )
    make_phantoms.make([one for one in plans if not one.path.exists()])
    if cases.table.exists():
        return
    command = [sys.executable, '-m', 'napari_cxr.cli', 'score', str(cases.images)]
    command += ['--out', str(cases.table), '--device', 'cpu', '--labels', 'folders']
    subprocess.run([*command, '--lung-share', '--quiet'], check=True)
    from napari_cxr.scoring.annotation import ReadingCircumstances
    from napari_cxr.scoring.annotation.readers import Reader
    from napari_cxr.scoring.annotation.reading_list import ReadingList
    from napari_cxr.scoring.table_reader import read_rows

    run, found = read_rows(cases.table)
    rows = list(found)
    for name, alike in READERS.items():
        reading = ReadingList.open(cases.table, run.labels, reader=Reader(name))
        for place, row in enumerate(rows):
            positive = ('normal' in row.path) is (place >= alike)
            how = ReadingCircumstances(seconds=6.0 + place % 7, blinded=True)
            reading.set(row.path, run.labels[-1:] if positive else run.labels[:-1][:1], how=how)
        reading.close()


# -- what is shown ---------------------------------------------------------------------------


def opened_dock(viewer: Any, name: str) -> Any:
    """Open a dock and return it."""
    from napari_cxr.plugin.docks import open_dock

    before = set(viewer.window.dock_widgets)
    open_dock(viewer, name)
    (new,) = set(viewer.window.dock_widgets) - before
    return viewer.window.dock_widgets[new]


def radiograph(viewer: Any, cases: Cases) -> Any:
    """Open a phantom with an opacity, and return its layer once it holds the pixels."""
    from napari_cxr.plugin.layers import KEY

    viewer.open(str(cases.first), plugin='napari-cxr')
    until(lambda: any('radiograph' in layer.metadata.get(KEY, {}) for layer in viewer.layers))
    return viewer.layers[0]


def empty(name: str) -> Callable[[Any, Cases], Any]:
    """Return a scene of a dock as it is at first."""
    return lambda viewer, cases: opened_dock(viewer, name)


def classified(viewer: Any, cases: Cases) -> Any:
    """Classify a radiograph."""
    radiograph(viewer, cases)
    dock = opened_dock(viewer, 'Classify chest radiograph')
    until(lambda: dock.start.isEnabled() and not dock.inputs.is_opening, dock)
    dock.start.click()
    until(lambda: dock.answer is not None, dock)
    return dock


def on_a_radiograph(name: str) -> Callable[[Any, Cases], Any]:
    """Return a scene of a dock beside a radiograph."""

    def scene(viewer: Any, cases: Cases) -> Any:
        radiograph(viewer, cases)
        return opened_dock(viewer, name)

    return scene


def batch(viewer: Any, cases: Cases) -> Any:
    """Open a table, and a row of it."""
    dock = opened_dock(viewer, 'Score a folder')
    dock.open_table(str(cases.table))
    until(lambda: not dock.busy and len(dock.panel.table.rows()) == CASES)
    read_as(dock, 'Anna', blinded=False)
    return dock


def read_as(dock: Any, name: str, *, blinded: bool) -> None:
    """Choose a reader of a table, and open a row."""
    from napari_cxr.plugin.annotation.reader_dialog import ReadingChoice
    from napari_cxr.scoring.annotation.readers import Reader

    dock.annotation.set_reading(ReadingChoice(Reader(name), blinded=blinded))
    until(lambda: dock.annotation.annotations is not None)
    dock.annotation.step(1)
    until(lambda: dock.annotation.opener.on_screen and not dock.annotation.opener.pending)
    until(lambda: not dock.panel.activity.text())  # with its heatmap, where it has one


def blinded(viewer: Any, cases: Cases) -> Any:
    """Read a table blinded."""
    dock = batch(viewer, cases)
    read_as(dock, 'Carl', blinded=True)
    dock.panel.show_page(dock.panel.annotation)
    return dock


def readers(viewer: Any, cases: Cases) -> Any:
    """Compare the readers of a table."""
    dock = batch(viewer, cases)
    dock.panel.show_page(dock.panel.agreement)
    until(lambda: 'agree on' in dock.panel.agreement.text.text())
    dock.panel.agreement.details.set_open(True)
    return dock


def untrained(viewer: Any, cases: Cases) -> Any:
    """Show what each way to train would cost here."""
    dock = opened_dock(viewer, 'Train a classifier')
    costs = dock.setup.choices.costs.values()
    until(lambda: all('GB' in label.text() for label in costs), dock)
    return dock


def training(viewer: Any, cases: Cases) -> Any:
    """Look through the images to train on."""
    dock = opened_dock(viewer, 'Train a classifier')
    dock.setup.set_source(str(cases.images))
    until(lambda: dock.survey is not None and not dock.busy, dock)
    return dock


def evaluated(viewer: Any, cases: Cases) -> Any:
    """Evaluate a model on the images."""
    dock = opened_dock(viewer, 'Evaluate a model')
    dock.setup.choose_models('cxr-opacity')
    dock.setup.set_images(str(cases.images))
    dock.setup.out.setText(str(cases.folder / 'evaluation'))
    dock.setup.classes.setText('opacity = pneumonia; none = normal')
    until(dock.start.isEnabled, dock)
    dock.start.click()
    until(lambda: dock.finished is not None and not dock.busy, dock)
    return dock


def marked(viewer: Any, cases: Cases) -> Any:
    """Draw a box around a finding."""
    layer = radiograph(viewer, cases)
    dock = opened_dock(viewer, 'Mark findings')
    dock.finding.setText('opacity')
    dock.reader.setText('R1')
    dock.draw(boxes=True)
    rows, columns = layer.data.shape[:2]
    corners = [[0.42 * rows, 0.12 * columns], [0.7 * rows, 0.4 * columns]]
    viewer.layers['Marked regions'].add_rectangles([corners])
    return dock


def measured(viewer: Any, cases: Cases) -> Any:
    """Show the tools of a radiograph."""
    radiograph(viewer, cases)
    return opened_dock(viewer, 'Chest radiograph')


def studies(viewer: Any, cases: Cases) -> Any:
    """List the studies of a folder."""
    dock = opened_dock(viewer, 'Studies')
    dock.open_source(cases.images)
    until(lambda: not dock.busy, dock)
    dock.tree.expandAll()
    return dock


SCENES: dict[str, Callable[[Any, Cases], Any]] = {
    'classify-empty': empty('Classify chest radiograph'),
    'classify': classified,
    'batch-empty': empty('Score a folder'),
    'batch': batch,
    'batch-blinded': blinded,
    'batch-readers': readers,
    'train-empty': untrained,
    'train': training,
    'runs-empty': empty('Training runs'),
    'feature-maps': on_a_radiograph('Feature maps'),
    'radiograph': on_a_radiograph('Chest radiograph'),
    'header-tags': on_a_radiograph('Header tags'),
    'studies-empty': empty('Studies'),
    'studies': studies,
    'evaluate-empty': empty('Evaluate a model'),
    'evaluate': evaluated,
    'mark-findings': marked,
    'open-options': empty('Open with options'),
    'save-picture': on_a_radiograph('Save picture'),
}

#: Of the documentation: size of the window, and width of the dock.
DOCUMENTS = {
    'classify': ('1240x800', 340),
    'batch': ('1440x900', 640),
    'batch-blinded': ('1240x800', 420),
    'batch-readers': ('1240x800', 420),
    'train-empty': ('1240x800', 480),
    'evaluate': ('1240x800', 520),
    'radiograph': ('1100x700', 340),
    'studies': ('1240x800', 420),
    'header-tags': ('1240x800', 480),
    'mark-findings': ('1100x700', 340),
    'save-picture': ('1100x700', 340),
}


# -- pictures --------------------------------------------------------------------------------


def take(cases: Cases, given: argparse.Namespace) -> None:
    """Take the pictures of one scale: of each scene in each theme, all sizes and widths."""
    import napari

    from napari_cxr.plugin.preferences import save_preferences

    given.out.mkdir(parents=True, exist_ok=True)
    scenes = given.scenes or list(DOCUMENTS if given.documents else SCENES)
    for theme in given.themes:
        for name in scenes:
            save_preferences('batch', device='cpu', images='', table='', shown='', reader='')
            viewer = napari.Viewer(title='napari-cxr', show=True)
            viewer.theme = theme
            shapes = list(_shapes(given.sizes, given.widths))
            if given.documents:
                shapes = [DOCUMENTS.get(name, shapes[0])]
            viewer.window.resize(*_window(shapes[0][0], given.scale))
            dock = SCENES[name](viewer, cases)
            for size, width in shapes:
                viewer.window.resize(*_window(size, given.scale))
                if width:
                    widen(dock, width)
                pause(SETTLE)
                viewer.status = 'Ready'  # not of a pixel under a pointer that is not there
                pause(60)
                parts = [name, size, f'{given.scale:g}', theme, *([f'{width}px'] * bool(width))]
                path = given.out / f'{name if given.documents else "-".join(parts)}.png'
                save(viewer, path)
                if given.documents:
                    few_colours(path)
            viewer.close()
            pause(100)


def _shapes(sizes: Sequence[str], widths: Sequence[int]) -> Iterator[tuple[str, int]]:
    return ((size, width) for size in sizes for width in widths)


def _window(size: str, scale: float) -> tuple[int, int]:
    width, height = size.split('x')
    return round(int(width) / scale), round(int(height) / scale)


def widen(dock: Any, width: int) -> None:
    """Give a dock a width in pixels."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QDockWidget

    place = dock
    while not isinstance(place, QDockWidget):
        place = place.parent()
    place.parent().resizeDocks([place], [width], Qt.Orientation.Horizontal)


def save(viewer: Any, path: Path) -> None:
    """Save what the screen shows of a window, and say so where something is cut."""
    window = viewer.window._qt_window
    shot = window.screen().grabWindow(0)
    ratio = shot.devicePixelRatio()
    frame = window.frameGeometry()
    shot = shot.copy(
        *(round(ratio * each) for each in (frame.x(), frame.y(), frame.width(), frame.height()))
    )
    shot.save(str(path))
    print(f'{path}: {shot.width()}x{shot.height()}')


def few_colours(path: Path) -> None:
    """Store a picture in as many colours as a screen of greys and one colour scale needs."""
    with Image.open(path) as picture:
        few = picture.convert('RGB').quantize(256, kmeans=3, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def until(done: Callable[[], object], dock: Any = None) -> None:
    """Let Qt work until something has come about.

    Raises
    ------
    RuntimeError
        If a dock says what is wrong instead, or nothing comes of it; with what it shows.
    """
    from qtpy.QtCore import QElapsedTimer

    clock = QElapsedTimer()
    clock.start()
    while not done():
        message = getattr(getattr(dock, 'message', None), 'text', '')
        if message or clock.hasExpired(WAIT):
            status = getattr(dock, 'status', None)
            shown = message or (status.text() if status is not None else 'nothing')
            raise RuntimeError(f'{type(dock).__name__} has not got there; it shows: {shown}')
        pause(50)


def pause(milliseconds: int) -> None:
    """Let Qt work for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == '__main__':
    sys.exit(main())
