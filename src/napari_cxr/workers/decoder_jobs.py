"""The decoder's jobs: from a file to a radiograph, where a hostile file can do no harm.

And what else needs no torch: small pictures for lists of images, and the lungs on a
radiograph. This process starts in a fraction of the torch worker's time, and is not busy while
a network runs there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from PIL import Image

from napari_cxr import image_files, lungs
from napari_cxr.decoding_memory import MemoryNeed, NotEnoughMemory, granted
from napari_cxr.explain.heatmap_location import lung_labels
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.workers.memory_budget import limit_memory

__all__ = [
    'bounded',
    'decode',
    'describe',
    'find_lungs',
    'headers',
    'identities',
    'listed',
    'prepare',
    'read',
    'ready',
    'tags',
    'thumbnail',
]


def bounded(job: Callable[..., Any], later: int) -> Callable[..., Any]:
    """Return a job that keeps to the memory that its file was granted.

    Parameters
    ----------
    job : callable
        A job that reads a file.
    later : int
        Bytes a pixel that it takes once the image is decoded.

    Returns
    -------
    callable
        Takes ``allowance`` besides, in bytes, and returns a `MemoryNeed` where that is too
        little.
    """

    def run(*, allowance: int, **arguments: Any) -> Any:
        limit_memory(allowance)
        try:
            with granted(allowance, later):
                return job(**arguments)
        except NotEnoughMemory as error:
            return MemoryNeed(error.needed)
        except MemoryError:
            return MemoryNeed(0)
        except UnreadableImage as error:
            if isinstance(error.__cause__, MemoryError):
                return MemoryNeed(0)
            raise

    return run


def ready() -> bool:
    """Answer, so that a caller knows that the imports are done."""
    return True


def installed_decoders() -> dict[str, list[str]]:
    """Return the packages that each compression is read with; see `napari_cxr.dicom.pixels`."""
    from napari_cxr.dicom.pixels import installed_decoders as found

    return found()


def read(path: str, least: tuple[int, int] | None = None) -> Radiograph:
    """Read one file; see `napari_cxr.image_files.read`."""
    return image_files.read(path, least)


def listed(path: str) -> list[str]:
    """Return the files that a DICOMDIR lists; see `napari_cxr.dicom.directory`."""
    from napari_cxr.dicom.directory import listed_images

    return [str(image) for image in listed_images(path)]


def headers(paths: list[str]) -> list[list[Any] | str | None]:
    """Return what a list of studies says of files.

    Parameters
    ----------
    paths : list of str
        Files of any kind.

    Returns
    -------
    list
        For each the values of a `HeaderSummary`, its kind for PNG, JPEG and TIFF, a sentence for
        what is damaged in square brackets, and None for what is no image.
    """
    from napari_cxr.dicom.header_summary import summarize
    from napari_cxr.dicom.headers import quiet
    from napari_cxr.dicom.privacy import user_secret
    from napari_cxr.rasters import raster_format

    secret = user_secret()
    found: list[list[Any] | str | None] = []
    with quiet():
        for path in paths:
            try:
                summary = summarize(path, secret)
            except UnreadableImage as error:
                found.append(f'[{error}]')
                continue
            except RecursionError:
                found.append('[The header of this file is nested too deeply.]')
                continue
            found.append(list(summary) if summary is not None else raster_format(path) or None)
    return found


def identities(paths: list[str]) -> list[list[str] | None]:
    """Return whose images files are, see `header_summary.Identity`; None for what cannot tell."""
    from napari_cxr.dicom.header_summary import read_identity
    from napari_cxr.dicom.headers import quiet

    found: list[list[str] | None] = []
    with quiet():
        for path in paths:
            try:
                identity = read_identity(path)
            except (UnreadableImage, RecursionError):
                identity = None
            found.append(None if identity is None else list(identity))
    return found


def tags(path: str, identity: bool) -> list[list[Any]]:
    """Return the elements of a file, see `napari_cxr.dicom.tag_listing.list_tags`."""
    from napari_cxr.dicom.tag_listing import list_tags

    return [list(row) for row in list_tags(path, identity)]


def describe(path: str) -> dict[str, Any]:
    """Read one file and return what its header and pixels say, without the pixels.

    To `napari_cxr.image_files.describe` come ``frontal``: what a projection radiograph looks
    like and how sure that is, and among the warnings what is wrong with it; and ``lungs``:
    where their outline is from, and their share of the image.
    """
    from napari_cxr.lungs import frontal_check

    radiograph = image_files.read(path)
    said = image_files.describe(radiograph)
    if radiograph.refusal or radiograph.frames is not None:
        return said | {'frontal': None, 'lungs': None}
    field = lungs.find_lungs(radiograph)
    looks = frontal_check.check_frontal(radiograph, field)
    if looks.message:
        said['warnings'].append(looks.message)
    return said | {
        'frontal': {'likely': looks.kind, 'score': round(looks.score, 4)},
        'lungs': {'source': field.source, 'share_of_image': round(_lung_fraction(field), 4)},
    }


def _lung_fraction(field: LungField) -> float:
    return float((lung_labels(field) > 0).mean())


def find_lungs(
    radiograph: Radiograph | None, field: LungField | None
) -> tuple[LungField, np.ndarray]:
    """Return the lungs of a radiograph, and as labels on its pixels.

    Parameters
    ----------
    radiograph : Radiograph or None
        Where to find them.
    field : LungField or None
        What was found already; the radiograph is then not needed.

    Returns
    -------
    LungField, ndarray of uint8, shape (rows, columns)
        See `LungField.labels`.
    """
    if field is None:
        if radiograph is None:
            raise ValueError('lungs are found on a radiograph')
        field = lungs.find_lungs(radiograph)
    return field, field.labels()


def decode(path: str, preprocessing: dict[str, Any], bits: int) -> dict[str, Any]:
    """Read one file for training; see `napari_cxr.training.training_image.decode_image`."""
    from napari_cxr.inference.preprocessing import Preprocessing
    from napari_cxr.training import training_image

    decoded = training_image.decode_image(path, Preprocessing.from_dict(preprocessing), bits)
    return {field.name: getattr(decoded, field.name) for field in fields(decoded)}


def prepare(
    path: str,
    preprocessing: dict[str, Any],
    lungs: bool,
    picture: bool,
    identify: bool,
    full_resolution: bool = False,
    digest: bool = False,
) -> dict[str, Any]:
    """Read one file for scoring; see `napari_cxr.scoring.image_preparation.prepare_image`."""
    from napari_cxr.inference.preprocessing import Preprocessing
    from napari_cxr.scoring import image_preparation

    wanted = image_preparation.PrepareOptions(
        Preprocessing.from_dict(preprocessing), lungs, picture, identify, full_resolution, digest
    )
    ready = image_preparation.prepare_image(path, wanted)
    return {field.name: getattr(ready, field.name) for field in fields(ready)}


def thumbnail(path: str, side: int) -> np.ndarray:
    """Read one file and return it as it should look, small.

    Parameters
    ----------
    path : str
        Any image file; of several frames the first is drawn.
    side : int
        Pixels of its longer side; a smaller image stays as it is.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)

    Raises
    ------
    UnreadableImage
        If it holds no image.
    """
    display = image_files.read(path, (side, side)).to_display()
    while display.ndim > 2:
        display = display[0]
    height, width = display.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(np.ascontiguousarray(display, dtype=np.float32))
    small = np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
