"""Make src/napari_cxr/lungs/plausible_lungs.csv: which answers of the network to believe.

    NAPARI_CXR_DATA=... python scripts/lung_plausibility.py

Measures masks for training, and the network's answers for the training split of `cxr3`,
every source counting alike. Usual is what lies between the 5th and the 95th percentile.
The bounds lie a tenth farther from that than the percentiles 0.1 and 99.9, or than the
outermost mask where that is farther out. Prints how many answers of the
validation and test splits, which took no part in it, lie beyond.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from lung_material import read_masks
from PIL import Image

from napari_cxr import image_files
from napari_cxr.lungs import LungField, downscale
from napari_cxr.lungs.lung_field import measures, plausibility
from napari_cxr.lungs.lung_network import LUNG_INPUT_SIZE, lung_probabilities

TARGET = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'lungs' / 'plausible_lungs.csv'
USUAL, RARE, MORE = (5, 95), (0.1, 99.9), 0.1


def main() -> None:
    """Measure, write the table, count."""
    folder = Path(os.environ['NAPARI_CXR_DATA'])
    with open(folder / 'cxr3' / 'manifest.csv', newline='') as table:
        rows = list(csv.DictReader(table))
    train = _answers(folder / 'cxr3', [row for row in rows if row['split'] == 'train'])
    masks = [item for item in read_masks(folder / 'lungmasks') if item.split == 'train']
    drawn = [measures(_as_field(item.sides)) for item in masks]
    answers = [[measures(field) for field in fields] for fields in train.values()]
    lines = ['measure,bound,usual from,usual to,bound']
    for name in drawn[0]:
        lines.append(','.join([name, *(f'{x:.4f}' for x in _bounds(name, answers, drawn))]))
    TARGET.write_text('\n'.join(lines) + '\n')
    print('\n'.join(lines), flush=True)
    _count('train', train)
    _count('val and test', _answers(folder / 'cxr3', [r for r in rows if r['split'] != 'train']))


def _answers(folder: Path, rows: list[dict[str, str]]) -> dict[str, list[LungField]]:
    """Return what the network says of radiographs, by source."""
    fields: dict[str, list[LungField]] = defaultdict(list)
    for row in rows:
        radiograph = image_files.read(folder / row['path'])
        _, right, left = lung_probabilities(downscale(radiograph, LUNG_INPUT_SIZE))
        fields[row['source']].append(LungField(right, left, radiograph.shape))
    return fields


def _count(split: str, fields: dict[str, list[LungField]]) -> None:
    for source, members in sorted(fields.items()):
        odd = [phrase for _, phrase in map(plausibility, members) if phrase]
        print(f'{source:11} {split:12} n={len(members):4}  implausible: {len(odd)} {odd}')


def _bounds(
    name: str, answers: list[list[dict[str, float]]], drawn: list[dict[str, float]]
) -> tuple[float, ...]:
    """Return bound, usual from, usual to and bound of one measure."""
    groups = [[row[name] for row in rows if name in row] for rows in answers]
    values = np.concatenate(groups)
    weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in groups])
    low, high = (_percentile(values, weights, share) for share in USUAL)
    rare = [_percentile(values, weights, share) for share in RARE]
    masks = [row[name] for row in drawn]
    rare = [min(rare[0], *masks), max(rare[1], *masks)]
    bounds = [end + MORE * (end - usual) for end, usual in zip(rare, (low, high), strict=True)]
    return bounds[0], low, high, bounds[1]


def _percentile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    return float(
        values[order][np.searchsorted(np.cumsum(weights[order]), share / 100 * weights.sum())]
    )


def _as_field(sides: np.ndarray) -> LungField:
    """Return a mask as if a network had been sure of it."""
    lungs = [
        np.asarray(
            Image.fromarray((sides == n).astype(np.float32)).resize(
                (LUNG_INPUT_SIZE, LUNG_INPUT_SIZE), 2
            )
        )
        for n in (1, 2)
    ]
    return LungField(*lungs, sides.shape)


if __name__ == '__main__':
    main()
