"""Find the lungs: ask the network, and do not believe an answer that is no pair of lungs."""

from __future__ import annotations

from dataclasses import replace

from napari_cxr.lungs.atlas import average_lungs
from napari_cxr.lungs.field import LungField
from napari_cxr.lungs.glancing import glance
from napari_cxr.lungs.network import SIZE, probabilities
from napari_cxr.lungs.plausible import plausibility
from napari_cxr.radiograph import Radiograph

__all__ = ['find']


def find(radiograph: Radiograph, preset: int = 0) -> LungField:
    """Find both lungs on an upright frontal radiograph.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    preset : int
        Which of its presets to show the network.

    Returns
    -------
    LungField
        The network's answer, or the atlas where that looks like no pair of lungs; then
        `implausible` says what is odd about it.

    Raises
    ------
    UnreadableImage
        If it has several frames.
    """
    _, right, left = probabilities(glance(radiograph, SIZE, preset))
    found = LungField(right, left, radiograph.shape)
    share, phrase = plausibility(found)
    if phrase:
        return LungField(*average_lungs(), radiograph.shape, 'atlas', share, phrase)
    return replace(found, plausibility=share)
