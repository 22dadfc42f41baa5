"""Radiographs with lung masks, and radiographs without, as arrays of one size."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_cxr import image_files
from napari_cxr.lungs import downscale

#: Rows and columns that images are kept at; augmentation cuts 128 x 128 out of these.
KEPT = 192


@dataclass
class Masked:
    """A radiograph with what is lung in it.

    Parameters
    ----------
    path : Path
        The image.
    mask : ndarray of bool, shape (rows, columns)
        Both lungs, as somebody drew them.
    sides : ndarray of uint8, shape (rows, columns)
        0 outside, 1 the lung on the left of the image, 2 the one on the right.
    split, source : str
        'train' or 'test', and which project drew the mask.
    """

    path: Path
    mask: np.ndarray
    sides: np.ndarray
    split: str
    source: str


def read_masks(folder: Path) -> list[Masked]:
    """Read the manifest and all masks of `lungmasks`."""
    found = []
    with open(folder / 'manifest.csv', newline='') as table:
        for row in csv.DictReader(table):
            mask = np.asarray(Image.open(folder / row['mask']).convert('L')) > 0
            if row['mask_left_right']:
                sides = np.asarray(Image.open(folder / row['mask_left_right']))
                sides = _left_first(sides * mask)
            else:
                sides = _divided(mask)
            path = folder / row['image']
            found.append(Masked(path, mask, sides, row['split'], row['mask_source']))
    return found


def _left_first(sides: np.ndarray) -> np.ndarray:
    """Number the lungs by their place in the image, whichever way the file did."""
    centres = [np.nonzero(sides == number)[1].mean() for number in (1, 2)]
    if centres[0] <= centres[1]:
        return sides.astype(np.uint8)
    return np.array([0, 2, 1], dtype=np.uint8)[sides]


def _divided(mask: np.ndarray) -> np.ndarray:
    """Divide a mask of both lungs where it is thinnest near its middle."""
    columns = mask.sum(axis=0).astype(float)
    width = mask.shape[1]
    middle = round((columns * np.arange(width)).sum() / columns.sum())
    first, end = middle - width // 10, middle + width // 10
    smooth = ndimage.uniform_filter(columns, max(3, width // 40))
    cut = first + int(np.argmin(smooth[first:end]))
    on_the_right = np.arange(width)[None] >= cut
    sides = np.zeros(mask.shape, dtype=np.uint8)
    parts, _ = ndimage.label(mask)
    for number, where in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts == number
        first, end = where[1].start, where[1].stop
        if first < cut - width // 25 and end > cut + width // 25:  # both lungs in one piece
            sides[inside] = np.broadcast_to(1 + on_the_right, mask.shape)[inside]
        else:
            sides[inside] = 1 if np.nonzero(inside)[1].mean() < cut else 2
    return sides


def pixels(masked: list[Masked]) -> tuple[np.ndarray, np.ndarray]:
    """Return images as uint8 and sides as uint8, both of shape (n, 192, 192)."""
    images = [small(item.path) for item in masked]
    sides = [
        np.asarray(Image.fromarray(item.sides).resize((KEPT, KEPT), Image.Resampling.NEAREST))
        for item in masked
    ]
    return np.array(images), np.array(sides)


def small(path: Path) -> np.ndarray:
    """Return one radiograph as uint8 of shape (192, 192)."""
    return np.rint(255 * downscale(image_files.read(path), KEPT)).astype(np.uint8)


def unmasked(folder: Path, sources: tuple[str, ...], split: str = 'train') -> list[Path]:
    """Return the radiographs of `cxr3` from these sources, training split only by default."""
    with open(folder / 'manifest.csv', newline='') as table:
        return [
            folder / row['path']
            for row in csv.DictReader(table)
            if row['source'] in sources and row['split'] == split
        ]
