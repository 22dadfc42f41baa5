"""A synthetic chest radiograph, computed from simple shapes; see `projection`.

It looks like a PA chest radiograph and shows no real patient; the output of a classifier on it
means nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from napari_cxr.samples.projection import Canvas, develop, expose, smooth_curve, soft_step

__all__ = ['LUNG_AIR', 'Opacity', 'Side', 'phantom']

Side = Literal['left', 'right']

Opacity = Literal['left', 'right', 'both']

#: Fraction of a lung that is air.
LUNG_AIR = 0.74


def phantom(
    shape: tuple[int, int] = (1024, 896),
    seed: int = 0,
    *,
    opacity: Opacity | None = None,
    effusion: Side | None = None,
    density: float = 1.0,
    noise: float = 1.0,
    take: int = 0,
) -> np.ndarray:
    """Make a synthetic PA chest radiograph.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns, each at least 16. The anatomy fills the frame.
    seed : int
        Determines the build of the person, the vessels, and the noise.
    opacity : {'left', 'right', 'both'}, optional
        Adds a patchy opacity to the lung on this side of the patient, or to both. The
        patient's left is on the right of the image.
    effusion : {'left', 'right'}, optional
        Fills the lower part of the pleural space on this side with fluid, which rises at the
        side, as in a patient who stands.
    density : float
        Density of the opacity: 1 for an obvious one, less for one that is easily missed.
    noise : float
        Strength of the quantum noise; 0 for none.
    take : int
        Which radiograph of this person, from 0; they differ in their noise.

    Returns
    -------
    ndarray of float32
        Values in [0, 1]; 0 is black (air) and 1 white (bone).
    """
    rows, columns = (int(n) for n in shape)
    if min(rows, columns) < 16:
        raise ValueError('a phantom needs at least 16 rows and 16 columns')
    if opacity not in (None, 'left', 'right', 'both'):
        raise ValueError("opacity is 'left', 'right', 'both' or None")
    if effusion not in (None, 'left', 'right'):
        raise ValueError("effusion is 'left', 'right' or None")

    def exposed(height: int, width: int) -> np.ndarray:
        return _exposure(height, width, int(seed), opacity, effusion, float(density))

    return develop(exposed, (rows, columns), int(seed), noise, int(take))


@lru_cache(maxsize=8)
def _exposure(
    height: int,
    width: int,
    seed: int,
    opacity: Opacity | None,
    effusion: Side | None,
    density: float,
) -> np.ndarray:
    """Return the exposure of the detector, 1 for the unattenuated beam."""
    canvas = Canvas(height, width)
    rng = np.random.default_rng([seed, 0])
    build = _build(rng)
    water = _body(canvas, build)
    lungs, air = _lungs(canvas, build)
    water -= LUNG_AIR * air
    if effusion is not None:
        water += LUNG_AIR * air * _fluid(canvas, effusion)
    water += _mediastinum(canvas, build, lungs)
    water += _vessels(canvas, lungs, rng)
    sides: tuple[Side, ...] = ('left', 'right')
    for side in sides:
        if opacity in (side, 'both'):
            water += density * _opacity(canvas, lungs, side, rng)
    bone = _skeleton(canvas, build)
    marker = _marker(canvas)
    shutter = soft_step(build['collimator'] - np.abs(canvas.x + 0.004 * canvas.y), 0.0022)
    shutter *= soft_step(0.985 - np.abs(canvas.y - 0.003 * canvas.x), 0.0022)
    return expose(canvas, water, bone, marker, shutter)


def _build(rng: np.random.Generator) -> dict[str, float]:
    """Draw the build of a person: small deviations from the mean."""

    def near(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))

    return {
        'thickness': near(21.0, 1.1),
        'chest': near(1.0, 0.02),
        'heart': near(1.0, 0.05),
        'right_dome': near(0.46, 0.025),
        'left_dome': near(0.52, 0.025),
        'apex': near(-0.80, 0.015),
        'tilt': near(0.0, 0.008),
        'collimator': near(0.975, 0.006),
        'breast': abs(near(0.5, 0.5)),
        'bubble': near(1.0, 0.2),
    }


def _body(canvas: Canvas, build: dict[str, float]) -> np.ndarray:
    """Return the thickness of the trunk, neck and shoulders in cm."""
    x, y = canvas.x, canvas.y
    ys = np.array([-1.4, -1.0, -0.93, -0.80, -0.66, -0.5, -0.2, 0.2, 0.6, 1.0, 1.4])
    edge = np.array([0.29, 0.32, 0.42, 0.80, 1.15, 1.25, 1.10, 1.03, 1.02, 1.05, 1.1])
    half = smooth_curve(y[:, :1], ys, edge) * build['chest']
    deep = np.array([10.0, 11, 11.5, 12.5, 14, 16, 19, 21, 22.5, 23.5, 24]) / 22
    depth = smooth_curve(y[:, :1], ys, deep) * build['thickness']
    profile = np.maximum(1 - np.abs(x / half) ** 3.2, 0) ** 0.55
    breasts = sum(
        canvas.ellipsoid(side * 0.46, 0.26, 0.36, 0.34) * 3.2 * build['breast'] for side in (-1, 1)
    )
    arms = sum(canvas.ellipsoid(side * 1.16, -0.60, 0.34, 0.30) ** 2 * 4 for side in (-1, 1))
    return np.asarray(depth * profile + breasts * (profile > 0) + arms)


def _lungs(canvas: Canvas, build: dict[str, float]) -> tuple[dict[Side, np.ndarray], np.ndarray]:
    """Return soft masks of both lungs, and the depth of lung along the beam in cm."""
    masks: dict[Side, np.ndarray] = {}
    depth = np.zeros(canvas.x.shape)
    apex = build['apex']
    knots = np.array([apex, apex + 0.1, -0.55, -0.3, 0.0, 0.3, 0.6, 0.8])
    lateral = np.array([0.43, 0.48, 0.585, 0.68, 0.76, 0.81, 0.84, 0.85]) * build['chest']
    medial = np.array([0.14, 0.13, 0.125, 0.11, 0.09, 0.08, 0.08, 0.08])
    y = np.clip(canvas.y[:, :1], apex, 0.8)
    outer, inner = smooth_curve(y, knots, lateral), smooth_curve(y, knots, medial)
    rounded = np.sqrt(np.clip(1 - (1 - (y - apex) / 0.17) ** 2 * (y < apex + 0.17), 0, 1))
    middle, half = (outer + inner) / 2, np.maximum((outer - inner) / 2 * rounded, 1e-3)
    for side, sign, dome in (
        ('right', -1, build['right_dome']),
        ('left', 1, build['left_dome']),
    ):
        across = (sign * canvas.x - middle) / half
        # The chest is deep near the spine and flat at the side.
        profile = np.maximum(1 - np.abs(across) ** 2.6, 0) ** 0.5
        lean = np.clip((sign * canvas.x - 0.42) / 0.42, -1.2, 1.0)
        floor = dome + 0.23 * np.abs(lean) ** 2.6 * (lean > 0) + 0.07 * lean**2 * (lean <= 0)
        above = soft_step(floor - canvas.y, 0.006)
        below_apex = soft_step(canvas.y - apex, 0.006)
        # Behind the dome the lung extends further down and gets thinner.
        behind = 0.16 * soft_step(floor + 0.17 - canvas.y, 0.05) * (across < 0.9)
        mask = (profile > 0) * above * below_apex
        grown = np.clip(0.55 + 0.45 * (canvas.y - apex) / 0.6, 0.35, 1.0)
        depth += 15.5 * profile * grown * (above + behind * (1 - above)) * below_apex
        masks[side] = mask  # type: ignore[index]
    return masks, depth


def _mediastinum(
    canvas: Canvas, build: dict[str, float], lungs: dict[Side, np.ndarray]
) -> np.ndarray:
    """Return the heart, great vessels, hila, liver and trachea, in cm of water."""
    size = build['heart']
    inside = np.maximum(lungs['left'], lungs['right'])
    heart = 9.5 * canvas.ellipsoid(0.165, 0.245, 0.41 * size, 0.28 * size, 36) ** 0.8
    heart = np.maximum(heart, 7.5 * canvas.ellipsoid(-0.045, 0.27, 0.20 * size, 0.29) ** 0.8)
    aorta = 4.6 * canvas.ellipsoid(0.10, -0.315, 0.115, 0.082) ** 0.9
    trunk = 4.0 * canvas.ellipsoid(0.10, -0.11, 0.145, 0.13)
    cava = 4.0 * canvas.ellipsoid(-0.115, -0.35, 0.075, 0.35)
    knots = np.linspace(-0.28, 0.75, 60)
    path = np.stack([0.125 + 0.02 * np.cos(3 * knots), knots], axis=1)
    descending = 14 * canvas.tube(path, 0.065)
    column = 2.2 * np.maximum(1 - np.abs(canvas.x / 0.15) ** 2, 0)
    hila = sum(
        4.4 * canvas.ellipsoid(sign * 0.205, y, 0.115, 0.175, sign * -14) ** 2.2
        for sign, y in ((-1, -0.045), (1, -0.085))
    )
    pad = 6.0 * canvas.ellipsoid(0.07, 0.44, 0.34, 0.17)  # fat between heart and diaphragm
    added = np.maximum.reduce([heart, aorta, trunk, cava, pad])
    total = added * (0.25 + 0.75 * inside) + 0.5 * descending + column + hila * inside
    windpipe = np.stack([0.012 * np.ones(80) - 0.01, np.linspace(-1.1, -0.24, 80)], axis=1)
    airway = canvas.tube(windpipe, 0.048)
    for sign, drop in ((-1, 0.13), (1, 0.08)):
        along = np.linspace(0, 1, 40)
        branch = np.stack([sign * 0.22 * along, -0.24 + drop * along**0.9], axis=1)
        canvas.tube(branch, 0.034 - 0.012 * along, onto=airway)
    bubble = build['bubble'] * 4.5 * canvas.ellipsoid(0.37, 0.68, 0.19, 0.10, -10) ** 1.6
    bubble *= soft_step(0.735 - canvas.y, 0.006)  # over the fluid in the stomach
    return np.asarray(total - 38 * airway - bubble)


def _vessels(
    canvas: Canvas, lungs: dict[Side, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Grow branching vessels from each hilum; in cm of water."""
    drawn = np.zeros(canvas.x.shape)

    def grow(x: float, y: float, heading: float, radius: float, length: float) -> None:
        steps = max(int(length / 0.008), 4)
        bend = rng.normal(0, 0.5)
        headings = heading + bend * np.linspace(0, 1, steps) ** 2
        xs = x + np.cumsum(np.cos(headings)) * length / steps
        ys = y + np.cumsum(np.sin(headings)) * length / steps
        radii = radius * np.linspace(1, 0.78, steps)
        canvas.tube(np.stack([xs, ys], axis=1), radii, onto=drawn)
        if radius < 0.0028:
            return
        for turn in (rng.uniform(0.15, 0.45), -rng.uniform(0.35, 0.8)):
            flip = rng.choice((-1, 1))
            taper = rng.uniform(0.62, 0.82)
            end = float(headings[-1])
            grow(xs[-1], ys[-1], end + flip * turn, radius * taper, length * rng.uniform(0.7, 0.9))

    for sign, start in ((-1, -0.03), (1, -0.07)):
        for degrees in (-80, -58, -35, -8, 18, 42, 60, 78):
            angle = np.deg2rad(degrees + rng.uniform(-7, 7))
            heading = angle if sign > 0 else np.pi - angle
            x = sign * (0.15 + 0.07 * abs(np.sin(angle)))
            y = start + 0.11 * np.sin(angle) + rng.uniform(-0.02, 0.02)
            grow(x, y, heading, rng.uniform(0.011, 0.0185), rng.uniform(0.13, 0.18))
    inside = np.maximum(lungs['left'], lungs['right'])
    behind_heart = canvas.ellipsoid(0.14, 0.25, 0.38, 0.30, 30)
    return np.asarray(44 * drawn * inside * (1 - 0.75 * (behind_heart > 0)))


