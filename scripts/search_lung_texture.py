"""Look for statistics of the lungs' texture that mean the same in every source.

    NAPARI_CXR_DATA=... python scripts/search_lung_texture.py

Prints, for each statistic, how well it alone tells two classes of two sources apart (the
area under the ROC curve, above 0.5 where the first is higher), and then which sets of
statistics do best in a logistic regression that has not seen one source of COVID-19 and
one of the other classes. It looks at all sources, so what it finds has been chosen by the
images that it is judged on: docs/bundled-model.md says what follows from that.
"""

import csv
import os
from itertools import product
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from napari_cxr import image_files
from napari_cxr.inference import Preprocessing

SIDE = 160
#: Bands between two Gaussians, as standard deviations in pixels of the lungs' rectangle.
BANDS = {'1-2': (1, 2), '2-4': (2, 4), '3-6': (3, 6), '4-8': (4, 8), '6-12': (6, 12),
         '8-16': (8, 16), '12-24': (12, 24)}  # fmt: skip
LEFT_OUT = tuple(product(('hannover', 'covidcxnet'), ('nih', 'kermany')))
CLASSES = ('covid19', 'normal', 'pneumonia')


def main() -> None:
    """Measure all images, then print the two tables."""
    folder = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    with open(folder / 'manifest.csv', newline='') as table:
        rows = list(csv.DictReader(table))
    fit = Preprocessing(SIDE, SIDE, fit='stretch', lungs='only')
    measured = [
        statistics(fit.apply(image_files.read(folder / row['path'])).image) for row in rows
    ]
    names = list(measured[0])
    values = np.array([list(found.values()) for found in measured])
    truth = np.array([CLASSES.index(row['label']) for row in rows])
    sources = np.array([row['source'] for row in rows])
    print_pairs(names, values, truth, sources)
    print_sets(names, values, truth, sources)


def statistics(image: np.ndarray) -> dict[str, float]:
    """Return what the texture of one radiograph's lungs is like, by name."""
    lungs = image > 1 / 64
    inside = lungs.astype(np.float32)
    smooth = {}
    for sigma in {sigma for band in BANDS.values() for sigma in band}:
        weights = gaussian_filter(inside, sigma, mode='constant') + 1e-4
        smooth[sigma] = gaussian_filter(image * inside, sigma, mode='constant') / weights
    middle = SIDE // 2
    sides = (np.s_[:, :middle], np.s_[:, middle:])
    found = {'mean': float(image[lungs].mean()) if lungs.any() else 0.0}
    for name, (fine, coarse) in BANDS.items():
        band = smooth[fine] - smooth[coarse]
        here = band[lungs] if lungs.any() else band.ravel()
        energy = (here**2).mean() + 1e-9
        halves = [((band[s] ** 2)[lungs[s]]).mean() + 1e-7 if lungs[s].any() else energy
                  for s in sides]  # fmt: skip
        found[f'amplitude {name}'] = 0.5 * float(np.log(energy))
        found[f'kurtosis {name}'] = float(np.log((here**4).mean() / energy**2 + 1e-9))
        found[f'skewness {name}'] = float((here**3).mean() / energy**1.5)
        found[f'asymmetry {name}'] = 0.5 * abs(float(np.log(halves[0] / halves[1])))
    return found


def print_pairs(
    names: list[str], values: np.ndarray, truth: np.ndarray, sources: np.ndarray
) -> None:
    """Print how well each statistic alone tells classes of sources apart."""
    kinds = {
        f'{source[0].upper()}:{label[0]}': (sources == source) & (truth == k)
        for source in ('hannover', 'covidcxnet', 'nih', 'kermany')
        for k, label in enumerate(CLASSES)
    }
    kinds = {name: where for name, where in kinds.items() if where.any()}
    pairs = [(a, b) for a, b in product(kinds, kinds) if a[2] < b[2]]
    print('class:source, C covidcxnet, H hannover, K kermany, N nih')
    print(f'{"":18}', *(f'{a}>{b}' for a, b in pairs))
    for name, column in zip(names, values.T, strict=True):
        areas = [
            roc_auc_score(
                np.r_[np.ones(kinds[a].sum()), np.zeros(kinds[b].sum())],
                np.r_[column[kinds[a]], column[kinds[b]]],
            )
            for a, b in pairs
        ]
        print(f'{name:18}', *(f'{area:7.2f}' for area in areas))


def print_sets(
    names: list[str], values: np.ndarray, truth: np.ndarray, sources: np.ndarray
) -> None:
    """Add one statistic after the other, always the one that helps most."""
    print('\nmacro AUC without', *(' + '.join(left) for left in LEFT_OUT), 'mean', sep='  ')
    chosen: list[int] = []
    for _ in range(6):
        rest = [i for i in range(len(names)) if i not in chosen]
        best = max(rest, key=lambda i: score(macro_areas(values[:, [*chosen, i]], truth, sources)))
        chosen.append(best)
        areas = macro_areas(values[:, chosen], truth, sources)
        print(*(f'{area:.3f}' for area in areas), f'mean {np.mean(areas):.3f}',
              ', '.join(names[i] for i in chosen), sep='  ')  # fmt: skip


def score(areas: list[float]) -> float:
    """Return what is maximised: the mean, and half as much the worst fold."""
    return float(np.mean(areas) + 0.5 * min(areas))


def macro_areas(values: np.ndarray, truth: np.ndarray, sources: np.ndarray) -> list[float]:
    """Return the macro AUC of a logistic regression for each pair of sources left out."""
    areas = []
    for left in LEFT_OUT:
        out = np.isin(sources, left)
        scale = StandardScaler().fit(values[~out])
        kinds = [f'{s} {t}' for s, t in zip(sources[~out], truth[~out], strict=True)]
        counts = {kind: kinds.count(kind) for kind in set(kinds)}
        weights = np.array([1 / counts[kind] for kind in kinds])
        model = LogisticRegression(C=0.1, max_iter=500)
        model.fit(scale.transform(values[~out]), truth[~out], weights / weights.mean())
        guesses = model.predict_proba(scale.transform(values[out]))
        each = [roc_auc_score(truth[out] == k, guesses[:, k]) for k in range(len(CLASSES))]
        areas.append(float(np.mean(each)))
    return areas


if __name__ == '__main__':
    main()
