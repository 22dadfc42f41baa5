"""A DICOM file becomes a Radiograph, with its overlays, and without what a shutter hides.

Overlay planes (groups 60xx, PS3.3 C.9.2) are drawings and regions that lie on an image; a
display shutter (PS3.3 C.7.6.11) says what of an image must not be shown.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from napari_cxr.dicom.compressed_frames import syntax_name
from napari_cxr.dicom.elements import functional_groups, integer, numbers, text, texts, value
from napari_cxr.dicom.geometry import read_geometry
from napari_cxr.dicom.headers import (
    Header,
    check_is_image,
    projection_refusal,
    quiet,
    read_header,
    sop_class,
)
from napari_cxr.dicom.luts import is_inverted, padding_mask, presets, to_modality
from napari_cxr.dicom.pixel_layout import MAX_SAMPLES
from napari_cxr.dicom.pixels import StoredPixels, decode, is_lossy
from napari_cxr.dicom.privacy import code_string, pseudonyms
from napari_cxr.radiograph import (
    LookupTable,
    Overlay,
    Provenance,
    Radiograph,
    UnreadableImage,
    Window,
)

__all__ = ['read', 'read_overlays', 'shutter_mask']

_ONE = (
    'The file has an overlay (drawings or regions on top of the image): a layer that can be '
    'switched on, and not part of what is classified.'
)

_SEVERAL = (
    'The file has {} overlays (drawings or regions on top of the image): layers that can be '
    'switched on, and not part of what is classified.'
)

#: Groups 6000 to 601E, the even ones.
_GROUPS = range(0x6000, 0x6020, 2)

_ROWS, _COLUMNS, _FRAMES, _TYPE = 0x0010, 0x0011, 0x0015, 0x0040

_ORIGIN, _FIRST_FRAME, _BIT, _DATA = 0x0050, 0x0051, 0x0102, 0x3000


def read_overlays(
    header: Header, shape: tuple[int, ...]
) -> tuple[tuple[Overlay, ...], tuple[str, ...]]:
    """Read the overlays of an image, laid on its pixels.

    Parameters
    ----------
    header : Header
        The object.
    shape : tuple of int
        Of the image: rows and columns, with frames first where there are several.

    Returns
    -------
    tuple of Overlay
        Those that mark at least a pixel.
    tuple of str
        Notes on what there is and what was broken.
    """
    found: list[Overlay] = []
    broken = False
    for number, group in enumerate(_GROUPS, 1):
        has_data, bit = (Tag(group, e) in header.dataset for e in (_DATA, _BIT))
        # Bit 0 is a pixel's own: a group of that and no data is an overlay that nobody drew.
        if not has_data and not (bit and _value(header.dataset, group, _BIT)):
            continue
        try:
            mask = _mask(header, group, shape)
        except (RecursionError, MemoryError):
            raise
        except Exception:
            broken = True
            continue
        if mask.any():
            kind = str(_value(header.dataset, group, _TYPE) or '').strip()
            found.append(Overlay(mask, 'region' if kind == 'R' else 'drawing', number))
    notes: tuple[str, ...] = ()
    if len(found) == 1:
        notes += (_ONE,)
    elif found:
        notes += (_SEVERAL.format(len(found)),)
    if broken:
        notes += ('An overlay of this file is broken and was left out.',)
    return tuple(found), notes


def _value(dataset: Dataset, group: int, element: int) -> Any:
    found = dataset.get(Tag(group, element))
    return None if found is None else found.value


def _mask(header: Header, group: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return where an overlay marks the image; raises whatever a broken one leads to."""
    dataset = header.dataset
    rows, columns = (int(_value(dataset, group, e) or 0) for e in (_ROWS, _COLUMNS))
    frames = int(_value(dataset, group, _FRAMES) or 1)
    if rows < 1 or columns < 1 or frames < 1 or rows * columns * frames > MAX_SAMPLES:
        raise ValueError('no size')
    data = _value(dataset, group, _DATA)
    if data:
        bits = _unpacked(header, group, data, rows * columns * frames)
    else:
        bits = _from_pixels(header, int(_value(dataset, group, _BIT) or 0))
    plane = bits[: rows * columns * frames].reshape(frames, rows, columns)
    if plane.size != rows * columns * frames:
        raise ValueError('cut short')
    origin = _value(dataset, group, _ORIGIN) or (1, 1)
    top, left = (int(n) - 1 for n in origin)
    mask = np.zeros(shape if len(shape) == 3 else (1, *shape), dtype=bool)
    first = max(int(_value(dataset, group, _FIRST_FRAME) or 1) - 1, 0)
    if frames == 1 and _value(dataset, group, _FIRST_FRAME) is None:
        plane, first = np.broadcast_to(plane, (len(mask), rows, columns)), 0
    for index, frame in enumerate(plane[: max(len(mask) - first, 0)], first):
        _lay(mask[index], frame, top, left)
    return mask if len(shape) == 3 else mask[0]


