"""Any image file, whatever it is called; and the images of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_cxr import dicom, rasters
from napari_cxr.radiograph import LookupTable, Radiograph, UnreadableImage, Window

__all__ = ['describe', 'find_images', 'is_image', 'read', 'walk_images']

#: Endings of files that are meant to be images, readable or not.
_RASTER_ENDINGS = ('.png', '.jpg', '.jpeg', '.jpe', '.tif', '.tiff')
_DICOM_ENDINGS = ('.dcm', '.dicom')


def is_image(path: str | Path) -> bool:
    """Tell by its content whether a file is DICOM (but no DICOMDIR), PNG, JPEG or TIFF."""
    if dicom.is_dicom(path):
        return not dicom.is_directory(path)
    return rasters.is_raster(path)


def read(path: str | Path) -> Radiograph:
    """Read an image; its content decides what it is, not its name.

    Parameters
    ----------
    path : str or Path
        A DICOM, PNG, JPEG or TIFF file.

    Returns
    -------
    Radiograph

    Raises
    ------
    UnreadableImage
        If it can't be read; the message is one clear sentence.
    """
    path = Path(path)
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise UnreadableImage(
                'This folder cannot be opened (Permission denied), so what is in it was not '
                'found; make it readable.'
            )
        raise UnreadableImage('This is a folder; name the files in it.')
    if path.exists() and not path.is_file():  # a pipe would keep us waiting
        raise UnreadableImage('This is no file, but a pipe or a device.')
    # A DICOM file may carry a TIFF header in its preamble (PS3.10 section 7.1): it is DICOM.
    if rasters.is_raster(path) and not dicom.is_dicom(path):
        return rasters.read(path)
    return dicom.read(path)


def find_images(folder: str | Path, *, named: bool = False) -> list[Path]:
    """Find the images in a folder and the folders in it.

    Parameters
    ----------
    folder : str or Path
        Where to look. Hidden files and folders are skipped, links are
        followed, and a folder that a link leads back to is visited once.
    named : bool
        Whether to list also what is called an image and is none, and folders that cannot
        be opened, so that they are reported when they cannot be read, and not passed over.

    Returns
    -------
    list of Path
        Sorted. DICOM files without an extension are found by their content.

    Raises
    ------
    NotADirectoryError
        If `folder` is none.
    """
    return sorted(path for path in walk_images(folder, named=named) if path is not None)


def walk_images(folder: str | Path, *, named: bool = False) -> Iterator[Path | None]:
    """Find the images in a folder as `find_images` does, one by one and in no order.

    Whoever looks through a large folder can stop at any file: None stands for each that is
    no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError('There is no such folder.')
    seen: set[tuple[int, int]] = set()
    shut: list[OSError] = []
    for here, folders, names in os.walk(folder, followlinks=True, onerror=shut.append):
        try:
            status = os.stat(here)
        except OSError:  # it has gone meanwhile
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        paths = (Path(here, name) for name in names if not name.startswith('.'))
        for path in paths:
            yield path if (named and _is_named(path)) or is_image(path) else None
    if named:
        yield from (Path(os.fsdecode(error.filename)) for error in shut)


def _is_named(path: Path) -> bool:
    """Tell whether a file is called an image, and is no index of others."""
    ending = path.suffix.lower()
    # Of 50,000 files that are called JPEGs none is opened.
    return ending in _RASTER_ENDINGS or (ending in _DICOM_ENDINGS and not dicom.is_directory(path))


def describe(radiograph: Radiograph) -> dict[str, Any]:
    """Describe a radiograph for ``napari-cxr info``, without anything that identifies.

    Parameters
    ----------
    radiograph : Radiograph
        The image.

    Returns
    -------
    dict
        Fit for JSON. `size` is rows and columns, `frames` None for a single
        image, `spacing_mm` rows and columns or None.
    """
    geometry, provenance = radiograph.geometry, radiograph.provenance
    polarity = 'lowest value white' if radiograph.inverted else 'lowest value black'
    return {
        'path': provenance.path,
        'format': provenance.format,
        'size': list(radiograph.shape),
        'frames': radiograph.frames,
        'bits': provenance.bits,
        'geometry': {
            'spacing_mm': list(geometry.spacing) if geometry.spacing else None,
            'spacing_source': str(geometry.source),
            'aspect': geometry.aspect,
        },
        'window': [_describe_preset(preset) for preset in radiograph.presets],
        'polarity': 'colour' if radiograph.is_colour else polarity,
        'view': str(geometry.view),
        'modality': provenance.modality,
        'transfer_syntax': provenance.transfer_syntax,
        'lossy': provenance.lossy,
        'refusal': radiograph.refusal,
        'warnings': list(radiograph.notes),
    }


def _describe_preset(preset: Window | LookupTable) -> dict[str, Any]:
    if isinstance(preset, LookupTable):
        return {
            'function': 'TABLE',
            'first': preset.first,
            'entries': len(preset.table),
            'explanation': preset.explanation,
        }
    return {
        'function': preset.function,
        'center': preset.center,
        'width': preset.width,
        'explanation': preset.explanation,
    }
