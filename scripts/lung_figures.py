"""How well lungs are found on radiographs with masks, beside the atlas, image by image.

    NAPARI_CXR_DATA=... python scripts/lung_figures.py

measures the files that the plugin has now, on the test patients of `lungmasks`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lung_material import Masked, read_masks
from safetensors.numpy import load_file
from scipy.stats import wilcoxon

from napari_cxr import image_files
from napari_cxr.lungs import LungField, downscale
from napari_cxr.lungs.lung_field import average_lungs
from napari_cxr.lungs.lung_network import LUNG_INPUT_SIZE, softmax, unet_forward

LUNGS = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'lungs'
DRAWS = 10_000


def measure(tensors: Mapping[str, np.ndarray], masked: list[Masked]) -> dict[str, Any]:
    """Compare network and atlas with masks.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Weights as they are stored.
    masked : list of Masked
        Of the test patients.

    Returns
    -------
    dict
        'images', a list with a row each, and 'summary'.
    """
    weights = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    rows, seconds = [], []
    for item in masked:
        radiograph = image_files.read(item.path)
        began = time.thread_time()
        _, right, left = softmax(unet_forward(weights, downscale(radiograph, LUNG_INPUT_SIZE)))
        seconds.append(time.thread_time() - began)
        row: dict[str, Any] = {'image': item.path.stem, 'masks by': item.source}
        fields = {
            'network': LungField(right, left, radiograph.shape),
            'atlas': LungField(*average_lungs(), radiograph.shape, 'atlas'),
        }
        for name, field in fields.items():
            labels = field.labels()
            row[name] = dice(labels > 0, item.mask)
            for number, side in ((1, 'right'), (2, 'left')):
                row[f'{name}, {side} lung'] = dice(labels == number, item.sides == number)
        rows.append(row)
    summary = {'all': _compared(rows)}
    for source in sorted({row['masks by'] for row in rows}):
        summary[source] = _compared([row for row in rows if row['masks by'] == source])
    summary['milliseconds on a core'] = round(1000 * float(np.median(seconds)), 1)
    return {'summary': summary, 'images': rows}


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Return twice the common area over the sum of both areas."""
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


def _compared(rows: list[dict[str, Any]]) -> dict[str, Any]:
    network, atlas = (np.array([row[name] for row in rows]) for name in ('network', 'atlas'))
    difference = network - atlas
    draws = np.random.default_rng(0).integers(0, len(rows), (DRAWS, len(rows)))
    figures: dict[str, Any] = {'n': len(rows)}
    for name, values in (('network', network), ('atlas', atlas), ('difference', difference)):
        interval = np.percentile(values[draws].mean(axis=1), (2.5, 97.5))
        figures[name] = [round(float(x), 4) for x in (values.mean(), *interval)]
    figures['least of the network'] = round(float(network.min()), 4)
    figures['better than the atlas'] = int((difference > 0).sum())
    figures['Wilcoxon p'] = float(f'{wilcoxon(network, atlas).pvalue:.2g}')
    for side in ('right', 'left'):
        for name in ('network', 'atlas'):
            key = f'{name}, {side} lung'
            figures[key] = round(float(np.mean([row[key] for row in rows])), 4)
    return figures


def show(figures: dict[str, Any]) -> None:
    """Print all figures."""
    for row in figures['images']:
        print(f'{row["image"]:20} network {row["network"]:.3f}  atlas {row["atlas"]:.3f}')
    for name, entry in figures['summary'].items():
        print(f'{name}: {entry}')


if __name__ == '__main__':
    folder = Path(os.environ['NAPARI_CXR_DATA']) / 'lungmasks'
    test = [item for item in read_masks(folder) if item.split == 'test']
    show(measure(load_file(LUNGS / 'lung-field.safetensors'), test))
