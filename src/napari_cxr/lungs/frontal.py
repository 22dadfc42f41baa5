"""Whether a picture is an upright frontal chest radiograph, with black and white the right way.

The whole rule. A small network compares the eight ways to hold the picture
(`frontal_network`). If it takes none of them for a chest radiograph, the picture is
something else; if it hesitates about the best of them, the lungs decide: without a
plausible pair of lungs it is something else too. If another way than the one at hand
looks better by more than a bound, that is what is wrong: inverted, upside down, mirrored.

The bounds were set on radiographs of the sources that the network was trained on, and
judged on one source after another that was left out; `docs/frontal-check.md` has the
figures. The bound for mirrored is high: many chests look nearly the same from behind,
and a false alarm in front of every fiftieth radiograph is the most a person will read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from napari_cxr.lungs.field import LungField
from napari_cxr.lungs.finding import find
from napari_cxr.lungs.frontal_network import WAYS, WIDE, answers, card, trimmed
from napari_cxr.lungs.glancing import glance
from napari_cxr.radiograph import Radiograph

__all__ = ['Frontal', 'Kind', 'check', 'judge']

Kind = Literal['frontal', 'inverted', 'upside-down', 'mirrored', 'other']

_SENTENCES: dict[str, str] = {
    'frontal': '',
    'inverted': (
        'Black and white look exchanged: the lungs should be dark. The header may be wrong; '
        'invert the image, save it and classify the new one. Or this is no chest radiograph.'
    ),
    'upside-down': (
        'This looks upside down. Turn it upright in an image editor, save it and classify '
        'the new image. Or this is no chest radiograph.'
    ),
    'mirrored': (
        'This may be mirrored: what should be on the left seems to be on the right. Compare '
        'the side marker with the heart; if they disagree, mirror the image and save it anew.'
    ),
    'other': (
        'This does not look like an upright frontal chest radiograph, so a model’s answer '
        'means nothing. Check that it is the right image and does not lie on its side.'
    ),
}


@dataclass(frozen=True)
class Frontal:
    """What a picture was taken for.

    Parameters
    ----------
    likely : {'frontal', 'inverted', 'upside-down', 'mirrored', 'other'}
        'frontal' where nothing speaks clearly against it.
    score : float
        In [0, 1]: how sure the network is that it is an upright frontal radiograph, as
        a share of the nine answers it can give. It is not the probability that it is one
        where you work: there, hardly any image is mirrored or upside down.
    """

    likely: Kind
    score: float

    @property
    def sentence(self) -> str:
        """What to tell a person, and what to do about it; empty if it looks right."""
        return _SENTENCES[self.likely]


def check(radiograph: Radiograph, field: LungField | None = None, preset: int = 0) -> Frontal:
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
    scores = answers(trimmed(glance(_thinned(radiograph), WIDE, preset)))
    bounds = card()['bounds']
    lungless = False
    if bounds['other'] <= scores.max() < bounds['sure']:
        field = find(radiograph, preset) if field is None else field
        lungless = bool(field.implausible)
    return judge(scores, bounds, lungless)


def _thinned(radiograph: Radiograph) -> Radiograph:
    """Leave out rows and columns that 96 x 96 pixels of a full-size radiograph do not need."""
    step = max(1, min(radiograph.shape) // (8 * WIDE))
    part = np.s_[..., ::step, ::step]
    colour = (*part, slice(None)) if radiograph.is_colour else part
    return replace(
        radiograph,
        values=radiograph.values[colour],
        padding=None if radiograph.padding is None else radiograph.padding[part],
        overlays=(),
    )


def judge(scores: np.ndarray, bounds: dict[str, float], lungless: bool = False) -> Frontal:
    """Apply the rule to the network's answers.

    Parameters
    ----------
    scores : ndarray, shape (8,)
        Of the eight ways, in the order of `frontal_network.WAYS`.
    bounds : dict of str to float
        'other': below it, the best of the eight is no radiograph; 'sure': from it on, the
        lungs are not asked; 'inverted', 'upside-down' and 'mirrored': by how much such a
        way must look better than the picture as it is.
    lungless : bool
        Whether no plausible lungs were found.
    """
    upright = float(scores[0])
    certainty = np.exp(np.append(scores, 0) - max(0, scores.max()))
    score = float(certainty[0] / certainty.sum())
    if scores.max() < bounds['sure' if lungless else 'other']:
        return Frontal('other', score)
    kinds: tuple[Kind, ...] = ('inverted', 'upside-down', 'mirrored')
    excess = {
        kind: max(float(s) for s, way in zip(scores, WAYS, strict=True) if way == kind)
        - upright
        - bounds[kind]
        for kind in kinds
    }
    likely = max(kinds, key=lambda kind: excess[kind])
    return Frontal(likely if excess[likely] > 0 else 'frontal', score)