def _skeleton(canvas: Canvas, build: dict[str, float]) -> np.ndarray:
    """Return the thickness of bone in cm: spine, ribs, clavicles, shoulders."""
    bone = np.zeros(canvas.x.shape)
    tilt = build['tilt']
    for number in range(16):
        level = -0.99 + 0.135 * number
        wide = 0.082 + 0.0016 * number
        body = np.maximum(1 - np.abs((canvas.x - tilt * level) / wide) ** 6, 0)
        body *= np.maximum(1 - np.abs((canvas.y - level) / 0.058) ** 6, 0)
        bone += body * 0.5
        for sign in (-1, 1):
            bone += 0.3 * canvas.ellipsoid(sign * wide * 0.72, level - 0.01, 0.018, 0.026)
        bone += 0.3 * canvas.ellipsoid(tilt * level, level + 0.03, 0.016, 0.045)
    for number in range(11):
        bone += _rib(canvas, build, number)
    along = np.linspace(0, 1, 160)
    for sign in (-1, 1):
        x = sign * (0.065 + 0.78 * along)
        y = -0.655 - 0.115 * along - 0.05 * np.sin(2 * np.pi * along * 0.9)
        radius = 0.036 - 0.010 * np.sin(np.pi * along) + 0.008 * (1 - along)
        bone += canvas.hollow(np.stack([x, y], axis=1), radius, 11.0)
        bone += 0.9 * canvas.ellipsoid(sign * 1.04, -0.70, 0.15, 0.125) ** 0.7
        blade = np.stack([sign * (0.90 - 0.05 * along), -0.62 + 0.62 * along], axis=1)
        bone += canvas.hollow(blade, 0.022, 7.0)
        spine = np.stack([sign * (0.66 + 0.36 * along), -0.52 - 0.16 * along], axis=1)
        bone += canvas.hollow(spine, 0.018, 5.0)
    return bone


