"""A synthetic left lateral chest radiograph, computed like the frontal one of `phantom`.

The patient looks to the left of the image, with raised arms.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from napari_cxr.samples.phantom import LUNG_AIR
from napari_cxr.samples.projection import Canvas, develop, expose, smooth_curve, soft_step

__all__ = ['lateral_phantom']

_WIDTH = 22.0  # of the trunk along the beam in cm, as thick as the frontal phantom is deep


def lateral_phantom(
    shape: tuple[int, int] = (1024, 896), seed: int = 0, *, noise: float = 1.0, take: int = 0
) -> np.ndarray:
    """Make a synthetic lateral chest radiograph.

    Parameters
    ----------
    shape, seed, noise, take
        See `phantom`; the seed is not the same person's there.

    Returns
    -------
    ndarray of float32
        Values in [0, 1]; 0 is black (air) and 1 white (bone).
    """
    rows, columns = (int(n) for n in shape)
    if min(rows, columns) < 16:
        raise ValueError('a phantom needs at least 16 rows and 16 columns')
    return develop(partial(_exposure, int(seed)), (rows, columns), int(seed), noise, int(take))


@lru_cache(maxsize=4)
def _exposure(seed: int, height: int, width: int) -> np.ndarray:
    canvas = Canvas(height, width)
    rng = np.random.default_rng([seed, 2])
    trunk = _between(canvas, _FRONT, _BACK)
    arms = 8 * canvas.ellipsoid(-0.10, -1.10, 0.62, 0.46) ** 1.8
    water = _WIDTH * trunk**0.45 + arms
    lung = _lung(canvas)
    water -= LUNG_AIR * 17.5 * lung
    water += _middle(canvas, lung) + _vessels(canvas, lung, rng)
    shutter = soft_step(0.97 - np.abs(canvas.x), 0.0022)
    shutter *= soft_step(0.985 - np.abs(canvas.y), 0.0022)
    return expose(canvas, water, _bones(canvas), _marker(canvas), shutter)


#: Heights, and where the skin of the front and of the back lies there.
_LEVELS = np.array([-1.4, -1.0, -0.8, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0, 1.4])
_FRONT = np.array([-0.25, -0.30, -0.42, -0.56, -0.72, -0.80, -0.82, -0.80, -0.78, -0.78])
_BACK = np.array([0.52, 0.58, 0.70, 0.80, 0.84, 0.82, 0.77, 0.74, 0.76, 0.78])


def _between(canvas: Canvas, front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return from 0 at the skin to 1 in the middle of the trunk."""
    y = canvas.y[:, :1]
    ahead, behind = smooth_curve(y, _LEVELS, front), smooth_curve(y, _LEVELS, back)
    across = (canvas.x - (ahead + behind) / 2) / ((behind - ahead) / 2)
    return np.maximum(1 - np.abs(across) ** 2.4, 0)


def _lung(canvas: Canvas) -> np.ndarray:
    """Return the depth of both lungs together, from 0 to 1."""
    inner = _between(canvas, _FRONT + 0.13, _BACK - 0.10)
    # The dome is highest in the middle and falls to the angle at the back.
    x = canvas.x
    floor = 0.36 + 0.10 * np.abs(np.clip((x + 0.15) / 0.5, -1, 0)) ** 2
    floor = floor + 0.36 * np.clip((x + 0.15) / 0.75, 0, 1) ** 2.2
    apex = -0.83 + 0.25 * np.abs(x - 0.22) ** 1.6
    return np.asarray(
        inner**0.5 * soft_step(floor - canvas.y, 0.008) * soft_step(canvas.y - apex, 0.03)
    )


