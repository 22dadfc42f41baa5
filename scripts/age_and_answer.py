"""How far the bundled model's answer goes with age, on sources that it has not seen.

    NAPARI_CXR_DATA=... python scripts/age_and_answer.py RUNS/bundled

The one fold that leaves out two sources with known ages, NIH and COVID-CXNet, is asked: how
its probability of covid19 goes with age among healthy adults, and what its area under the
ROC curve is among people of like age.
"""

import csv
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from napari_cxr.training.model_evaluation import read_predictions

FOLD = 'without-covidcxnet-nih'
#: Decades in which both sources have people.
DECADES = ((30, 40), (40, 50), (50, 60), (60, 70), (70, 80))


def main() -> None:
    """Print both."""
    folder = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    found = read_predictions(Path(sys.argv[1]) / FOLD)
    column = found.labels.index('covid19')
    covid = dict(zip(found.images, found.probabilities[:, column], strict=True))
    scores, ages, labels = [], [], []
    with open(folder / 'manifest.csv', newline='') as table:
        for row in csv.DictReader(table):
            if row['source'] not in ('nih', 'covidcxnet') or not row['age']:
                continue
            digest = hashlib.sha256((folder / row['path']).read_bytes()).hexdigest()[:16]
            scores.append(covid[digest])
            ages.append(float(row['age']))
            labels.append(row['label'])
    score, age, label = np.array(scores), np.array(ages), np.array(labels)
    ill = label == 'covid19'
    for name in ('normal', 'pneumonia', 'covid19'):
        here = label == name
        r = spearmanr(score[here], age[here])
        print(f'{name}: {here.sum()} images, median age {np.median(age[here]):.0f}')
        print(
            f'  Spearman correlation of P(covid19) with age {r.statistic:.2f} (p {r.pvalue:.1g})'
        )
    print(f'area of P(covid19), all with an age: {roc_auc_score(ill, score):.3f}')
    print(f'area of age alone: {roc_auc_score(ill, age):.3f}')
    areas, weights = [], []
    for low, high in DECADES:
        here = (age >= low) & (age < high)
        areas.append(roc_auc_score(ill[here], score[here]))
        weights.append(ill[here].sum())
        print(f'from {low} to {high}: {ill[here].sum()} with COVID-19, {(~ill[here]).sum()} '
              f'without, area {areas[-1]:.3f}')  # fmt: skip
    print(f'mean over these, by cases: {np.average(areas, weights=weights):.3f}')


if __name__ == '__main__':
    main()