def _rib(canvas: Canvas, build: dict[str, float], number: int) -> np.ndarray:
    """Return one pair of ribs: tilted hoops from the spine around the side to the front."""
    knots = np.array([0, 1, 2, 4, 6, 8, 10])
    reach = np.array([0.37, 0.50, 0.60, 0.735, 0.81, 0.85, 0.84])
    wide = float(np.interp(number, knots, reach)) * build['chest']
    start = -0.875 + 0.128 * number + 0.0012 * number**2
    drop = 0.22 + 0.052 * min(number, 7)
    turn = np.linspace(0.10, np.pi * (0.80 if number < 7 else 0.62), 420)
    total = np.zeros(canvas.x.shape)
    for sign in (-1, 1):
        x = sign * (0.03 + (wide - 0.03) * np.sin(turn) ** 0.9)
        # The neck of a rib rises before it descends: a hoop is not quite flat.
        y = start + drop * (1 - np.cos(turn)) / 2 - 0.035 * np.sin(2 * turn)
        front = np.clip((turn - 1.7) / 1.2, 0, 1)
        # Anteriorly a rib becomes cartilage, which is not visible.
        fading = np.clip((turn[-1] - turn) / 0.55, 0, 1) * np.clip((turn - turn[0]) / 0.2, 0.2, 1)
        strength = (12.5 - 4.5 * front) * fading
        total += canvas.hollow(np.stack([x, y], axis=1), 0.0215 + 0.006 * front, strength)
    return total