def _lay(mask: np.ndarray, frame: np.ndarray, top: int, left: int) -> None:
    """Copy the part of an overlay that lies on the image."""
    rows = slice(max(top, 0), max(min(top + frame.shape[0], mask.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + frame.shape[1], mask.shape[1]), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        mask[rows, columns] = frame[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]


def _unpacked(header: Header, group: int, data: Any, count: int) -> np.ndarray:
    """Return bits, the lowest of each byte first, PS3.5 8.1.2."""
    if not isinstance(data, bytes) or len(data) * 8 < count:
        raise ValueError('cut short')
    raw = np.frombuffer(data, np.uint8)
    if header.byte_order == '>' and header.dataset[Tag(group, _DATA)].VR == 'OW':
        raw = raw[: len(raw) // 2 * 2].view('>u2').astype('<u2').view(np.uint8)
    return np.unpackbits(raw, count=count, bitorder='little').astype(bool)


def _from_pixels(header: Header, bit: int) -> np.ndarray:
    """Return a bit above those of the pixels, where overlays were kept until 2004."""
    allocated = integer(header.dataset, 'BitsAllocated')
    stored = integer(header.dataset, 'BitsStored') or 0
    high = integer(header.dataset, 'HighBit')
    high = stored - 1 if high is None else high
    inside = high - stored < bit <= high
    if allocated not in (8, 16) or not 0 <= bit < allocated or inside:
        raise ValueError('no such bit')
    if header.transfer_syntax.is_encapsulated:
        raise ValueError('its bits did not survive the compression')
    data = header.dataset.PixelData
    words = np.frombuffer(data, f'{header.byte_order}u{allocated // 8}')
    shifted: np.ndarray = (words >> bit) & 1
    return shifted.astype(bool)


_BROKEN = 'The display shutter of this file is broken and was left out.'

#: More corners than any collimator has; each costs a pass over the image.
_MAX_CORNERS = 1024


def shutter_mask(
    dataset: Dataset, rows: int, columns: int, aspect: float = 1.0
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Find the pixels that a display shutter hides.

    Edges and corners are lines between pixels: the pixels up to the left edge are hidden, and
    those beyond the right one. Of several shapes, what all of them leave open is shown.

    Parameters
    ----------
    dataset : Dataset
        The object.
    rows, columns : int
        Size of the image.
    aspect : float
        Height over width of a pixel: a circle is round in the patient.

    Returns
    -------
    ndarray of bool, shape (rows, columns), or None
        True where the image is hidden; None where nothing is.
    tuple of str
        A note on what was hidden or broken.
    """
    frames = functional_groups(dataset, 'FrameDisplayShutterSequence')[:1]
    source = next((s for s in (dataset, *frames) if texts(s, 'ShutterShape')), None)
    if source is None:
        return None, ()
    open_ = np.ones((rows, columns), dtype=bool)
    broken = False
    for shape in (word.upper() for word in texts(source, 'ShutterShape') if word):
        part = _open(source, shape, rows, columns, aspect)
        if part is None:
            broken = True
        else:
            open_ &= part
    notes = (_BROKEN,) if broken or not open_.any() else ()
    if open_.all() or not open_.any():
        return None, notes
    hidden = ~open_
    share = f'{100 * hidden.mean():.0f} %'
    said = (
        f'A display shutter hides {share} of the image: it is drawn black and left out of '
        'what is measured and classified.'
    )
    return hidden, (said, *notes)


def _open(
    source: Dataset, shape: str, rows: int, columns: int, aspect: float
) -> np.ndarray | None:
    """Return what a shape leaves open, rows by columns; None if it is broken."""
    # Pixel number 1 covers the line from 0 to 1.
    y, x = np.arange(rows)[:, None] + 0.5, np.arange(columns)[None, :] + 0.5
    if shape == 'RECTANGULAR':
        names = 'LeftVertical', 'RightVertical', 'UpperHorizontal', 'LowerHorizontal'
        edges = [integer(source, f'Shutter{name}Edge') for name in names]
        if None in edges:
            return None
        left, right, upper, lower = (edge or 0 for edge in edges)
        left, right = min(left, right), max(left, right)
        upper, lower = min(upper, lower), max(upper, lower)
        inside: np.ndarray = (x > left) & (x < right) & (y > upper) & (y < lower)
        return inside
    if shape == 'CIRCULAR':
        center = numbers(source, 'CenterOfCircularShutter')
        radius = integer(source, 'RadiusOfCircularShutter')
        if len(center) != 2 or center[0] is None or center[1] is None or not radius:
            return None
        down, aside = (y + 0.5 - center[0]) * aspect, x + 0.5 - center[1]
        round_: np.ndarray = down**2 + aside**2 <= radius**2
        return round_
    if shape == 'POLYGONAL':
        corners = numbers(source, 'VerticesOfThePolygonalShutter')
        if None in corners or len(corners) % 2 or not 6 <= len(corners) <= 2 * _MAX_CORNERS:
            return None
        points = [float(number or 0) for number in corners]
        return _inside_polygon(y, x, points[::2], points[1::2])
    return None


def _inside_polygon(
    y: np.ndarray, x: np.ndarray, down: list[float], aside: list[float]
) -> np.ndarray:
    """Tell which points a polygon encloses, by counting the edges to the right of each."""
    inside = np.zeros((y.size, x.size), dtype=bool)
    ends = zip(down, aside, down[1:] + down[:1], aside[1:] + aside[:1], strict=True)
    for y0, x0, y1, x1 in ends:
        if y0 == y1:
            continue
        crossed = np.flatnonzero((y[:, 0] < y0) != (y[:, 0] < y1))
        at = x0 + (y[crossed] - y0) * (x1 - x0) / (y1 - y0)
        inside[crossed] ^= x < at
    return inside


def read(
    path: str | Path, *, secret: bytes | None = None, least: tuple[int, int] | None = None
) -> Radiograph:
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
    least : tuple of int, optional
        Rows and columns that are enough, see `napari_cxr.image_files.read`.

    Returns
    -------
    Radiograph
        Its `refusal` is set where it is not a projection radiograph.

    Raises
    ------
    UnreadableImage
        Whatever is wrong with the file; the message is one clear sentence.
    """
    try:
        with quiet():
            header = read_header(path)
            check_is_image(header.dataset)
            return _radiograph(header, str(path), secret, least)
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
    header: Header, path: str, secret: bytes | None, least: tuple[int, int] | None
) -> Radiograph:
    dataset = header.dataset
    geometry, geometry_notes = read_geometry(dataset)
    if least is not None:  # of pixels that are higher than wide fewer are rows
        oblong = max(geometry.aspect, 1 / geometry.aspect)
        least = math.ceil(least[0] * oblong), math.ceil(least[1] * oblong)
    stored = decode(header, least)
    spatial = stored.values.ndim - (1 if stored.is_colour else 0)
    frames = stored.values.shape[0] if spatial == 3 else 1
    refusal, object_notes = projection_refusal(dataset, frames=frames, is_colour=stored.is_colour)
    notes = [*object_notes, *stored.notes]
    shape = whole = stored.values.shape[:spatial]
    if stored.step > 1:
        whole = integer(dataset, 'Rows') or 0, integer(dataset, 'Columns') or 0
    hidden, shutter_notes = shutter_mask(dataset, whole[-2], whole[-1], geometry.aspect)
    if hidden is not None:
        hidden = hidden[:: stored.step, :: stored.step]
    shown: tuple[Window | LookupTable, ...]
    rescale: tuple[float, float] | None = (1.0, 0.0)
    if stored.is_colour or text(dataset, 'PhotometricInterpretation') == 'PALETTE COLOR':
        values, inverted, padding = stored.values, False, _with_shutter(None, hidden, shape)
        shown = (Window.spanning(0, stored.high or 255, 'Full range'),)
    else:
        modality = to_modality(header, stored)
        values, rescale = modality.values, modality.rescale
        padding = padding_mask(header, stored)
        if padding is not None and stored.step > 1:
            # Pixels beside padding are mixed with it.
            padding = _grown(padding)
        padding = _with_shutter(padding, hidden, shape)
        if stored.high is not None and stored.bits > 16:
            # Bits Stored is then that of the container, of which an image fills next to nothing.
            modality = modality.within(padding)
        shown, voi_notes = presets(header, modality)
        inverted, polarity_notes = is_inverted(dataset)
        notes += [*modality.notes, *voi_notes, *polarity_notes]
    overlays, overlay_notes = read_overlays(header, whole)
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
        overlays=overlays if stored.step == 1 else (),
        step=stored.step,
        full_shape=(whole[0], whole[1]) if stored.step > 1 else None,
        rescale=rescale,
    )


def _grown(mask: np.ndarray) -> np.ndarray | None:
    """Return a mask with the pixels around it; None if nothing would be left."""
    from scipy.ndimage import binary_dilation

    grown = np.asarray(binary_dilation(mask, np.ones((3, 3), dtype=bool)))
    return None if grown.all() else grown


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
