"""Whether a picture is an upright frontal chest radiograph, with black and white the right way.

A picture can be held in eight orientations: as it is, mirrored, upside down, turned by half a
circle, and each of these with black and white exchanged. A small network gives one number to
each. It was trained (`scripts/fit_frontal_check.py`) so that for a radiograph the right
orientation gets the greatest of the eight, and that each of the eight of any other picture is
below 0. Asking all eight is what makes its answer even-handed: what it says of a mirrored
radiograph is by construction what it says of the radiograph, with two entries exchanged.

The rule: if the network takes none of the eight for a chest radiograph, the picture is
something else; if it hesitates about the best of them, the lungs decide: without a plausible
pair of lungs it is something else too. If another orientation than the one at hand looks
better by more than a bound, that is what is wrong: inverted, upside down, mirrored.

The bounds were set on radiographs of the sources that the network was trained on, and judged
on one source after another that was held out; `docs/frontal-check.md` has the numbers. The
bound for mirrored is high: many chests look nearly the same from behind, and a false alarm in
front of every fiftieth radiograph is the most a person will read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from napari_cxr.correction import NO_CORRECTION, Correction
from napari_cxr.lungs.lung_field import LungField, find_lungs
from napari_cxr.lungs.lung_network import downscale, read_weights, read_weights_card
from napari_cxr.radiograph import Radiograph

__all__ = [
    'FRONTAL_INPUT_SIZE',
    'ORIENTATIONS',
    'UNTRIMMED_SIZE',
    'FrontalCheck',
    'FrontalKind',
    'check_frontal',
    'frontal_card',
    'frontal_fingerprint',
    'frontal_weights',
    'judge_scores',
    'orientation_scores',
    'without_margins',
]

#: Rows and columns of what it looks at.
FRONTAL_INPUT_SIZE = 64

#: Rows and columns of the downscaled image that blank margins are cut from first.
UNTRIMMED_SIZE = 96

#: Rows and columns whose range is less than this fraction of the downscaled image's are blank.
_BLANK = 0.1

#: What is wrong with a radiograph that looks right when held in each of the eight orientations.
ORIENTATIONS = (
    'frontal', 'mirrored', 'upside-down', 'upside-down',
    'inverted', 'inverted', 'inverted', 'inverted',
)  # fmt: skip

#: What brings an image that looks right in each of these orientations into it.
_CORRECTIONS = tuple(
    Correction(inverted, mirrored, turns)
    for inverted in (False, True)
    for mirrored, turns in ((False, 0), (True, 0), (True, 2), (False, 2))
)

_FILE = 'frontal.safetensors'

#: To be changed where the code comes to other answers than before.
_CODE_VERSION = b'1'


def orientation_scores(
    image: np.ndarray, tensors: dict[str, np.ndarray] | None = None
) -> np.ndarray:
    """Return how much a picture looks like a frontal radiograph, in each way to hold it.

    Parameters
    ----------
    image : ndarray of float32, shape (64, 64)
        From `trimmed`.
    tensors : dict of ndarray, optional
        Weights as `weights` returns them, which are the default.

    Returns
    -------
    ndarray of float32, shape (8,)
        In the order of `ORIENTATIONS`. Above 0, more like a radiograph than like anything else;
        differences are logarithms of odds.
    """
    tensors = frontal_weights() if tensors is None else tensors
    flips = [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]
    x = np.stack([*flips, *(1 - flip for flip in flips)])[..., None].astype(np.float32)
    layers = sum(name.startswith('conv.') for name in tensors) // 2
    for i in range(layers):
        x = _convolved(x, tensors[f'conv.{i}.weight'], tensors[f'conv.{i}.bias'])
    total = tensors['sum.weight'].transpose(1, 2, 0).ravel()
    return np.asarray(x.reshape(len(x), -1) @ total + tensors['sum.bias'])


def without_margins(wide: np.ndarray) -> np.ndarray:
    """Cut blank margins off a downscaled image, as of a screenshot or a page, and downscale it.

    Parameters
    ----------
    wide : ndarray of float32, shape (96, 96)
        From `downscale`..

    Returns
    -------
    ndarray of float32, shape (64, 64)
        Percentiles 0.5 and 99.5 are 0 and 1 again.
    """
    from PIL import Image

    rows, columns = (np.flatnonzero(np.ptp(wide, axis=axis) > _BLANK) for axis in (1, 0))
    top, bottom, left, right = 0, len(wide), 0, wide.shape[1]
    if len(rows) and len(columns):
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    picture = Image.fromarray(np.ascontiguousarray(wide[top:bottom, left:right]))
    small = np.asarray(
        picture.resize((FRONTAL_INPUT_SIZE, FRONTAL_INPUT_SIZE), Image.Resampling.BILINEAR)
    )
    low, high = np.percentile(small, (0.5, 99.5))
    if high - low < 1e-6:
        return small
    return np.clip((small - np.float32(low)) / np.float32(high - low), 0, 1)


def frontal_card() -> dict[str, Any]:
    """Return what the weights file says of itself: bounds, figures, data, licence."""
    return read_weights_card(_FILE, 'napari_cxr.frontal')


@cache
def frontal_fingerprint() -> str:
    """Return 12 digits that change with the check: of its weights, its bounds and its code."""
    content = files('napari_cxr.lungs').joinpath(_FILE).read_bytes()
    return sha256(b'\0'.join([_CODE_VERSION, content])).hexdigest()[:12]


def frontal_weights() -> dict[str, np.ndarray]:
    """Return the weights, in single precision."""
    return read_weights(_FILE)


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve with 3x3 kernels and a stride of 2, zeros around, add the bias, and rectify.

    Parameters
    ----------
    x : ndarray, shape (n, rows, columns, in)
    weight : ndarray, shape (out, in, 3, 3)
    bias : ndarray, shape (out,)

    Returns
    -------
    ndarray, shape (n, rows / 2, columns / 2, out)
    """
    n, rows, columns, channels = x.shape
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # Side by side, the nine pixels under the kernel make the convolution one matrix product.
    shifts = [(down, across) for down in range(3) for across in range(3)]
    seen = np.concatenate(
        [x[:, down : down + rows : 2, across : across + columns : 2] for down, across in shifts],
        axis=3,
    ).reshape(-1, 9 * channels)
    out = seen @ weight.transpose(2, 3, 1, 0).reshape(9 * channels, -1)
    out += bias
    np.maximum(out, 0, out=out)
    return out.reshape(n, rows // 2, columns // 2, -1)


FrontalKind = Literal['frontal', 'inverted', 'upside-down', 'mirrored', 'other']

_SENTENCES: dict[str, str] = {
    'frontal': '',
    'inverted': (
        'Black and white look exchanged: the lungs should be dark. The header may be wrong; '
        'invert the image and classify it again. Or it is not a chest radiograph.'
    ),
    'upside-down': (
        'This looks upside down. Turn it upright and classify it again. Or it is not a chest '
        'radiograph.'
    ),
    'mirrored': (
        'This may be mirrored: what should be on the left seems to be on the right. Compare the '
        'side marker with the heart; if they disagree, mirror the image and classify it again.'
    ),
    'other': (
        'This does not look like an upright frontal chest radiograph, so a model’s answer would '
        'be meaningless. Check that it is the right image and does not lie on its side.'
    ),
}


@dataclass(frozen=True)
class FrontalCheck:
    """What a picture was taken for.

    Parameters
    ----------
    kind : {'frontal', 'inverted', 'upside-down', 'mirrored', 'other'}
        'frontal' where nothing speaks clearly against it.
    score : float
        In [0, 1]: how sure the network is that it is an upright frontal radiograph, as
        a fraction of the nine answers it can give. It is not the probability that it is one
        where you work: there, hardly any image is mirrored or upside down.
    correction : Correction
        What would make it look right; none of 'frontal' and 'other'.
    """

    kind: FrontalKind
    score: float
    correction: Correction = NO_CORRECTION

    @property
    def message(self) -> str:
        """What to tell a person, and what to do about it; empty if it looks right."""
        return _SENTENCES[self.kind]


def check_frontal(
    radiograph: Radiograph, field: LungField | None = None, preset: int = 0
) -> FrontalCheck:
    """Say whether a radiograph looks like an upright frontal chest radiograph.

    Only what is seen counts here; what the header says of view and modality is for the
    one who asks (`Radiograph.geometry.view`, `Radiograph.refusal`).

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    field : LungField, optional
        Its lungs, as `find` returns them; found here where they are needed, otherwise.
    preset : int
        Which of its presets to look at.

    Raises
    ------
    UnreadableImage
        If it has several frames.
    """
    scores = orientation_scores(
        without_margins(downscale(_thinned(radiograph), UNTRIMMED_SIZE, preset))
    )
    bounds = frontal_card()['bounds']
    lungless = False
    if bounds['other'] <= scores.max() < bounds['sure']:
        field = find_lungs(radiograph, preset) if field is None else field
        lungless = bool(field.implausible)
    return judge_scores(scores, bounds, lungless)


def _thinned(radiograph: Radiograph) -> Radiograph:
    """Leave out rows and columns that 96 x 96 pixels of a full-size radiograph do not need."""
    step = max(1, min(radiograph.values.shape[:2]) // (8 * UNTRIMMED_SIZE))
    part = np.s_[..., ::step, ::step]
    colour = (*part, slice(None)) if radiograph.is_colour else part
    return replace(
        radiograph,
        values=radiograph.values[colour],
        padding=None if radiograph.padding is None else radiograph.padding[part],
        overlays=(),
        step=1 if radiograph.full_shape is None else step * radiograph.step,
    )


def judge_scores(
    scores: np.ndarray, bounds: dict[str, float], lungless: bool = False
) -> FrontalCheck:
    """Apply the rule to the network's answers.

    Parameters
    ----------
    scores : ndarray, shape (8,)
        Of the eight orientations, in the order of `ORIENTATIONS`.
    bounds : dict of str to float
        'other': below it, the best of the eight is not a radiograph; 'sure': from it on, the
        lungs are not asked; 'inverted', 'upside-down' and 'mirrored': by how much such an
        orientation must look better than the picture as it is.
    lungless : bool
        Whether no plausible lungs were found.
    """
    upright = float(scores[0])
    certainty = np.exp(np.append(scores, 0) - max(0, scores.max()))
    score = float(certainty[0] / certainty.sum())
    if scores.max() < bounds['sure' if lungless else 'other']:
        return FrontalCheck('other', score)
    kinds: tuple[FrontalKind, ...] = ('inverted', 'upside-down', 'mirrored')
    excess = {
        kind: max(float(s) for s, held in zip(scores, ORIENTATIONS, strict=True) if held == kind)
        - upright
        - bounds[kind]
        for kind in kinds
    }
    likely = max(kinds, key=lambda kind: excess[kind])
    if excess[likely] <= 0:
        return FrontalCheck('frontal', score)
    best = max(
        (at for at, held in enumerate(ORIENTATIONS) if held == likely), key=lambda at: scores[at]
    )
    return FrontalCheck(likely, score, _CORRECTIONS[best])
