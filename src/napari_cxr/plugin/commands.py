"""One-shot commands in napari's menus and palette."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari.viewer

__all__ = ['open_files', 'open_folder', 'show_lungs', 'synthetic_radiograph']


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

    from napari_cxr.plugin.reader import get_reader, read_pictures
    from napari_cxr.plugin.settings import remember
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
            show_error(f'{path.name} could not be opened. {error}')
    if paths:
        remember('layers', folder=str(paths[0].parent))
    return opened


def show_lungs(viewer: napari.viewer.Viewer) -> None:
    """Find the lungs of the chosen radiograph and lay them on it, as a layer to edit.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose selected radiograph is meant; its topmost one if none is selected.
    """
    from napari_cxr.plugin.lungs.command import show_lungs as show

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
    from napari_cxr.plugin.settings import preferences

    folder: str = preferences('layers').folder
    return folder if folder and Path(folder).is_dir() else ''
