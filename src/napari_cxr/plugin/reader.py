"""How images get into napari: the reader for DICOM files and folders, and the menu commands.

The reader takes every DICOM image file by file, and never stacks what is no stack. The commands
stand in napari's menus and palette. Everything heavy is imported where it is needed: napari
imports this module as soon as any file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr import dicom, image_files
from napari_cxr.output_text import terminal_line
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.workers.decoder_pool import shared_decoder

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    'FOLDER_LIMIT',
    'get_reader',
    'open_files',
    'open_folder',
    'read',
    'read_pictures',
    'show_lungs',
    'synthetic_radiograph',
]

LayerData = tuple[Any, ...]

#: A folder with more images than this opens its first only: napari slows down with many layers.
FOLDER_LIMIT = 36

#: How many files of a folder are looked at before deciding that it holds no DICOM.
_FILES_PROBED = 2000


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read` for DICOM files and for folders with DICOM in them, else None.

    Looks at the first bytes of files only. A file that calls itself DICOM and is
    not is taken all the same: `read` says in one sentence what is wrong with it,
    where napari's own reader might show another file's pixels.

    Parameters
    ----------
    path : str or list of str
        One path, or several when the person asked for a stack.
    """
    paths = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
    # The process starts while napari still makes up its mind.
    if paths and all(map(_is_ours, paths)):
        shared_decoder().start()
        return read
    return None


def read_pictures(path: str) -> list[LayerData]:
    """Read a PNG, JPEG or TIFF into a layer that keeps its name, as napari's own reader does.

    Raises
    ------
    UnreadableImage
        If it cannot be opened, with the reason.
    """
    from napari_cxr.plugin.layers import radiograph_layer_data

    radiograph = shared_decoder().read(path)
    return [radiograph_layer_data(radiograph, Path(path).stem)]


def read(path: str | list[str]) -> list[LayerData]:
    """Read DICOM files, each into a layer of its own; never stacks what is no stack.

    Raises
    ------
    UnreadableImage
        If nothing could be opened, with the reason.
    """
    from napari_cxr.plugin.layers import overlay_layers_data, radiograph_layer_data
    from napari_cxr.plugin.preferences import preferences

    names = preferences('layers').file_names
    given = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
    wanted, notices = _expand(given)
    layers: list[LayerData] = []
    failures: list[str] = []
    for file in wanted:
        try:
            radiograph = shared_decoder().read(file)
        except UnreadableImage as error:
            failures.append(f'{file.name}: {error}')
            continue
        if radiograph.refusal:
            notices.append(f'{file.name}: {radiograph.refusal} It is shown, but not classified.')
        layer = radiograph_layer_data(radiograph, file.stem if names else '')
        layers += [layer, *overlay_layers_data(radiograph, layer[1])]
    if not layers:
        raise UnreadableImage('\n'.join(failures) or 'There is no image in this folder.')
    _notify(failures, notices)
    return layers


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return any(map(dicom.is_dicom, islice(_visible_files(path), _FILES_PROBED)))
    return path.suffix.lower() in ('.dcm', '.dicom') or dicom.is_dicom(path)


def _visible_files(folder: Path) -> Iterator[Path]:
    """Return the files below a folder, as `files.find_images` would look at them."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith('.'))


def _expand(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """Return the files to open, and notices about those that are left out."""
    wanted: list[Path] = []
    notices: list[str] = []
    for path in paths:
        if not path.is_dir():
            wanted.append(path)
            continue
        images = [file for file in image_files.find_images(path) if dicom.is_dicom(file)]
        if len(images) > FOLDER_LIMIT:
            notices.append(
                f'{path.name} holds {len(images)} DICOM files: the first was opened. '
                'Open the others by choosing them, or score the folder from the command line '
                'with `napari-cxr classify`.'
            )
            images = images[:1]
        wanted.extend(images)
    return wanted, notices


def _notify(failures: list[str], notices: list[str]) -> None:
    from napari.utils.notifications import show_info, show_warning

    if failures:
        show_warning('Not opened:\n' + '\n'.join(map(terminal_line, failures[:10])))
    if notices:
        show_info('\n'.join(map(terminal_line, notices[:10])))


def open_files(viewer: napari.viewer.Viewer) -> None:
    """Ask for files of any name, recognise them by content, and open them.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to open them.
    """
    from qtpy.QtWidgets import QApplication, QFileDialog

    chosen, _ = QFileDialog.getOpenFileNames(
        QApplication.activeWindow(), 'Open chest radiographs', _last_folder(), 'All files (*)'
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
        QApplication.activeWindow(), 'Open a folder of chest radiographs', _last_folder()
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
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.rasters import is_raster

    opened: list[Any] = []
    for path in paths:
        read = get_reader(str(path)) or (read_pictures if is_raster(path) else None)
        try:
            if read is None:
                opened += viewer.open(str(path), plugin='napari')
            else:
                # Not by `viewer.open`: a DICOM file without an extension matches no pattern,
                # and a PNG would be napari's.
                opened += [viewer.add_layer(Layer.create(*data)) for data in read(str(path))]
        except (UnreadableImage, OSError, ValueError) as error:
            show_error(terminal_line(f'{path.name} could not be opened. {error}'))
    if paths:
        save_preferences('layers', folder=str(paths[0].parent))
    return opened


def show_lungs(viewer: napari.viewer.Viewer) -> None:
    """Find the lungs of the chosen radiograph and lay them on it, as a layer to edit.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose selected radiograph is meant; its topmost one if none is selected.
    """
    from napari_cxr.plugin.lungs_controller import show_lung_field as show

    show(viewer)


def synthetic_radiograph() -> list[tuple[Any, ...]]:
    """Return a synthetic chest radiograph, for trying things out without a patient."""
    import tempfile

    from napari_cxr import dicom, samples
    from napari_cxr.plugin.layers import radiograph_layer_data

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'synthetic.dcm'
        samples.write_phantom_dicom(path)
        return [radiograph_layer_data(dicom.read(path), 'Synthetic chest radiograph')]


def _last_folder() -> str:
    from napari_cxr.plugin.preferences import preferences

    folder: str = preferences('layers').folder
    return folder if folder and Path(folder).is_dir() else ''
