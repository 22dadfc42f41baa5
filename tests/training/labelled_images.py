"""Images and tables that the tests of training make."""

import csv

import numpy as np
from PIL import Image


def write_image(path, bright, seed, size=40):
    """A noisy square whose left or right half is brighter."""
    image = np.random.default_rng(seed).integers(60, 120, (size, size))
    half = slice(None, size // 2) if bright == 'left' else slice(size // 2, None)
    image[:, half] += 90
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path)


def write_table(path, rows):
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def dataset_of(root, labels):
    """A data set of images that nobody opens."""
    from napari_cxr.training.dataset import Dataset, Sample

    samples = [Sample(root / f'{i}.png', label, f'{i}') for i, label in enumerate(labels)]
    return Dataset(root, tuple(samples), grouped=False)
