"""What a decoder makes of one file for scoring; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_cxr import image_files, lungs
from napari_cxr.checkpoint.model_images import image_digest
from napari_cxr.inference.prediction import ImageWarning, find_warnings
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.lungs import LungField
from napari_cxr.lungs.text_markers import TextMarkers, text_markers
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.resampling import resample
from napari_cxr.scoring.score_row import IDENTITY

__all__ = ['ImagePreparer', 'PrepareOptions', 'PreparedImage', 'prepare_here', 'prepare_image']

#: Most rows and columns of the picture that a heatmap is drawn on.
LARGEST_PICTURE = 1024


@dataclass(frozen=True)
class PrepareOptions:
    """What to make of a file.

    Parameters
    ----------
    preprocessing : Preprocessing
        How it becomes the network's input.
    lungs : bool
        Whether its lungs are needed, to say how much of a heatmap lies in them.
    picture : bool
        Whether a small picture is needed, to draw a heatmap on.
    identify : bool
        Whether to read whose it is.
    full_resolution : bool
        Whether to decode it at its full size, also where less is enough.
    digest : bool
        Whether to hash its file, to tell whether a model was trained on it.
    """

    preprocessing: Preprocessing
    lungs: bool = False
    picture: bool = False
    identify: bool = False
    full_resolution: bool = False
    digest: bool = False


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """All that scoring needs of one file.

    Parameters
    ----------
    image : ndarray of float32, shape (height, width)
        As `Prepared.image`.
    to_radiograph : ndarray, shape (3, 3)
        As `Prepared.to_radiograph`.
    shape : tuple of int
        Rows and columns of the radiograph.
    warnings : tuple of ImageWarning
        See `napari_cxr.inference.prediction`.
    view : str
        By its header.
    lungs : LungField or None
        Its lungs, where asked for.
    markers : TextMarkers or None
        Text and side markers on it, where its lungs were asked for.
    picture : ndarray of uint8, shape (rows, columns), or None
        The whole radiograph as it should look, small, where asked for.
    identity : dict of str to str
        Entries of `napari_cxr.scoring.score_row.IDENTITY`, where asked for.
    decoded : str
        As of `Radiograph.decoded`.
    digest : str
        As `napari_cxr.checkpoint.model_images.image_digest`, where asked for.
    """

    image: np.ndarray
    to_radiograph: np.ndarray
    shape: tuple[int, int]
    warnings: tuple[ImageWarning, ...]
    view: str
    lungs: LungField | None = None
    markers: TextMarkers | None = None
    picture: np.ndarray | None = None
    identity: dict[str, str] = field(default_factory=dict)
    decoded: str = '1'
    digest: str = ''


#: Prepares files, each with its number, in any order; takes one only when it can. A str is
#: the reason why one cannot be scored. None comes while there is nothing, so that closing works.
ImagePreparer = Callable[
    [Iterable[tuple[int, Path]], PrepareOptions],
    Generator[tuple[int, PreparedImage | str] | None, None, None],
]


def prepare_image(path: str | Path, wanted: PrepareOptions) -> PreparedImage:
    """Read one file and make it the network's input.

    Parameters
    ----------
    path : str or Path
        Any image file. A hostile one may hang or abort a codec, so this belongs into a
        decoder process, see `napari_cxr.workers.decoder_pool.DecoderPool`.
    wanted : Wanted
        What to make of it.

    Raises
    ------
    UnreadableImage
        If it is damaged, or no projection radiograph.
    """
    least = None if wanted.full_resolution else wanted.preprocessing.least_decoded
    try:
        radiograph = image_files.read(path, least)
    except OSError as error:  # a path that is too long, or leads through a folder that is shut
        raise UnreadableImage(f'It cannot be opened: {error.strerror or error}.') from error
    if radiograph.refusal:
        raise UnreadableImage(f'{radiograph.refusal} It was not classified.')
    found, markers = None, None
    if wanted.lungs and radiograph.frames is None:
        found = lungs.find_lungs(radiograph)
        markers = text_markers(radiograph, found)
    prepared = wanted.preprocessing.apply(radiograph, field=found)
    return PreparedImage(
        image=prepared.image,
        to_radiograph=prepared.to_radiograph,
        shape=radiograph.shape,
        warnings=find_warnings(radiograph, prepared, found),
        view=str(radiograph.geometry.view),
        lungs=found,
        markers=markers,
        picture=_picture(radiograph) if wanted.picture else None,
        identity=_identity(path, radiograph) if wanted.identify else {},
        decoded=radiograph.decoded,
        digest=_digest(path) if wanted.digest else '',
    )


def _digest(path: str | Path) -> str:
    """Return the hash of a file that has just been read; empty if it has gone since."""
    try:
        return image_digest(path)
    except OSError:
        return ''


def prepare_here(
    items: Iterable[tuple[int, Path]], wanted: PrepareOptions
) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
    """Prepare files in this process, one by one: the `Reader` for files that one trusts."""
    for number, path in items:
        try:
            yield number, prepare_image(path, wanted)
        except UnreadableImage as error:
            yield number, str(error)
        except MemoryError:
            yield number, 'Decoding it would take too much memory.'


def _picture(radiograph: Radiograph) -> np.ndarray:
    """Return the radiograph as it should look, at most `LARGEST_PICTURE` a side."""
    scale = min(1.0, LARGEST_PICTURE / max(radiograph.shape))
    height, width = (max(1, round(side * scale)) for side in radiograph.shape)
    small = resample(radiograph, (0, 0, *radiograph.shape), height, width)
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)


def _identity(path: str | Path, radiograph: Radiograph) -> dict[str, str]:
    if radiograph.provenance.format != 'DICOM':
        return {}
    from napari_cxr.dicom.elements import text
    from napari_cxr.dicom.headers import quiet, read_header

    with quiet():
        dataset = read_header(path).dataset
        found = {name: text(dataset, keyword) for name, keyword in IDENTITY.items()}
    return {name: value for name, value in found.items() if value}