def _middle(canvas: Canvas, lung: np.ndarray) -> np.ndarray:
    """Return heart, great vessels, hila and windpipe in cm of water."""
    heart = 10.0 * canvas.ellipsoid(-0.33, 0.22, 0.40, 0.27, 38) ** 1.1
    heart = np.maximum(heart, 7.0 * canvas.ellipsoid(-0.20, 0.06, 0.26, 0.30, 20) ** 1.3)
    turn = np.linspace(np.pi, 2 * np.pi, 60)
    arch = np.stack([0.10 + 0.20 * np.cos(turn), -0.36 + 0.16 * np.sin(turn)], axis=1)
    down = np.linspace(-0.36, 0.60, 60)
    descending = np.stack([0.30 + 0.10 * np.sin(2.2 * down), down], axis=1)
    vessels = 12 * canvas.tube(np.concatenate([arch, descending]), 0.058)
    hila = 3.2 * canvas.ellipsoid(0.06, -0.06, 0.12, 0.15) ** 1.5
    fat = 4.0 * canvas.ellipsoid(-0.48, 0.38, 0.24, 0.16)
    pipe = np.linspace(-1.1, -0.16, 80)
    airway = canvas.tube(np.stack([0.02 + 0.10 * (pipe + 1.1), pipe], axis=1), 0.046)
    bubble = 4.5 * canvas.ellipsoid(0.15, 0.62, 0.20, 0.09, 8) ** 1.6
    inside = 0.2 + 0.8 * (lung > 0)
    return np.asarray(np.maximum(heart, fat) * inside + vessels + hila * inside) - (
        40 * airway + bubble
    )


def _vessels(canvas: Canvas, lung: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return vessels that fan out from the hilum, in cm of water."""
    drawn = np.zeros(canvas.x.shape)
    for angle in rng.uniform(0, 2 * np.pi, 46):
        along = np.linspace(0, 1, 70)
        heading = angle + rng.normal(0, 0.5) * along**2
        reach = rng.uniform(0.25, 0.55) / len(along)
        x, y = 0.06 + np.cumsum(np.cos(heading)) * reach, np.cumsum(np.sin(heading)) * reach
        radii = rng.uniform(0.008, 0.015) * np.linspace(1, 0.3, len(along))
        canvas.tube(np.stack([x, y - 0.06], axis=1), radii, onto=drawn)
    return np.asarray(24 * drawn * lung)


def _bones(canvas: Canvas) -> np.ndarray:
    """Return spine, sternum and ribs in cm of bone."""
    bone = np.zeros(canvas.x.shape)
    for number in range(14):
        level = -0.90 + 0.148 * number
        x = 0.40 + 0.16 * np.cos(1.5 * (level + 0.25))
        wide, high = 0.080 + 0.0022 * number, 0.060
        body = np.maximum(1 - np.abs((canvas.x - x) / wide) ** 5, 0)
        body *= np.maximum(1 - np.abs((canvas.y - level) / high) ** 5, 0)
        rim = 0.55 + 0.45 * (np.abs(canvas.y - level) > 0.75 * high)
        bone += 2.0 * body * rim
        bone += 0.9 * canvas.ellipsoid(x + 0.16, level + 0.05, 0.09, 0.024, 24)
    along = np.linspace(0, 1, 120)
    front = smooth_curve(np.linspace(-0.55, 0.28, 120), _LEVELS, _FRONT)
    sternum = np.stack([front + 0.085, np.linspace(-0.55, 0.28, 120)], axis=1)
    bone += canvas.hollow(sternum, 0.024, 9.0)
    for number in range(9):
        start = -0.74 + 0.135 * number
        reach = 0.98 + 0.12 * min(number, 4)
        x = 0.56 - reach * along
        y = start + (0.20 + 0.035 * number) * along**0.9 - 0.05 * np.sin(np.pi * along)
        fading = np.clip((0.92 - along) / 0.25, 0, 1)
        bone += canvas.hollow(np.stack([x, y], axis=1), 0.017, 5.5 * fading)
    return bone


def _marker(canvas: Canvas) -> np.ndarray:
    """Return a lead letter L, from 0 to 1."""
    stroke = np.linspace(0, 1, 60)
    upright = np.stack([np.full(60, -0.90), -0.945 + 0.075 * stroke], axis=1)
    foot = np.stack([-0.90 + 0.042 * stroke, np.full(60, -0.870)], axis=1)
    drawn: np.ndarray = canvas.tube(upright, 0.0085)
    canvas.tube(foot, 0.0085, onto=drawn)
    return np.asarray(drawn > 0, dtype=float)
