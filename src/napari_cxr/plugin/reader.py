"""How images get into napari: the reader for DICOM files and folders, and the menu commands.

The reader takes every DICOM image file by file, and never stacks what is no stack. The commands
stand in napari's menus and palette. Everything heavy is imported where it is needed: napari
imports this module as soon as any file is opened.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr import dicom, image_files
from napari_cxr.output_text import terminal_line
from napari_cxr.workers.decoder_pool import shared_decoder

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    'compare_side_by_side',
    'current_viewer',
    'get_reader',
    'last_folder',
    'open_files',
    'open_folder',
    'open_left_out',
    'open_paths',
    'read',
    'show_lungs',
]

LayerData = tuple[Any, ...]

#: How many files of a folder are looked at before it is taken for one with images, and for how
#: many seconds.
_FILES_PROBED = 2000
_PROBING = 0.3


def get_reader(
    path: str | list[str],
) -> Callable[[str | list[str]], list[LayerData] | list[tuple[None]]] | None:
    """Return `read` for DICOM files and for folders with images in them, else None.

    Looks at the first bytes of files only. A file that calls itself DICOM and is
    not is taken all the same: `read` says in one sentence what is wrong with it,
    where napari's own reader might show another file's pixels. napari asks about a folder
    only when a person has chosen this reader for it.

    Parameters
    ----------
    path : str or list of str
        One path, or several when the person asked for a stack.
    """
    paths = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
    # The process starts while napari still makes up its mind.
    if any(map(_is_ours, paths)):
        shared_decoder().start()
        return read
    return None


def read(path: str | list[str]) -> list[LayerData] | list[tuple[None]]:
    """Read DICOM files, each into a layer of its own; never stacks what is no stack.

    Returns within about a second while napari's window would stand still: what is not open by
    then is represented by a placeholder, and takes its place when it is there. A script waits
    for its layers. Raises nothing: napari would suggest its own reader instead, which may
    show another file.

    Returns
    -------
    list of LayerData
        The layers; a single (None,) where nothing could be opened, which a message has said.
    """
    given = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
    return _open(given, current_viewer()) or [(None,)]


def _open(paths: list[Path], viewer: Any) -> list[LayerData]:
    """Return the layers of files and folders, as soon as may be expected; see `read`."""
    if _window_waits():
        from napari_cxr.plugin.opening import Opening

        return Opening(paths, viewer).layers_within()
    from napari_cxr.plugin.image_opening import OpeningResult, open_images
    from napari_cxr.plugin.preferences import preferences

    result = OpeningResult()
    layers: list[LayerData] = []
    for event in open_images(paths, preferences('layers').file_names):
        layers += result.take(event) if event is not None else []
    if viewer is None:
        _notify(result.problem, result.notice)
        return layers
    from napari_cxr.plugin.opening import report
    from napari_cxr.plugin.radiograph import prepare_viewer

    report(result, viewer)
    return prepare_viewer(viewer).arriving(layers)


def _window_waits() -> bool:
    """Tell whether napari's window stands still while this code runs.

    It does if Qt runs the event that led here. A script, or a notebook's cell, keeps nobody
    but itself waiting, and expects a layer with its pixels.
    """
    if 'qtpy' not in sys.modules:
        return False
    from qtpy.QtCore import QCoreApplication, QThread

    application, thread = QCoreApplication.instance(), QThread.currentThread()
    return (
        application is not None
        and thread is not None
        and thread == application.thread()
        and thread.loopLevel() > 0
    )


def current_viewer() -> Any:
    """Return the viewer that most likely asks; napari's readers are not told."""
    if 'napari.viewer' not in sys.modules:
        return None
    from napari import current_viewer

    from napari_cxr.plugin.opening import viewers
    from napari_cxr.plugin.radiograph import prepare_viewer

    for viewer in viewers():
        prepare_viewer(viewer)
    return current_viewer()


