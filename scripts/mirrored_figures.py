"""How often a mirrored radiograph is noticed, and how often a right one is called mirrored.

    NAPARI_CXR_DATA=... python scripts/mirrored_figures.py [--limit N]

measures the file that the plugin has now, on radiographs that are mirrored here. Nothing is
fitted or chosen. The network learnt from the training split of four sources, which are left out;
its bounds come from their other images, so false alarms of these sources are at the bound by
construction, and only `lungmasks` is unseen altogether. For sources that it did not learn from,
see the table of `fit_frontal_check.py`. It prints a table in Markdown; about five minutes of one
core.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from napari_cxr import image_files
from napari_cxr.lungs.frontal_check import (
    UNTRIMMED_SIZE,
    frontal_card,
    judge_scores,
    orientation_scores,
    without_margins,
)
from napari_cxr.lungs.lung_network import downscale
from napari_cxr.metrics.confidence_intervals import wilson_interval

DATA = Path(os.environ['NAPARI_CXR_DATA'])
#: The order of the eight answers of a picture once it is mirrored.
MIRRORED = [1, 0, 3, 2, 5, 4, 7, 6]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--limit', type=int, default=0, help='images of each source; 0 for all')
    limit = parser.parse_args().limit
    bounds = frontal_card()['bounds']
    print('| source | images | called mirrored when right | noticed when mirrored |')
    print('| --- | ---: | ---: | ---: |')
    for source, paths in unseen().items():
        right, noticed = [], []
        for path in paths[:limit] if limit else paths:
            small = without_margins(downscale(image_files.read(path), UNTRIMMED_SIZE))
            scores = orientation_scores(small)
            right.append(judge_scores(scores, bounds).kind == 'mirrored')
            noticed.append(judge_scores(scores[MIRRORED], bounds).kind == 'mirrored')
        print(f'| {source} | {len(right)} | {percent(right)} | {percent(noticed)} |', flush=True)


def unseen() -> dict[str, list[Path]]:
    """Return radiographs by source, without those that the network learnt from."""
    found: dict[str, list[Path]] = defaultdict(list)
    with open(DATA / 'cxr3' / 'manifest.csv', newline='') as table:
        for row in csv.DictReader(table):
            if row['split'] != 'train':
                found[row['source']].append(DATA / 'cxr3' / row['path'])
    with open(DATA / 'lungmasks' / 'manifest.csv', newline='') as table:
        found['lungmasks'] = [DATA / 'lungmasks' / row['image'] for row in csv.DictReader(table)]
    return found


def percent(said: list[bool]) -> str:
    """Return a share in per cent, with its 95 % interval."""
    _, low, high = wilson_interval(float(np.mean(said)), len(said)).to_list()
    return f'{100 * np.mean(said):.1f} % [{100 * low:.1f}, {100 * high:.1f}]'


if __name__ == '__main__':
    main()
