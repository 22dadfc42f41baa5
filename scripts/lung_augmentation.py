"""What is done to a radiograph before the network of the lung field learns from it.

Besides turning, stretching and changes of contrast: lungs are made white, because a
network that was shown dark lungs only finds dark lungs; cables, boxes of text and
shutters are drawn over them; and some images are spoilt so that there is nothing to
find (black and white exchanged, upside down, cut up, no radiograph at all), with
nothing as the right answer.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

SIZE = 128
#: Share of images in which there is nothing to find.
SPOILT = 0.1


def augment(images: Tensor, sides: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw a batch anew.

    Parameters
    ----------
    images : Tensor of float32, shape (n, h, w)
        In [0, 1].
    sides : Tensor of int64, shape (n, h, w)
        0, 1 and 2, as in `Masked`.
    rng : Generator
        Decides everything.

    Returns
    -------
    Tensor of float32, shape (n, 1, 128, 128)
        In [0, 1].
    Tensor of float32, shape (n, 3, 128, 128)
        Share of each class in each pixel.
    """
    images, lungs = _moved(images, sides, rng)
    drawn = [_redrawn(i.numpy(), r.numpy(), rng) for i, r in zip(images[:, 0], lungs, strict=True)]
    truth = torch.cat([1 - lungs.sum(1, keepdim=True), lungs], dim=1)
    for place in range(len(drawn)):
        if rng.random() < SPOILT:
            drawn[place] = _spoilt(drawn[place], rng)
            truth[place] = torch.tensor([1.0, 0, 0])[:, None, None]
    return torch.from_numpy(np.array(drawn, dtype=np.float32))[:, None], truth


def _moved(images: Tensor, sides: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Turn, stretch, shear, shift and mirror; the last exchanges the lungs."""
    n = len(images)
    matrices = np.zeros((n, 2, 3), dtype=np.float32)
    for matrix in matrices:
        turn, shear = math.radians(rng.uniform(-20, 20)), rng.uniform(-0.15, 0.15)
        scale, aspect = rng.uniform(0.75, 1.35), math.exp(rng.uniform(-0.3, 0.3))
        turned = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        stretched = np.diag([scale * aspect**0.5, scale / aspect**0.5])
        matrix[:, :2] = np.array(turned) @ np.array([[1, shear], [0, 1]]) @ stretched
        if rng.random() < 0.5:
            matrix[:, 0] *= -1
        matrix[:, 2] = rng.uniform(-0.2, 0.2, 2)
    mirrored = torch.from_numpy(np.linalg.det(matrices[:, :, :2]) < 0)
    grid = F.affine_grid(torch.from_numpy(matrices), [n, 1, SIZE, SIZE], align_corners=False)
    beyond = 'border' if rng.random() < 0.5 else 'zeros'
    moved = F.grid_sample(images[:, None], grid, padding_mode=beyond, align_corners=False)
    lungs = F.one_hot(sides, 3).permute(0, 3, 1, 2)[:, 1:].float()
    # Beyond the edge of the radiograph there is no lung, even where its edge is repeated.
    lungs = F.grid_sample(lungs, grid, align_corners=False)
    lungs[mirrored] = lungs[mirrored].flip(1)
    return moved, lungs


def _redrawn(image: np.ndarray, lungs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change what one image shows and how, in [0, 1]; the lungs stay where they are."""
    image = image.copy()
    if rng.random() < 0.6:
        image = _whitened(image, lungs, rng)
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 4)):  # letters and their boxes
            high, wide = rng.integers(3, 18), rng.integers(3, 40)
            top, left = rng.integers(0, SIZE - high), rng.integers(0, SIZE - wide)
            image[top : top + high, left : left + wide] = rng.choice([0.0, 1.0, rng.random()])
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 5)):
            image = _with_cable(image, rng)
    if rng.random() < 0.15:  # a shutter
        deep, value = int(rng.integers(2, 16)), float(rng.choice([0.0, 1.0]))
        side = int(rng.integers(4))
        image = np.rot90(image, side).copy()
        image[:deep] = value
        image = np.rot90(image, -side)
    image = np.clip(image, 0, 1) ** math.exp(rng.uniform(-0.7, 0.7))
    image = (image - 0.5) * math.exp(rng.uniform(-0.5, 0.4)) + 0.5 + rng.uniform(-0.15, 0.15)
    if rng.random() < 0.4:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.6))
    if rng.random() < 0.4:
        image = image + rng.uniform(0, 0.08) * rng.standard_normal(image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def _whitened(image: np.ndarray, lungs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lift parts of the lungs, or all of one, to the brightness of what surrounds them."""
    field = _clouds(rng.uniform(5, 22), rng)
    opaque = 1 / (1 + np.exp(-(field - rng.uniform(-1.5, 1.2)) * rng.uniform(2, 6)))
    if rng.random() < 0.5:
        opaque = opaque * lungs[rng.integers(2)]
    # Soft edges, now and then so soft that no diaphragm is left.
    edge = 7 if rng.random() < 0.7 else int(rng.integers(9, 20))
    soft = ndimage.uniform_filter(lungs.sum(axis=0), edge)
    share = opaque * soft * rng.uniform(0.3, 1.0)
    bright = rng.uniform(0.6, 1.0) * np.quantile(image, 0.9)
    bright = bright * (1 + rng.uniform(0, 0.1) * _clouds(rng.uniform(1.5, 6), rng))
    return image * (1 - share) + bright * share


def _with_cable(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one tube or cable: a quadratic Bezier curve from edge to somewhere."""
    ends = rng.uniform(-10, SIZE + 10, (3, 2))
    t = np.linspace(0, 1, 300)[:, None]
    places = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
    places = np.rint(places).astype(int)
    places = places[((places >= 0) & (places < SIZE)).all(axis=1)]
    line = np.zeros(image.shape, dtype=np.float32)
    line[places[:, 0], places[:, 1]] = 1
    line = ndimage.gaussian_filter(line, rng.uniform(0.4, 1.1))
    line *= rng.uniform(0.1, 0.6) / max(float(line.max()), 1e-6)
    return image + line * (1 if rng.random() < 0.8 else -1)


def _spoilt(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image in which there are no lungs to find."""
    kind = rng.integers(5)
    if kind == 0:
        return 1 - image
    if kind == 1:  # upside down, mirrored or not, or lying on a side
        image = image[:, ::-1] if rng.random() < 0.5 else image
        return np.rot90(image, int(rng.integers(1, 4))).copy()
    if kind == 2:  # a puzzle of tiles
        tile = int(rng.choice([16, 32]))
        count = SIZE // tile
        tiles = image.reshape(count, tile, count, tile).swapaxes(1, 2).reshape(-1, tile, tile)
        tiles = tiles[rng.permutation(len(tiles))].reshape(count, count, tile, tile)
        return tiles.swapaxes(1, 2).reshape(SIZE, SIZE)
    if kind == 3:  # clouds of any size, from noise to a gradient
        field = _clouds(math.exp(rng.uniform(-1.5, 4)), rng)
        return np.clip(0.5 + rng.uniform(0.05, 0.5) * field, 0, 1).astype(np.float32)
    # Only one corner of it, much enlarged: all skin, all lung or all abdomen.
    part = SIZE // 5
    top, left = rng.integers(0, SIZE - part, 2)
    piece = ndimage.zoom(image[top : top + part, left : left + part], SIZE / part, order=1)
    return piece[:SIZE, :SIZE].astype(np.float32)


def _clouds(sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return a random field of this smoothness, in pixels, with mean 0 and deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)).astype(np.float32), sigma)
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-9))
