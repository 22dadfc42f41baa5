"""How synthetic radiographs are drawn: shapes on a canvas, the beam through them, the detector.

Thicknesses of water and bone are summed along the beam, attenuated by the law of Beer and
Lambert, blurred by scatter and degraded by quantum noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ['Canvas', 'develop', 'expose', 'smooth_curve', 'soft_step']

_RENDERED = 768  # long side at which the anatomy is computed

_WATER = 0.2  # attenuation of water and soft tissue, 1/cm

_BONE = 0.48  # of cortical bone, in addition to that of water


@dataclass
class Canvas:
    """Coordinates of a frame, x and y from -1 to 1, and the shapes that are drawn on it."""

    height: int
    width: int

    def __post_init__(self) -> None:
        self.y, self.x = np.meshgrid(
            np.linspace(-1, 1, self.height), np.linspace(-1, 1, self.width), indexing='ij'
        )

    def ellipsoid(
        self, x: float, y: float, rx: float, ry: float, angle: float = 0.0
    ) -> np.ndarray:
        """Return the chord, from 0 to 1, of an ellipsoid; `angle` in degrees."""
        turn = np.deg2rad(angle)
        # Computed only where it lies: most are a small part of the frame.
        reach_x = np.hypot(rx * np.cos(turn), ry * np.sin(turn))
        reach_y = np.hypot(rx * np.sin(turn), ry * np.cos(turn))
        left, right = np.searchsorted(self.x[0], (x - reach_x, x + reach_x))
        top, bottom = np.searchsorted(self.y[:, 0], (y - reach_y, y + reach_y))
        window = np.s_[top:bottom, left:right]
        dx, dy = self.x[window] - x, self.y[window] - y
        along = dx * np.cos(turn) + dy * np.sin(turn)
        across = dy * np.cos(turn) - dx * np.sin(turn)
        out = np.zeros((self.height, self.width))
        out[window] = np.sqrt(np.maximum(1 - (along / rx) ** 2 - (across / ry) ** 2, 0))
        return out

    def tube(
        self,
        points: np.ndarray,
        radii: np.ndarray | float,
        onto: np.ndarray | None = None,
        weights: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Return the chord of a tube along a curve, as a fraction of the frame's half width.

        Parameters
        ----------
        points : ndarray, shape (n, 2)
            x and y of points on the axis, closer together than a radius.
        radii : ndarray or float
            Radius at each point, as a fraction of the half width.
        onto : ndarray, optional
            Where to draw it; the greater chord is kept, so that the branches of
            one tree do not add up.
        weights : ndarray or float
            Factor at each point, to fade out an end.
        """
        out = np.zeros((self.height, self.width)) if onto is None else onto
        half = self.width / 2
        # Python numbers: for thousands of small windows numpy's overhead exceeds the arithmetic.
        columns = ((points[:, 0] + 1) / 2 * (self.width - 1)).tolist()
        rows = ((points[:, 1] + 1) / 2 * (self.height - 1)).tolist()
        around = np.maximum(np.broadcast_to(radii, len(points)) * half, 0.6).tolist()
        strengths = (np.broadcast_to(weights, len(points)) / half).tolist()
        y, x = np.arange(self.height)[:, None], np.arange(self.width)
        for row, column, r, strength in zip(rows, columns, around, strengths, strict=True):
            top, left = max(int(row - r), 0), max(int(column - r), 0)
            bottom, right = int(row + r) + 2, int(column + r) + 2
            window = out[top:bottom, left:right]
            if window.size == 0:
                continue
            dy, dx = y[top:bottom] - row, x[left:right] - column
            chord = np.maximum(r * r - dx * dx - dy * dy, 0)
            np.sqrt(chord, out=chord)
            chord *= 2
            chord *= strength
            np.maximum(window, chord, out=window)
        return out

    def hollow(
        self, points: np.ndarray, radius: np.ndarray | float, strength: np.ndarray | float
    ) -> np.ndarray:
        """Return the bone of a tube whose marrow is lighter than its cortex."""
        radius, strength = np.asarray(radius), np.asarray(strength)
        outer = self.tube(points, radius, weights=strength)
        inner = self.tube(points, 0.72 * radius, weights=0.78 * strength)
        return np.asarray(np.maximum(outer - inner, 0))


