"""The network that finds lungs, with its weights."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import numpy as np

from napari_cxr.lungs.unet import forward
from napari_cxr.lungs.weights_file import read_card, read_weights

__all__ = ['SIZE', 'card', 'fingerprint', 'probabilities', 'softmax']

#: Rows and columns of what it looks at.
SIZE = 128
_FILE = 'lung-field.safetensors'
_TABLES = ('average_lungs.csv', 'plausible_lungs.csv')
#: To be changed where the code finds other lungs than before, or shows them otherwise.
_FORM = b'1'


def probabilities(image: np.ndarray) -> np.ndarray:
    """Return what each pixel of a small view shows.

    Parameters
    ----------
    image : ndarray of float32, shape (128, 128)
        From `glance`.

    Returns
    -------
    ndarray of float32, shape (3, 128, 128)
        Probabilities of: no lung, the lung on the left of the image, which is the
        patient's right one if the image stands upright, and the other lung.
    """
    return softmax(forward(read_weights(_FILE), image))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (classes, ...) into probabilities."""
    exponentials = np.exp(logits - logits.max(axis=0))
    return np.asarray(exponentials / exponentials.sum(axis=0))


def card() -> dict[str, Any]:
    """Return what the weights file says of itself: data, figures, licence, training."""
    return read_card(_FILE, 'napari_cxr.lung_field')


@cache
def fingerprint() -> str:
    """Return 12 digits that change with the lung field: models that look at lungs depend on it.

    Of the SHA-256 of the weights, of the tables of the atlas and of what is plausible, and
    of the form of the code.
    """
    folder = files('napari_cxr.lungs')
    content = [folder.joinpath(name).read_bytes() for name in (_FILE, *_TABLES)]
    return sha256(b'\0'.join([_FORM, *content])).hexdigest()[:12]
