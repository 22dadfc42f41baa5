"""The file behind a layer that another reader has opened.

napari's own reader shows the first series of a folder whichever DICOM file was named, and wraps
values that do not fit its type; of PNG, JPEG and TIFF it leaves out orientation, palettes and
some bits. A network must never see such pixels: the file is read again, by ours.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image

from napari_cxr import dicom
from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.plugin.layers import KEY, file_of, is_jpeg_2000, radiograph_of, remember_file
from napari_cxr.radiograph import RANGE_OF_IMAGE, Radiograph, UnreadableImage
from napari_cxr.rasters import is_raster
from napari_cxr.workers.decoder_pool import shared_decoder

__all__ = [
    'as_scored',
    'file_behind',
    'is_of_other_reader',
    'radiograph_behind',
    'read_in_decoder',
    'shows_other_pixels',
]

_DICOM_ENDINGS = ('.dcm', '.dicom')
_NOTE = (
    "The layer was opened by napari's own reader, which may show other pixels; the file itself "
    'was read.'
)
_GONE = (
    "The layer was opened by napari's own reader, which may show other pixels, and its file is "
    'no longer there to be read: open the radiograph again.'
)
_FOLDER = (
    "The layer was opened from a folder by napari's own reader, so which file it shows is not "
    'known: open the radiograph itself.'
)
_FROM_LAYER = (
    'The model was shown the pixels of the layer, because its file is not known or was changed. '
    'Scoring decodes such a file at a part of its size, so its probabilities may differ from '
    'these by up to .02.'
)
#: Whether a layer's pixels differ from those of its file; not of each is it known.
_OTHER: WeakKeyDictionary[Image, bool] = WeakKeyDictionary()
#: What was decoded for models, and the rows and columns that were enough for them.
_REDUCED: WeakKeyDictionary[Radiograph, tuple[tuple[int, int], Radiograph | None]] = (
    WeakKeyDictionary()
)
_BEHIND: WeakKeyDictionary[Image, Path | None] = WeakKeyDictionary()


def file_behind(layer: Image) -> Path | None:
    """Return the image file that another reader made a layer of; None if there is none.

    Looks at the file's first bytes only, once a layer.
    """
    if isinstance(layer.metadata.get(KEY, {}).get('radiograph'), Radiograph):
        return None
    if layer not in _BEHIND:
        _BEHIND[layer] = _look(layer)
    return _BEHIND[layer]


def _look(layer: Image) -> Path | None:
    if not layer.source.path:
        return None
    path = Path(layer.source.path)
    if dicom.is_dicom(path) or is_raster(path) or path.suffix.lower() in _DICOM_ENDINGS:
        return path
    # napari takes a folder for one series, or for a stack of pictures.
    inside = path.is_dir() and any(map(dicom.is_dicom, path.iterdir()))
    return path if inside else None


def is_of_other_reader(layer: Image) -> bool:
    """Tell whether a layer may show something else than its file, as far as is known."""
    path = file_behind(layer)
    if path is None:
        return False
    return _OTHER.get(layer, not is_raster(path))


def shows_other_pixels(layer: Image) -> bool:
    """Tell whether a layer was found to show other pixels than were read of its file."""
    return _OTHER.get(layer, False)


def radiograph_behind(layer: Image) -> Generator[None, None, Radiograph]:
    """Return what a network may see of a layer; a part of jobs, see `background.run_job`.

    Parameters
    ----------
    layer : napari.layers.Image
        A layer, whoever opened it.

    Returns
    -------
    generator
        Yields None while it waits; its return value is the radiograph.

    Raises
    ------
    UnreadableImage
        If the file cannot be read, or is not known any more.
    ValueError
        See `radiograph_of`.
    """
    path = file_behind(layer)
    if path is None:
        return radiograph_of(layer)
    if path.is_dir():
        raise UnreadableImage(_FOLDER)
    raster = is_raster(path)
    if not raster and not path.exists():
        raise UnreadableImage(_GONE)
    try:
        radiograph = yield from read_in_decoder(path)
    except UnreadableImage:
        if raster:  # napari could read it
            return radiograph_of(layer)
        raise
    radiograph = replace(
        radiograph, provenance=replace(radiograph.provenance, path='', uids={}), overlays=()
    )
    same = _has_pixels_of(layer, radiograph)
    if raster and not same and not _says_more(radiograph, layer):
        return radiograph_of(layer)  # somebody has worked on it
    _OTHER[layer] = not same
    if raster and same:
        return radiograph
    radiograph = replace(radiograph, notes=(_NOTE, *radiograph.notes))
    remember_file(radiograph, str(path))
    return radiograph


def as_scored(radiograph: Radiograph, model: str) -> Generator[None, None, Radiograph]:
    """Return a radiograph as scoring decodes its file for a model, so that answers agree.

    Only JPEG 2000 is decoded otherwise than for the screen. Where the file is not known any
    more, or the pixels were changed, it is the radiograph itself, with a note; so it is, without
    one, where a person has mirrored or turned it, which scoring never does.

    Parameters
    ----------
    radiograph : Radiograph
        What a layer shows.
    model : str
        As in the catalog.
    """
    if not is_jpeg_2000(radiograph) or radiograph.step > 1 or radiograph.correction.moves:
        return radiograph
    card = read_card(Path(catalog.resolve(model)))
    least = Preprocessing.from_dict(card.preprocessing).least_decoded
    if any(size < 2 * enough - 1 for size, enough in zip(radiograph.shape, least, strict=True)):
        return radiograph
    known, reduced = _REDUCED.get(radiograph, (None, None))
    path = radiograph.provenance.path or file_of(radiograph)
    if path and known != least:
        try:
            reduced = yield from read_in_decoder(path, least)
        except UnreadableImage:
            path = ''
        else:
            if not _is_same_file(radiograph, reduced):
                path = ''
            elif reduced.step > 1:
                reduced = replace(reduced, notes=radiograph.notes)
                reduced = reduced.corrected(radiograph.correction)
            else:
                reduced = None  # the stream holds no smaller image
            if path:
                _REDUCED[radiograph] = least, reduced
    if not path:
        return replace(radiograph, notes=(*radiograph.notes, _FROM_LAYER))
    return radiograph if reduced is None else reduced


def _is_same_file(radiograph: Radiograph, reduced: Radiograph) -> bool:
    """Tell whether both were read from the same object."""
    whose = [one.provenance.pseudonyms for one in (radiograph, reduced)]
    return whose[0] == whose[1] and radiograph.shape == reduced.shape


def read_in_decoder(
    path: str | Path, least: tuple[int, int] | None = None
) -> Generator[None, None, Radiograph]:
    """Read a file in the decoder; a part of jobs, which closing cancels."""
    return (yield from shared_decoder().reading(path, least))


def _pixels(layer: Image) -> np.ndarray:
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    return data[..., :3] if layer.rgb else data


def _has_pixels_of(layer: Image, radiograph: Radiograph) -> bool:
    pixels = _pixels(layer)
    return pixels.shape == radiograph.values.shape and np.array_equal(pixels, radiograph.values)


def _says_more(radiograph: Radiograph, layer: Image) -> bool:
    """Tell whether a PNG, JPEG or TIFF says something that napari's own reader leaves out."""
    end = RANGE_OF_IMAGE.removeprefix('{}')
    notes = [note for note in radiograph.notes if not note.endswith(end)]
    deeper = radiograph.provenance.bits > 8 and _pixels(layer).dtype == np.uint8
    return bool(notes) or deeper or radiograph.is_colour != layer.rgb