def soft_step(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 0 to 1 across an edge of some width."""
    return np.asarray(1 / (1 + np.exp(np.clip(-distance / width, -60, 60))))


def smooth_curve(at: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate without overshoot between knots."""
    from scipy.interpolate import PchipInterpolator

    return np.asarray(PchipInterpolator(knots, values, extrapolate=True)(at))


def expose(
    canvas: Canvas, water: np.ndarray, bone: np.ndarray, marker: np.ndarray, shutter: np.ndarray
) -> np.ndarray:
    """Return the exposure of the detector, 1 for the unattenuated beam.

    Parameters
    ----------
    canvas : Canvas
        The frame.
    water, bone : ndarray
        Thickness along the beam in cm.
    marker, shutter : ndarray
        Lead letters, and the collimated field; from 0 to 1.
    """
    from scipy import ndimage

    sigma = 0.0016 * canvas.height
    water, bone = ndimage.gaussian_filter(water, sigma), ndimage.gaussian_filter(bone, sigma)
    primary = np.exp(-_WATER * np.maximum(water, 0) - _BONE * bone)
    # Scatter comes from tissue only, not from the open beam beside the body.
    scattered = ndimage.gaussian_filter(np.minimum(primary, 0.12), 0.09 * canvas.width)
    exposure = (primary + 0.35 * scattered) * np.exp(-1.6 * marker)
    # Digital systems show black outside the collimated field.
    exposure = np.asarray(np.exp(np.log(exposure) * shutter))
    exposure.flags.writeable = False
    return exposure


def develop(
    exposed: Callable[[int, int], np.ndarray],
    shape: tuple[int, int],
    seed: int,
    noise: float = 1.0,
    take: int = 0,
) -> np.ndarray:
    """Return the image that a detector makes of an exposure.

    Parameters
    ----------
    exposed : callable
        From rows and columns to the exposure, 1 for the unattenuated beam.
    shape, seed, noise, take
        See `phantom`.

    Returns
    -------
    ndarray of float32
        As `phantom` returns it.
    """
    from scipy import ndimage

    rows, columns = shape
    # Drawn at a fixed size and resized, so that a seed gives one person at every size.
    scale = _RENDERED / max(rows, columns)
    height, width = max(32, round(rows * scale)), max(32, round(columns * scale))
    exposure = exposed(height, width)
    attenuation = -np.log(exposure)
    local = ndimage.gaussian_filter(attenuation, 0.035 * _RENDERED)
    smooth = ndimage.gaussian_filter(attenuation, 0.006 * _RENDERED)
    if scale > 1:
        attenuation = ndimage.gaussian_filter(attenuation, 0.4 * scale)
    attenuation, local, smooth = (
        _resized(part, rows, columns) for part in (attenuation, local, smooth)
    )
    # Fewer quanta behind more tissue: a relative error of 1 / sqrt(n), finer pixels more grain.
    rng = np.random.default_rng([seed, 1, *([take] if take else [])])
    grain = 0.0035 * noise * np.sqrt(min(max(rows, columns), 2048) / 512) * np.exp(attenuation / 2)
    attenuation += grain * rng.standard_normal(attenuation.shape)
    # Large differences are compressed and fine ones enhanced, as in digital radiography.
    attenuation = 0.62 * local + 1.05 * (attenuation - local) + 0.75 * (attenuation - smooth)
    dark, light = _curve(np.array([0.06, 3.3]))
    return np.asarray(
        np.clip((_curve(attenuation) - dark) / (light - dark), 0, 1), dtype=np.float32
    )


def _resized(rendered: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return an image at another size, by linear interpolation along rows and columns."""
    return _stretched(_stretched(rendered, rows).T, columns).T


def _stretched(rendered: np.ndarray, size: int) -> np.ndarray:
    """Return an image with `size` rows, by linear interpolation between its rows."""
    last = len(rendered) - 1
    at = np.clip((np.arange(size) + 0.5) * (len(rendered) / size) - 0.5, 0, last)
    above = np.minimum(at.astype(int), last - 1)
    weight = (at - above)[:, None]
    return np.asarray(rendered[above] * (1 - weight) + rendered[above + 1] * weight)


def _curve(density: np.ndarray) -> np.ndarray:
    """Return brightness from density: the inverted characteristic curve of a screen-film."""
    return np.asarray(1 / (1 + np.exp(-1.75 * (density - 1.6))))
