"""What was found on one radiograph, kept for the next question about it.

Lungs, text, the frontal check and a network's input each look at all pixels of a radiograph,
which takes several times as long as the network itself. Another model, or another click, is
most often about the image of the last one.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np

from napari_cxr.inference.preprocessing import NetworkInput, Preprocessing
from napari_cxr.lungs import LungField, find_lungs
from napari_cxr.lungs.frontal_check import FrontalCheck, check_frontal
from napari_cxr.lungs.text_markers import TextMarkers, text_markers
from napari_cxr.radiograph import Radiograph

__all__ = ['ImageFindings']

#: Inputs that are kept: of as many kinds of preprocessing.
_MOST_INPUTS = 4

#: Elements of an array that are compared at once, so that the result stays in the cache.
_AT_ONCE = 1 << 18


class ImageFindings:
    """What was found on one radiograph; each thing is found when it is first asked for.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame, shown by its first preset. Nobody may change its pixels.
    field : LungField, optional
        Its lungs as a person has corrected them; by default they are found.
    """

    def __init__(self, radiograph: Radiograph, field: LungField | None = None) -> None:
        self.radiograph = radiograph
        self._given = field
        self._inputs: dict[Preprocessing, NetworkInput] = {}

    def are_of(self, radiograph: Radiograph, field: LungField | None) -> bool:
        """Tell whether an image is the same, in every pixel and entry, with the same lungs."""
        return _alike(self._given, field) and _alike(self.radiograph, radiograph)

    @cached_property
    def field(self) -> LungField:
        """The lungs; raises what `find_lungs` does."""
        return find_lungs(self.radiograph) if self._given is None else self._given

    @cached_property
    def frontal(self) -> FrontalCheck:
        """Whether it is an upright frontal chest radiograph."""
        return check_frontal(self.radiograph, self.field)

    @cached_property
    def markers(self) -> TextMarkers:
        """Text and side markers."""
        return text_markers(self.radiograph, self.field)

    def network_input(self, preprocessing: Preprocessing) -> NetworkInput:
        """Return what `Preprocessing.apply` makes of it, and raise what that does."""
        if preprocessing not in self._inputs:
            while len(self._inputs) >= _MOST_INPUTS:
                del self._inputs[next(iter(self._inputs))]
            # Of several frames `apply` says what is wrong.
            lungless = preprocessing.lungs == 'ignored' or self.radiograph.frames is not None
            field = None if lungless else self.field
            self._inputs[preprocessing] = preprocessing.apply(self.radiograph, field=field)
        return self._inputs[preprocessing]


def _alike(one: Any, other: Any) -> bool:
    """Compare two objects as they come from another process, arrays by their elements."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return _alike_arrays(one, other)
    if is_dataclass(one):
        # Short entries first: most images differ in one of them.
        entries = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
        entries.sort(key=lambda pair: isinstance(pair[0], np.ndarray))
        return all(_alike(*pair) for pair in entries)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


def _alike_arrays(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    one, other = one.reshape(-1), other.reshape(-1)
    return all(
        np.array_equal(one[at : at + _AT_ONCE], other[at : at + _AT_ONCE])
        for at in range(0, one.size, _AT_ONCE)
    )
