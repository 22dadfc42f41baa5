"""Pictures made by arithmetic that are no chest radiographs, for `fit_frontal_check.py`.

Everything here is drawn from random numbers: spectra of noise, gradients, blobs,
rectangles, stripes, lines of text, sections of round things, fans of speckle, mirror
images of noise. No photograph, no CT, MR or ultrasound image is used, so those that the
check is tested with are strangers to it.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = ['draw']

Draw = Callable[[np.random.Generator, int], np.ndarray]


def draw(count: int, size: int, seed: int) -> np.ndarray:
    """Return pictures of shape (count, size, size), float32, stretched to [0, 1] like a glance."""
    rng = np.random.default_rng(seed)
    pictures = np.empty((count, size, size), np.float32)
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        picture = kind(rng, size)
        if rng.random() < 0.2:  # two kinds in one picture
            other = KINDS[rng.integers(len(KINDS))](rng, size)
            picture = picture * other if rng.random() < 0.5 else (picture + other) / 2
        if rng.random() < 0.4:
            picture = picture + rng.uniform(0, 0.2) * rng.standard_normal((size, size))
        pictures[i] = stretched(picture)
    return pictures


def stretched(picture: np.ndarray) -> np.ndarray:
    """Map percentiles 0.5 and 99.5 to 0 and 1."""
    low, high = np.percentile(picture, (0.5, 99.5))
    if high - low < 1e-6:
        return np.clip(picture, 0, 1)
    return np.clip((picture - low) / (high - low), 0, 1)


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return y and x from -1 to 1."""
    line = np.linspace(-1, 1, size)
    return line[:, None], line[None, :]


def noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return noise whose amplitude falls with a power of the frequency."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    f = np.hypot(fy * rng.uniform(0.5, 2), fx)
    f[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / f ** rng.uniform(0, 2.5)
    spectrum[0, 0] = 0
    out = np.fft.irfft2(spectrum, (size, size))
    if rng.random() < 0.2:
        out = out > np.quantile(out, rng.uniform(0.1, 0.9))
    return stretched(out.astype(float))


def symmetric_noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return noise whose halves mirror each other: symmetry alone makes no chest."""
    out = noise(rng, size)
    out = out + out[:, ::-1]
    return stretched(out.T if rng.random() < 0.3 else out)


def blank(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return one grey, perhaps with a speck."""
    out = np.full((size, size), rng.random())
    if rng.random() < 0.5:
        y, x = rng.integers(0, size, 2)
        out[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = rng.random()
    return out


def gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a ramp, a ring or a saddle, perhaps in steps."""
    y, x = grid(size)
    a = rng.uniform(0, 2 * np.pi)
    along = np.cos(a) * x + np.sin(a) * y
    around = np.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1))
    out = [along, around, x * y, np.abs(along)][rng.integers(4)] + 0 * (x + y)
    if rng.random() < 0.4:
        out = np.floor(out * rng.integers(2, 9))
    elif rng.random() < 0.3:
        out = np.sin(out * rng.uniform(3, 40))
    return stretched(out if rng.random() < 0.5 else -out)


def blobs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return soft ellipses on a plain ground."""
    y, x = grid(size)
    out = np.full((size, size), rng.random())
    for _ in range(rng.integers(1, 13)):
        out = _ellipse_on(rng, out, x, y, rng.uniform(0.05, 0.7), rng.random())
    return gaussian_filter(out, rng.uniform(0, 2))


def rectangles(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return boxes, stripes or a chessboard."""
    y, x = np.arange(size)[:, None], np.arange(size)[None, :]
    if rng.random() < 0.3:
        a, b = rng.integers(1, size // 2, 2)
        return ((y // a + (x // b) * rng.integers(0, 2)) % 2).astype(float)
    out = np.full((size, size), rng.random())
    for _ in range(rng.integers(1, 20)):
        top, left = rng.integers(-size // 4, size, 2)
        rows, columns = rng.integers(2, size, 2)
        out[max(0, top) : max(0, top + rows), max(0, left) : max(0, left + columns)] = rng.random()
    return out


def text(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return lines of short strokes, dark on light or light on dark."""
    out = np.zeros((size, size))
    step = int(rng.integers(3, 10))
    for top in range(int(rng.integers(0, step)), size - 1, step):
        if rng.random() < 0.15:
            continue
        left, right = rng.integers(0, size // 3), rng.integers(size // 2, size)
        strokes = rng.random((max(1, step - 2), size)) < rng.uniform(0.3, 0.7)
        out[top : top + max(1, step - 2), left:right] = strokes[: size - top, left:right]
    out = out + rng.uniform(0, 0.5) * gradient(rng, size)
    return stretched(out if rng.random() < 0.5 else -out)


def section(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a cut through something round with a rim and a few organs, on a plain ground."""
    y, x = grid(size)
    out = np.full((size, size), rng.random() if rng.random() < 0.2 else 0.0)
    ry, rx = rng.uniform(0.4, 0.95, 2)
    cy, cx = rng.uniform(-0.15, 0.15, 2)
    inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2
    rim = rng.uniform(0.6, 0.98)
    out = np.where(inside < 1, rng.uniform(0.2, 1), out)
    out = np.where(inside < rim, rng.uniform(0, 0.8), out)
    organs = np.where(inside < rim, 1.0, 0.0)
    drawn = out
    for _ in range(rng.integers(0, 10)):
        drawn = _ellipse_on(rng, drawn, x, y, rng.uniform(0.04, 0.4), rng.random())
    if rng.random() < 0.5:
        drawn = (drawn + drawn[:, ::-1]) / 2
    out = np.where(organs > 0, drawn, out)
    grain = noise(rng, size) * rng.uniform(0, 0.4)
    return gaussian_filter(out + grain * organs, rng.uniform(0, 1))


def fan(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a sector of coarse speckle on black."""
    y, x = grid(size)
    top = rng.uniform(-1.3, -0.8)
    radius, angle = np.hypot(x, y - top), np.arctan2(x, y - top)
    inside = (np.abs(angle) < rng.uniform(0.4, 1.1)) & (radius < rng.uniform(1.2, 2))
    inside &= radius > rng.uniform(0, 0.5)
    speckle = np.abs(noise(rng, size) - 0.5) * (0.3 + noise(rng, size))
    return stretched(np.where(inside, speckle, 0))


def tiles(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a contact sheet of other pictures."""
    n = int(rng.integers(2, 5))
    side = -(-size // n)
    parts = [KINDS[rng.integers(6)](rng, max(side, 16))[:side, :side] for _ in range(n * n)]
    rows = [np.concatenate(parts[i * n : (i + 1) * n], axis=1) for i in range(n)]
    return np.concatenate(rows)[:size, :size]


def limbs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a few soft bars that cross the picture, brighter along their middle or their rim."""
    y, x = grid(size)
    out = np.zeros((size, size))
    for _ in range(rng.integers(1, 5)):
        a, bend = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4)
        along = np.cos(a) * x + np.sin(a) * y
        across = np.sin(a) * x - np.cos(a) * y - rng.uniform(-0.6, 0.6) - bend * along**2
        width = rng.uniform(0.08, 0.5)
        depth = np.sqrt(np.clip(1 - (across / width) ** 2, 0, None))
        bone = np.sqrt(np.clip(1 - (across / (width * rng.uniform(0.2, 0.6))) ** 2, 0, None))
        out += rng.uniform(0.2, 0.7) * depth + rng.uniform(0, 0.8) * bone
    out = stretched(gaussian_filter(out, rng.uniform(0.3, 1.5)))
    return out if rng.random() < 0.7 else 1 - out


def _ellipse_on(
    rng: np.random.Generator,
    picture: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    radius: float,
    grey: float,
) -> np.ndarray:
    cy, cx = rng.uniform(-0.8, 0.8, 2)
    a, stretch = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
    u, v = np.cos(a) * (x - cx) + np.sin(a) * (y - cy), np.sin(a) * (x - cx) - np.cos(a) * (y - cy)
    return np.where((u / radius) ** 2 + (v / (radius * stretch)) ** 2 < 1, grey, picture)


KINDS: list[Draw] = [
    noise, symmetric_noise, gradient, blobs, rectangles, text, blank, section, fan, limbs, tiles,
]  # fmt: skip
