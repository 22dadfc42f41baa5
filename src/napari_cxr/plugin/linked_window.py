"""Two radiographs whose windows follow each other, though their values do not compare.

Devices write values of 10, 12 or 15 bits, and some the wrong way round: equal limits would show
one of two radiographs black. So what is linked is the change, as a fraction of each one's own
window when they were laid side by side, and brighter is brighter on both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

__all__ = ['LinkedWindow']


class LinkedWindow:
    """Links contrast limits and gamma of two layers until `end`.

    Parameters
    ----------
    one, other : napari.layers.Image
        Grey layers; colour has no window, and is left alone.
    """

    def __init__(self, one: Image, other: Image) -> None:
        self._layers: tuple[Image, ...] = () if one.rgb or other.rgb else (one, other)
        self._references = {layer: tuple(layer.contrast_limits) for layer in self._layers}
        self._acting = False
        for layer in self._layers:
            layer.events.contrast_limits.connect(self._follow)
            layer.events.gamma.connect(self._follow_gamma)

    def end(self) -> None:
        """Link them no longer; both keep the window that they have."""
        for layer in self._layers:
            layer.events.contrast_limits.disconnect(self._follow)
            layer.events.gamma.disconnect(self._follow_gamma)
        self._layers = ()

    def _follow(self, event: Any) -> None:
        if self._acting or event.source not in self._layers:
            return
        changed = event.source
        other = self._layers[1] if changed is self._layers[0] else self._layers[0]
        low, high = self._references[changed]
        span = max(high - low, 1e-30)
        at = [(float(limit) - low) / span for limit in changed.contrast_limits]
        if _rises(changed) != _rises(other):
            at = [1 - at[1], 1 - at[0]]
        low, high = self._references[other]
        limits = [low + part * (high - low) for part in at]
        self._acting = True
        try:
            reach = other.contrast_limits_range
            other.contrast_limits_range = (min(reach[0], limits[0]), max(reach[1], limits[1]))
            other.contrast_limits = limits
        finally:
            self._acting = False

    def _follow_gamma(self, event: Any) -> None:
        if self._acting:
            return
        self._acting = True
        try:
            for layer in self._layers:
                if layer is not event.source:
                    layer.gamma = event.source.gamma
        finally:
            self._acting = False


def _rises(layer: Image) -> bool:
    """Return whether a layer draws its greater values brighter."""
    dark, light = layer.colormap.map(np.array([0.0, 1.0]))[:, :3].sum(axis=1)
    return bool(light >= dark)
