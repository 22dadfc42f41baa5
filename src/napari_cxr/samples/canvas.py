"""Shapes along a beam: ellipsoids, tubes and soft edges on a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ['Canvas', 'smooth_curve', 'soft_step']


@dataclass
class Canvas:
    """Coordinates of a frame: x and y from -1 to 1, and pixels for round things."""

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
        # Worked out where it is only: most are a small part of the frame.
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
        """Return the chord of a tube along a curve, as a share of the frame's half width.

        Parameters
        ----------
        points : ndarray, shape (n, 2)
            x and y of points on the axis, closer together than a radius.
        radii : ndarray or float
            Radius at each point, as a share of the half width.
        onto : ndarray, optional
            Where to draw it; the greater chord wins, so that the branches of
            one tree don't add up.
        weights : ndarray or float
            Factor at each point, to let an end fade.
        """
        out = np.zeros((self.height, self.width)) if onto is None else onto
        half = self.width / 2
        # Plain numbers: thousands of small windows cost more in overhead than in arithmetic.
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
