"""Where in the lungs the bundled model's three numbers come from.

    NAPARI_CXR_DATA=... python scripts/where_lung_texture_lies.py

Takes a margin of the lungs away, next to the mediastinum or next to the chest wall, and
prints what a logistic regression on the three numbers still reaches on sources left out.
"""

import csv
import os
from pathlib import Path

import numpy as np
import torch
from search_lung_texture import CLASSES, LEFT_OUT, macro_areas

from napari_cxr import image_files, networks
from napari_cxr.inference import Preprocessing

SIDE = 80
#: Widths that are taken away, in pixels of the lungs' rectangle.
WIDTHS = (0, 2, 4, 6)


def main() -> None:
    """Read all images once, then cut margins."""
    folder = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    with open(folder / 'manifest.csv', newline='') as table:
        rows = list(csv.DictReader(table))
    fit = Preprocessing(SIDE, SIDE, fit='stretch', lungs='only')
    images = np.stack([fit.apply(image_files.read(folder / row['path'])).image for row in rows])
    truth = np.array([CLASSES.index(row['label']) for row in rows])
    sources = np.array([row['source'] for row in rows])
    print('macro AUC without', *(' + '.join(left) for left in LEFT_OUT), 'mean', sep='  ')
    for side in ('mediastinum', 'chest wall'):
        for width in WIDTHS:
            cut = without_margin(images, width, from_middle=side == 'mediastinum')
            areas = macro_areas(statistics(cut), truth, sources)
            gone = f'{width / SIDE:.1%} of the width gone next to the {side}'
            each = [f'{area:.3f}' for area in areas]
            print(*each, f'mean {np.mean(areas):.3f}', gone, sep='  ')


def without_margin(images: np.ndarray, width: int, *, from_middle: bool) -> np.ndarray:
    """Blank lung that has no lung for `width` pixels towards the middle, or away from it."""
    out = images.copy()
    middle = SIDE // 2
    for half, inward in ((np.s_[..., :middle], 1), (np.s_[..., middle:], -1)):
        step = inward if from_middle else -inward
        lungs = images > 0
        for far in range(1, width + 1):
            beyond = np.zeros_like(lungs)
            if step > 0:
                beyond[..., :-far] = lungs[..., far:]
            else:
                beyond[..., far:] = lungs[..., :-far]
            out[half][~beyond[half]] = 0
    return out


@torch.no_grad()
def statistics(images: np.ndarray) -> np.ndarray:
    """Return what the network's head works with, shape (n, 3)."""
    network = networks.create('lung_texture', len(CLASSES), 1, (SIDE, SIDE)).eval()
    found: list[torch.Tensor] = []
    network.head.scale.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    for start in range(0, len(images), 256):
        network(torch.from_numpy(images[start : start + 256])[:, None])
    return torch.cat(found).numpy()


if __name__ == '__main__':
    main()