def _opacity(
    canvas: Canvas, lungs: dict[Side, np.ndarray], side: Side, rng: np.random.Generator
) -> np.ndarray:
    """Return a patchy consolidation in the lower or middle zone of a lung, in cm of water."""
    from scipy import ndimage

    sign = -1 if side == 'right' else 1
    x, y = sign * rng.uniform(0.42, 0.58), rng.uniform(0.0, 0.26)
    spot = np.exp(-((((canvas.x - x) / 0.20) ** 2 + ((canvas.y - y) / 0.19) ** 2) ** 1.3))
    texture = np.zeros(canvas.x.shape)
    for scale, weight in ((0.035, 1.0), (0.014, 0.6), (0.006, 0.35)):
        field = ndimage.gaussian_filter(rng.standard_normal(texture.shape), scale * canvas.height)
        texture += weight * field / field.std()
    return np.asarray(7.0 * spot * soft_step(texture + 0.5, 0.55) * lungs[side])


def _fluid(canvas: Canvas, side: Side) -> np.ndarray:
    """Return where fluid stands in the pleural space of a side, from 0 to 1."""
    out = canvas.x * (-1 if side == 'right' else 1)
    surface = 0.36 - 0.30 * np.clip((out - 0.1) / 0.7, 0, 1) ** 2.5
    return np.asarray(soft_step(canvas.y - surface, 0.02) * (out > 0))


def _marker(canvas: Canvas) -> np.ndarray:
    """Return a lead letter L beside the patient's left shoulder, from 0 to 1."""
    stroke = np.linspace(0, 1, 60)
    upright = np.stack([np.full(60, 0.885), -0.945 + 0.075 * stroke], axis=1)
    foot = np.stack([0.885 + 0.042 * stroke, np.full(60, -0.870)], axis=1)
    drawn: np.ndarray = canvas.tube(upright, 0.0085)
    canvas.tube(foot, 0.0085, onto=drawn)
    return np.asarray(drawn > 0, dtype=float)
