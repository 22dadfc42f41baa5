"""The napari reader: every DICOM image file by file, and folders of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from napari_cxr import dicom, files
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.workers.decoding import shared_decoder

__all__ = ['FOLDER_LIMIT', 'get_reader', 'read', 'read_pictures']

LayerData = tuple[Any, ...]

#: A folder with more images than this opens its first only: napari slows down with many layers.
FOLDER_LIMIT = 36
#: How many files of a folder are looked at before deciding that it holds no DICOM.
_GLANCE = 2000


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
    from napari_cxr.plugin.settings import preferences

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
    _tell(failures, notices)
    return layers


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return any(map(dicom.is_dicom, islice(_visible_files(path), _GLANCE)))
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
        images = [file for file in files.find_images(path) if dicom.is_dicom(file)]
        if len(images) > FOLDER_LIMIT:
            notices.append(
                f'{path.name} holds {len(images)} DICOM files: the first was opened. '
                'Open the others by choosing them, or score the folder from the command line '
                'with `napari-cxr classify`.'
            )
            images = images[:1]
        wanted.extend(images)
    return wanted, notices


def _tell(failures: list[str], notices: list[str]) -> None:
    from napari.utils.notifications import show_info, show_warning

    if failures:
        show_warning('Not opened:\n' + '\n'.join(failures[:10]))
    if notices:
        show_info('\n'.join(notices[:10]))