def _is_ours(path: Path) -> bool:
    """Tell whether a path is DICOM, or a folder in which there may be an image."""
    if path.is_dir():
        deadline = time.monotonic() + _PROBING
        for probed, file in enumerate(_visible_files(path), 1):
            # Not knowing is no reason to leave it to a reader that takes it for one series.
            enough = probed == _FILES_PROBED or time.monotonic() > deadline
            if enough or _is_named_dicom(file) or image_files.is_image(file):
                return True
        return False
    return _is_named_dicom(path) or dicom.is_dicom(path)


def _is_named_dicom(path: Path) -> bool:
    return path.suffix.lower() in ('.dcm', '.dicom')


def _visible_files(folder: Path) -> Iterator[Path]:
    """Return the files below a folder, as `files.find_images` would look at them."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith('.'))


def _notify(problem: str, notice: str) -> None:
    from napari.utils.notifications import show_info, show_warning

    if problem:
        show_warning(problem)
    if notice:
        show_info(notice)


def open_files(viewer: napari.viewer.Viewer) -> None:
    """Ask for files of any name, recognise them by content, and open them.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to open them.
    """
    from qtpy.QtWidgets import QApplication, QFileDialog

    chosen, _ = QFileDialog.getOpenFileNames(
        QApplication.activeWindow(), 'Open chest radiographs', last_folder(), 'All files (*)'
    )
    open_paths(viewer, [Path(path) for path in chosen])


def open_folder(viewer: napari.viewer.Viewer) -> None:
    """Ask for a folder and open the DICOM files in it.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to open them.
    """
    from qtpy.QtWidgets import QApplication, QFileDialog

    chosen = QFileDialog.getExistingDirectory(
        QApplication.activeWindow(), 'Open a folder of chest radiographs', last_folder()
    )
    if chosen:
        open_paths(viewer, [Path(chosen)])


def open_paths(viewer: Any, paths: list[Path]) -> list[Any]:
    """Open radiographs and folders with our reader, other files with napari's.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Where to open them.
    paths : list of Path
        Files or folders.

    Returns
    -------
    list of layer
        What was opened; what could not be opened is reported by napari.
    """
    from napari.layers import Layer
    from napari.utils.notifications import show_error

    from napari_cxr.plugin.preferences import save_preferences
    from napari_cxr.plugin.radiograph import prepare_viewer
    from napari_cxr.rasters import is_raster

    prepare_viewer(viewer)
    ours = [path for path in paths if _is_ours(path) or is_raster(path)]
    opened: list[Any] = []
    for path in paths:
        if path not in ours:
            try:
                opened += viewer.open(str(path), plugin='napari')
            except (OSError, ValueError) as error:
                show_error(terminal_line(f'{path.name} could not be opened. {error}'))
    if ours:
        # Not by `viewer.open`: a DICOM file without an extension matches no pattern, and a PNG
        # would be napari's.
        opened += [viewer.add_layer(Layer.create(*data)) for data in _open(ours, viewer)]
    if paths:
        save_preferences('layers', folder=str(paths[0].parent))
    return opened


def open_left_out(viewer: napari.viewer.Viewer) -> None:
    """Open the images that were left out when a folder was opened, a few dozen at a time.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the folder was opened.
    """
    from napari.utils.notifications import show_info

    from napari_cxr.plugin.opening import open_what_was_left_out

    if not open_what_was_left_out(viewer):
        show_info('No images were left out: all of the last folder are open.')


def compare_side_by_side(viewer: napari.viewer.Viewer) -> None:
    """Lay two radiographs side by side, or show one alone again.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose two selected radiographs are meant; else the one on show and the one before it.
    """
    from napari.utils.notifications import show_info

    from napari_cxr.plugin.radiograph import prepare_viewer

    problem = prepare_viewer(viewer).compare()
    if problem:
        show_info(problem)


def show_lungs(viewer: napari.viewer.Viewer) -> None:
    """Find the lungs of the chosen radiograph and lay them on it, as a layer to edit.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose selected radiograph is meant; its topmost one if none is selected.
    """
    from napari_cxr.plugin.lungs_controller import show_lung_field as show

    show(viewer)


def last_folder() -> str:
    """Return the folder where a radiograph was opened last, if it is still there."""
    from napari_cxr.plugin.preferences import preferences

    folder: str = preferences('layers').folder
    return folder if folder and Path(folder).is_dir() else ''
