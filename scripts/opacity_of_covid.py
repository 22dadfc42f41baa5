"""What of COVID-19 against the rest is opacity: the opacity model asked of cxr3's test split.

    NAPARI_CXR_DATA=... python scripts/opacity_of_covid.py

Prints the table of docs/opacity-model.md and puts it there.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
from marked_tables import fill

from napari_cxr import image_files
from napari_cxr.inference.classifier import Classifier
from napari_cxr.metrics import auc, bootstrap

PAGE = Path(__file__).parents[1] / 'docs' / 'opacity-model.md'
QUESTIONS = {
    'covid19 against all others': ('normal', 'pneumonia'),
    'covid19 against normal': ('normal',),
    'covid19 against pneumonia': ('pneumonia',),
}


def main() -> None:
    """Score, measure, print."""
    folder = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    classifier = Classifier.load('cxr-opacity', 'cpu')
    with open(folder / 'manifest.csv', newline='', encoding='utf-8') as table:
        rows = [row for row in csv.DictReader(table) if row['split'] == 'test']
    said = np.array(
        [
            classifier.predict([image_files.read(folder / row['path'])])[0].probabilities[0]
            for row in rows
        ]
    )
    labels = np.array([row['label'] for row in rows])
    groups = [row['patient_id'] or row['split_group'] for row in rows]
    lines = [
        '| question | images | area of the probability of an opacity |',
        '| --- | --- | --- |',
    ]
    for question, others in QUESTIONS.items():
        there = np.isin(labels, ('covid19', *others))
        positive = labels[there] == 'covid19'
        (area,) = bootstrap(
            lambda weights, p=positive, s=said[there]: auc(p, s, weights),
            [groups[i] for i in np.flatnonzero(there)],
            positive.tolist(),
        )
        figure = f'{area.value:.2f} [{area.low:.2f}, {area.high:.2f}]'
        lines.append(f'| {question} | {there.sum()} | area {figure} |')
    for label in ('covid19', 'pneumonia', 'normal'):
        marked = float((said[labels == label] >= classifier.card.thresholds[0]).mean())
        lines.append(
            f'| share of {label} labelled opacity | {(labels == label).sum()} | {marked:.2f} |'
        )
    text = '\n'.join(lines)
    print(text)
    fill(PAGE, {'covid': text}, Path(__file__).name)


if __name__ == '__main__':
    main()
