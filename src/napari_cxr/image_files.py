"""Read any image file by its content, find the images of a folder, and describe an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_cxr import dicom, rasters
from napari_cxr.radiograph import LookupTable, Radiograph, UnreadableImage, Window

__all__ = ['describe', 'find_images', 'is_image', 'read', 'walk_images']

#: Extensions of files that should be images, readable or not.
_RASTER_ENDINGS = ('.png', '.jpg', '.jpeg', '.jpe', '.tif', '.tiff')
_DICOM_ENDINGS = ('.dcm', '.dicom')


def is_image(path: str | Path) -> bool:
    """Return whether a file is DICOM (but not a DICOMDIR), PNG, JPEG or TIFF, by its content."""
    if dicom.is_dicom(path):
        return not dicom.is_directory(path)
    return rasters.is_raster(path)


def read(path: str | Path, least: tuple[int, int] | None = None) -> Radiograph:
    """Read an image; its format is recognised by its content, not by its name.

    Parameters
    ----------
    path : str or Path
        A DICOM, PNG, JPEG or TIFF file.
    least : tuple of int, optional
        Rows and columns that are enough: JPEG 2000 in DICOM is decoded at the smallest of a
        half, a quarter … of its size that has as many of both, see `Radiograph.step`. By
        default, and for all else, the whole image is decoded.

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
                'This folder cannot be opened (Permission denied), so the images in it were not '
                'found. Make it readable.'
            )
        raise UnreadableImage('This is a folder, not an image. Give the files in it.')
    if path.exists() and not path.is_file():  # reading a pipe could block for ever
        raise UnreadableImage('This is a pipe or a device, not a file.')
    # A DICOM file may carry a TIFF header in its preamble (PS3.10 section 7.1): it is DICOM.
    if not dicom.is_dicom(path) and rasters.is_raster(path):
        return rasters.read(path)
    return dicom.read(path, least=least)


def find_images(folder: str | Path, *, named: bool = False) -> list[Path]:
    """Find the images in a folder and the folders in it.

    Parameters
    ----------
    folder : str or Path
        Where to look. Hidden files and folders are skipped, links are
        followed, and a folder that a link leads back to is visited once.
    named : bool
        Whether to include files that have the name of an image but are not one, and folders
        that cannot be opened, so that they are reported as unreadable and not skipped
        silently.

    Returns
    -------
    list of Path
        Sorted. DICOM files without an extension are found by their content.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    """
    return sorted(path for path in walk_images(folder, named=named) if path is not None)


def walk_images(folder: str | Path, *, named: bool = False) -> Iterator[Path | None]:
    """Yield the images of a folder as `find_images` finds them, in no particular order.

    None is yielded for each file that is not an image, so that a caller can stop at any file of
    a large folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError('There is no such folder.')
    seen: set[tuple[int, int]] = set()
    shut: list[OSError] = []
    for here, folders, names in os.walk(folder, followlinks=True, onerror=shut.append):
        try:
            status = os.stat(here)
        except OSError:  # removed in the meantime
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
    """Return whether a file has the name of an image, and is not an index of others."""
    ending = path.suffix.lower()
    # By the name alone where that is enough, so that 50,000 JPEGs need not be opened.
    return ending in _RASTER_ENDINGS or (ending in _DICOM_ENDINGS and not dicom.is_directory(path))


def describe(radiograph: Radiograph) -> dict[str, Any]:
    """Describe a radiograph for ``napari-cxr info``, without patient identity.

    Parameters
    ----------
    radiograph : Radiograph
        The image.

    Returns
    -------
    dict
        Can be written as JSON. `size` is rows and columns, `frames` None for a single
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
