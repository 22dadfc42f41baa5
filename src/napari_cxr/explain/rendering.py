"""A heatmap drawn over its radiograph as a picture, and the colours it is drawn in."""

from __future__ import annotations

import numpy as np

from napari_cxr.explain.heatmap import Heatmap

__all__ = ['HEAT_COLOURS', 'draw']

#: Red, green, blue and opacity from no evidence to the strongest, at even steps.
HEAT_COLOURS = np.array(
    [
        [0.10, 0.20, 0.85, 0.00],
        [0.10, 0.45, 1.00, 0.12],
        [0.10, 0.85, 0.75, 0.50],
        [0.95, 0.90, 0.15, 0.85],
        [1.00, 0.45, 0.05, 1.00],
        [0.85, 0.05, 0.05, 1.00],
    ]
)


def draw(
    display: np.ndarray, heatmap: Heatmap, strongest: float, opacity: float = 0.5
) -> np.ndarray:
    """Return a radiograph with a heatmap over it.

    Parameters
    ----------
    display : ndarray of float32, shape (h, w)
        The radiograph as it should look, in [0, 1].
    heatmap : Heatmap
        Its map.
    strongest : float
        The value drawn in the last colour.
    opacity : float
        Opacity of that colour, in [0, 1].

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    share = heatmap.sample_on(display.shape) / max(strongest, 1e-12)
    steps = np.linspace(0, 1, len(HEAT_COLOURS))
    colour = np.stack([np.interp(share, steps, HEAT_COLOURS[:, i]) for i in range(3)], axis=-1)
    alpha = opacity * np.interp(share, steps, HEAT_COLOURS[:, 3])[..., None]
    mixed = display[..., None] * (1 - alpha) + colour * alpha
    return (np.clip(mixed, 0, 1) * 255).round().astype(np.uint8)
