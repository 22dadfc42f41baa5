"""From a file to all that training needs of it, with pixels as small integers at input size.

Also how it is written to a row of the image cache, with a checksum.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr import image_files
from napari_cxr.decoding_memory import is_passing
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.metrics.baseline import baseline_features
from napari_cxr.radiograph import Radiograph, UnreadableImage, View
from napari_cxr.training.duplicates import THUMBNAIL_SIDE, thumbnail

__all__ = [
    'INFERENCE_BITS',
    'LATERAL',
    'ImageReader',
    'TrainingImage',
    'UnusableImage',
    'decode_image',
    'image_from_json',
    'image_to_json',
    'read_in_process',
    'sealed',
    'unsealed',
]

#: Instead of 8 or 16: floats, read as `classify` and `score` read them.
INFERENCE_BITS = 32

LATERAL = 'This is a lateral view; networks are trained on frontal views only.'


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """All that training needs of one image.

    Parameters
    ----------
    image : ndarray of uint8, uint16 or float32, shape (h, w)
        As returned by `Preprocessing.apply`; integers are times 255 or 65535.
    features : ndarray of float32, shape (44,)
        Features of the whole radiograph for the no-anatomy baselines.
    size : tuple of int
        Rows and columns of the file.
    thumbnail : ndarray of uint8, shape (32, 32)
        Of the whole radiograph, see `napari_cxr.training.duplicates`.
    patient : str
        Pseudonym of the patient in a DICOM header, or empty.
    """

    image: np.ndarray
    features: np.ndarray
    size: tuple[int, int]
    thumbnail: np.ndarray
    patient: str


class UnusableImage(str):
    """The reason why a file cannot be used, if it is permanent."""

    __slots__ = ()


#: Decodes numbered files, in any order; a str is the reason why a file cannot be used.
ImageReader = Callable[
    [Sequence[tuple[int, Path]], Preprocessing, int], Iterator[tuple[int, TrainingImage | str]]
]


def decode_image(path: str | Path, preprocessing: Preprocessing, bits: int) -> TrainingImage:
    """Decode one file, and resize it to the input size.

    Parameters
    ----------
    path : str or Path
        Any image file. A malicious one may hang or crash a codec, so call this in a decoder
        process, see `napari_cxr.workers.decoder_pool.DecoderPool`.
    preprocessing : Preprocessing
        How it becomes the input of a network.
    bits : {8, 16, 32}
        Bits of the returned image; with 32 it is read as `classify` and `score` read it, and
        features and thumbnail are left empty.

    Raises
    ------
    UnreadableImage
        If it is damaged, a lateral view, or not a projection radiograph.
    MemoryError
        If there is not enough memory at the moment.
    """
    try:
        least = preprocessing.least_decoded if bits == INFERENCE_BITS else None
        radiograph = image_files.read(path, least)
    except UnreadableImage as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from None
        raise
    if radiograph.refusal:
        raise UnreadableImage(radiograph.refusal)
    if radiograph.geometry.view is View.LATERAL:
        raise UnreadableImage(LATERAL)
    image = preprocessing.apply(radiograph).image
    if bits == INFERENCE_BITS:
        nothing = np.zeros((THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
        return TrainingImage(image, np.zeros(0, np.float32), radiograph.shape, nothing, '')
    return TrainingImage(
        image=np.rint(image * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16),
        features=baseline_features(radiograph),
        size=radiograph.shape,
        thumbnail=thumbnail(radiograph.to_display()),
        patient=_patient(path, radiograph),
    )


def read_in_process(
    items: Sequence[tuple[int, Path]], preprocessing: Preprocessing, bits: int
) -> Iterator[tuple[int, TrainingImage | str]]:
    """Decode files in this process, one by one: the `ImageReader` for trusted files."""
    for number, path in items:
        try:
            yield number, decode_image(path, preprocessing, bits)
        except UnreadableImage as error:
            yield number, str(error) if is_passing(str(error)) else UnusableImage(error)
        except MemoryError:
            yield number, 'Decoding it would take too much memory.'


def _patient(path: str | Path, radiograph: Radiograph) -> str:
    """Return the patient's pseudonym, or nothing if it would not tell patients apart."""
    if radiograph.provenance.format != 'DICOM':
        return ''
    from napari_cxr.dicom.elements import text
    from napari_cxr.dicom.headers import quiet, read_header
    from napari_cxr.dicom.privacy import secret_path

    # Without a Patient ID the pseudonym is the instance's; without a stored secret, each
    # decoder process makes pseudonyms of its own.
    if not secret_path().is_file():
        return ''
    with quiet():
        named = text(read_header(path).dataset, 'PatientID')
    return radiograph.provenance.pseudonyms['patient'] if named else ''


_SEAL = 16  # bytes


def sealed(key: bytes, data: bytes) -> bytes:
    """Return data with a keyed checksum in front."""
    return hashlib.blake2b(data, digest_size=_SEAL, key=key).digest() + data


def unsealed(key: bytes, raw: Any) -> bytes | None:
    """Return the data, or None if they are not what was written under this key."""
    if not isinstance(raw, bytes):
        return None
    data = raw[_SEAL:]
    return data if hmac.compare_digest(sealed(key, data)[:_SEAL], raw[:_SEAL]) else None


def image_to_json(entry: TrainingImage | UnusableImage) -> bytes:
    """Return the metadata of an image, or the reason why it cannot be used, as JSON."""
    if isinstance(entry, UnusableImage):
        return json.dumps({'reason': str(entry)}).encode()
    return json.dumps(
        {
            'features': entry.features.tolist(),
            'size': entry.size,
            'thumbnail': base64.b64encode(entry.thumbnail.tobytes()).decode('ascii'),
            'patient': entry.patient,
        }
    ).encode()


def image_from_json(text: bytes) -> dict[str, Any] | UnusableImage:
    """Read what `image_to_json` returned, with its arrays."""
    entry = json.loads(text)
    if 'reason' in entry:
        return UnusableImage(entry['reason'])
    pixels = np.frombuffer(base64.b64decode(entry['thumbnail']), np.uint8)
    return {
        **entry,
        'features': np.array(entry['features'], dtype=np.float32),
        'thumbnail': pixels.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE),
    }
