"""Make src/napari_cxr/lungs/average_chest.csv and print how well it tells polarity.

    NAPARI_CXR_DATA=... python scripts/fit_average_chest.py

The average is taken over the training split of each source and then over the
sources, so that a large source does not count for more. The figures are for
each source with the average of the other three.
"""

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from napari_cxr import files
from napari_cxr.inference import Preprocessing
from napari_cxr.lungs.resemblance import SIZE

TARGET = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'lungs' / 'average_chest.csv'


def main() -> None:
    """Fit, print the figures, write the table."""
    folder = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    fit = Preprocessing(SIZE, SIZE)
    images, splits = defaultdict(list), defaultdict(list)
    with open(folder / 'manifest.csv', newline='') as table:
        for row in csv.DictReader(table):
            small = fit.apply(files.read(folder / row['path'])).image.astype(float)
            small = (small - small.mean()) / max(small.std(), 1e-6)
            images[row['source']].append(small)
            splits[row['source']].append(row['split'] == 'train')
    means = {
        source: np.mean(np.array(images[source])[np.array(splits[source])], axis=0)
        for source in images
    }
    for source in sorted(images):
        others = np.mean([means[s] for s in means if s != source], axis=0)
        others = (others - others.mean()) / np.linalg.norm(others - others.mean())
        r = np.array([(image * others).sum() / np.linalg.norm(image) for image in images[source]])
        print(
            f'{source:12} n={len(r):4}  median {np.median(r):.2f}  1st percentile '
            f'{np.percentile(r, 1):.2f}  below 0.12: {(r < 0.12).sum()}  below -0.1: '
            f'{(r < -0.1).sum()}'
        )
    average = np.mean(list(means.values()), axis=0)
    average = np.rint(100 * average / np.abs(average).max()).astype(int)
    TARGET.write_text('\n'.join(','.join(map(str, row)) for row in average) + '\n')


if __name__ == '__main__':
    main()
