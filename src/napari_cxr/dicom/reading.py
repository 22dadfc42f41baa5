"""A DICOM file becomes a Radiograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import text, value
from napari_cxr.dicom.geometry import read_geometry
from napari_cxr.dicom.headers import Header, quiet, read_header
from napari_cxr.dicom.luts import is_inverted, padding_mask, presets, to_modality
from napari_cxr.dicom.objects import check_is_image, judge, sop_class
from napari_cxr.dicom.overlays import read_overlays
from napari_cxr.dicom.pixels import StoredPixels, decode, is_lossy
from napari_cxr.dicom.privacy import code_string, pseudonyms
from napari_cxr.dicom.shutters import shutter_mask
from napari_cxr.dicom.syntaxes import syntax_name
from napari_cxr.radiograph import LookupTable, Provenance, Radiograph, UnreadableImage, Window

__all__ = ['read']


def read(path: str | Path, *, secret: bytes | None = None) -> Radiograph:
    """Read a DICOM image.

    Compressed pixel data are decoded in this process, by native code that
    malformed streams can make abort; call this in a worker for files of
    unknown origin.

    Parameters
    ----------
    path : str or Path
        The file.
    secret : bytes, optional
        Key for the pseudonyms; by default the user's own.

    Returns
    -------
    Radiograph
        Its `refusal` is set where it is no projection radiograph.

    Raises
    ------
    UnreadableImage
        Whatever is wrong with the file; the message is one clear sentence.
    """
    try:
        with quiet():
            header = read_header(path)
            check_is_image(header.dataset)
            return _radiograph(header, decode(header), str(path), secret)
    except UnreadableImage:
        raise
    except RecursionError as error:
        raise UnreadableImage(
            'The header of this file is nested too deeply to be an image.'
        ) from error
    except MemoryError as error:
        raise UnreadableImage('There is not enough memory to open this image.') from error
    except Exception as error:
        # pydicom raises whatever a damaged value leads to, and none of it may end a batch.
        raise UnreadableImage('The file is damaged and could not be read.') from error


def _radiograph(
    header: Header, stored: StoredPixels, path: str, secret: bytes | None
) -> Radiograph:
    dataset = header.dataset
    geometry, geometry_notes = read_geometry(dataset)
    spatial = stored.values.ndim - (1 if stored.is_colour else 0)
    frames = stored.values.shape[0] if spatial == 3 else 1
    refusal, object_notes = judge(dataset, frames=frames, is_colour=stored.is_colour)
    notes = [*object_notes, *stored.notes]
    shape = stored.values.shape[:spatial]
    hidden, shutter_notes = shutter_mask(dataset, shape[-2], shape[-1], geometry.aspect)
    shown: tuple[Window | LookupTable, ...]
    if stored.is_colour or text(dataset, 'PhotometricInterpretation') == 'PALETTE COLOR':
        values, inverted, padding = stored.values, False, _with_shutter(None, hidden, shape)
        shown = (Window.spanning(0, stored.high or 255, 'Full range'),)
    else:
        modality = to_modality(header, stored)
        values = modality.values
        padding = _with_shutter(padding_mask(header, stored), hidden, shape)
        if stored.high is not None and stored.bits > 16:
            # Bits Stored is then that of the container, of which an image fills next to nothing.
            modality = modality.within(padding)
        shown, voi_notes = presets(header, modality)
        inverted, polarity_notes = is_inverted(dataset)
        notes += [*modality.notes, *voi_notes, *polarity_notes]
    overlays, overlay_notes = read_overlays(header, shape)
    notes += [*shutter_notes, *overlay_notes]
    return Radiograph(
        values=values,
        presets=shown,
        inverted=inverted,
        geometry=geometry,
        provenance=_provenance(header, stored, path, secret),
        padding=padding,
        is_colour=stored.is_colour,
        refusal=refusal,
        notes=tuple(dict.fromkeys((*notes, *geometry_notes))),
        overlays=overlays,
    )


def _with_shutter(
    padding: np.ndarray | None, hidden: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray | None:
    """Join padding with what a shutter hides; None if nothing would be left."""
    if hidden is None:
        return padding
    joined = np.broadcast_to(hidden, shape).copy()
    if padding is not None:
        joined |= padding
    return padding if joined.all() else joined


def _provenance(
    header: Header, stored: StoredPixels, path: str, secret: bytes | None
) -> Provenance:
    dataset = header.dataset
    keywords = {
        'study': 'StudyInstanceUID',
        'series': 'SeriesInstanceUID',
        'instance': 'SOPInstanceUID',
        'sop_class': 'SOPClassUID',
    }
    uids = {name: text(dataset, keyword) for name, keyword in keywords.items()}
    return Provenance(
        path=path,
        format='DICOM',
        modality=code_string(text(dataset, 'Modality')),
        sop_class=sop_class(dataset).name,
        transfer_syntax=syntax_name(header.transfer_syntax),
        photometric=code_string(text(dataset, 'PhotometricInterpretation')),
        bits=stored.bits,
        lossy=is_lossy(header),
        pseudonyms=pseudonyms(dataset, _pixel_bytes(dataset), secret),
        uids={name: uid for name, uid in uids.items() if uid},
    )


def _pixel_bytes(dataset: Dataset) -> bytes:
    data = value(dataset, 'PixelData')
    return data if isinstance(data, bytes) else b''
