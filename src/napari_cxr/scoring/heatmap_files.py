"""The heatmap of one scored file: its picture, its numbers, and where it lies."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.explain.heatmap import Heatmap, draw_heatmap, full_colour
from napari_cxr.explain.heatmap_location import (
    heatmap_location,
    lung_labels,
    marker_fraction,
    uniform_lung_fraction,
)
from napari_cxr.scoring.image_preparation import PreparedImage
from napari_cxr.scoring.score_row import ScoreRow
from napari_cxr.settings_file import open_regular

__all__ = [
    'has_heatmaps',
    'heatmap_fractions',
    'heatmap_is_complete',
    'heatmap_path',
    'save_heatmap',
    'sync_heatmaps',
]

#: Bytes of a file's name that its picture's name takes over; names have 255 at most, on some
#: file systems 143, and the number, the ending and what a half one is called go with it.
_LONGEST_STEM = 110
#: How the numbers of a heatmap are called.
_NUMBERS = re.compile(r'\d{7,}-.*\.npz')
#: How the two files of a heatmap end: a PNG by its last chunk, an .npz (a ZIP archive without
#: a comment) by the record of its directory, of 22 bytes.
_PNG_END, _ZIP_END = b'IEND\xaeB`\x82', b'PK\x05\x06'
_ZIP_RECORD = 22


def heatmap_path(folder: Path, number: int, path: str) -> Path:
    """Return where the picture of a file goes: the same each time, and another for each."""
    stem = Path(path).stem[:_LONGEST_STEM]
    while len(os.fsencode(stem)) > _LONGEST_STEM:
        stem = stem[:-1]
    return folder / f'{number + 1:07}-{stem}.png'


def has_heatmaps(folder: Path) -> bool:
    """Tell whether a folder holds heatmaps already; raises OSError."""
    with os.scandir(folder) as entries:
        return any(_NUMBERS.fullmatch(entry.name) for entry in entries)


def heatmap_fractions(shown: Heatmap, ready: PreparedImage) -> Mapping[str, Any]:
    """Return the entries of a `Row` that say where a heatmap lies."""
    found: dict[str, Any] = {'frame_share': shown.frame_fraction(ready.shape)}
    if ready.lungs is not None:
        shape, labels = ready.lungs.shape, lung_labels(ready.lungs)
        mask = labels > 0
        found['lung_share'] = shown.fraction_in(mask, shape)
        found['lung_share_if_even'] = uniform_lung_fraction(shown, mask, shape)
        found['lung_field'] = ready.lungs.source
        if (location := heatmap_location(shown, labels, shape)) is not None:
            found['peak_in_lung'] = location.in_lungs
            found['peak_region'] = location.region
            found['half_peak_lung_fraction'] = location.half_peak_lung_fraction
    if ready.markers is not None:
        on_markers = marker_fraction(shown, ready.markers, ready.shape)
        found['marker_fraction'] = on_markers.fraction
        found['marker_fraction_uniform'] = on_markers.uniform
    return found


def save_heatmap(
    path: Path, ready: PreparedImage, shown: Heatmap, maps: Sequence[Heatmap]
) -> None:
    """Write the picture of one heatmap, and beside it the maps of all classes as numbers.

    The picture is the whole radiograph, made smaller where it is large; the numbers in the
    ``.npz`` are the maps as they are, with the matrix that places them on the radiograph's
    own pixels.

    Parameters
    ----------
    path : Path
        The picture, a ``.png``.
    ready : Ready
        With a picture.
    shown : Heatmap
        Which to draw.
    maps : sequence of Heatmap
        Of all classes; `full_colour` of all is drawn in the last colour.

    Notes
    -----
    A kill leaves no half of a file. A power cut may, because waiting for the disk with each
    picture would cost more than drawing it: a run that is resumed draws again what is not
    `there_in_full`, and `sync` is for the end.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    import imageio.v3 as iio

    assert ready.picture is not None
    strongest = full_colour(maps)
    display = ready.picture.astype(np.float32) / 255
    drawn = draw_heatmap(display, _on_picture(shown, ready), strongest)
    numbers = {'to_radiograph': shown.to_radiograph} | {one.label: one.values for one in maps}
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **numbers)
    _put(path.with_suffix('.npz'), packed.getvalue())
    _put(path, iio.imwrite('<bytes>', drawn, extension='.png'))


def heatmap_is_complete(row: ScoreRow) -> bool:
    """Tell whether the picture of a row and its numbers are there, or it has none."""
    if not row.heatmap:
        return True
    picture = Path(row.heatmap)
    numbers = picture.with_suffix('.npz')
    return _end(picture, len(_PNG_END)) == _PNG_END and _end(numbers, _ZIP_RECORD).startswith(
        _ZIP_END
    )


def sync_heatmaps() -> None:
    """See to it that a power cut cannot take away any picture, as far as the system can."""
    if hasattr(os, 'sync'):
        os.sync()


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f'.{path.name}.part')
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _end(path: Path, size: int) -> bytes:
    """Return the last bytes of a file, or none."""
    try:
        with open_regular(path) as file:
            file.seek(-size, os.SEEK_END)
            return file.read()
    except OSError:
        return b''


def _on_picture(heatmap: Heatmap, ready: PreparedImage) -> Heatmap:
    """Return a heatmap that is placed on the pixels of the small picture."""
    assert ready.picture is not None
    scale = np.array(ready.picture.shape) / ready.shape
    to_picture = np.diag([*scale, 1.0])
    to_picture[:2, 2] = scale / 2 - 0.5  # pixel centres: x to (x + 0.5) s - 0.5
    seen = heatmap.input_bounds
    if seen is not None:
        top, left, bottom, right = seen
        corners = to_picture @ np.array([[top, bottom], [left, right], [1, 1]])
        seen = (
            float(corners[0, 0]),
            float(corners[1, 0]),
            float(corners[0, 1]),
            float(corners[1, 1]),
        )
    return replace(heatmap, to_radiograph=to_picture @ heatmap.to_radiograph, input_bounds=seen)
