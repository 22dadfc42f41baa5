"""How often an interval contains the truth: coverage of the 95 % intervals on simulated sets.

    python scripts/interval_coverage.py [--samples 1000] [--out docs/intervals.md]

Draws many small test sets of which the truth is known, computes each interval on each, and counts.
Scores are normal, with the same spread in both classes or twice as much in the positives; images
of a patient share a part of what makes them easy or hard. The simpler intervals that were used
before stand beside. Seeded; some minutes of one core. Writes the tables into the page.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import norm

from napari_cxr.metrics import (
    auc,
    confusion_matrix,
    f1,
    macro_auc,
    macro_f1,
    sensitivity,
    wilson_interval,
)
from napari_cxr.metrics.confidence_intervals import (
    Interval,
    auc_interval,
    balanced_accuracy_interval,
    bootstrap,
    f1_interval,
    macro_auc_interval,
    mean_f1_interval,
    proportion_interval,
)

#: Images of each patient of a class, by name of the set.
ONE_EACH = {
    '5 + 5': ([1] * 5, [1] * 5),
    '8 + 72': ([1] * 8, [1] * 72),
    '10 + 10': ([1] * 10, [1] * 10),
    '20 + 20': ([1] * 20, [1] * 20),
    '100 + 100': ([1] * 100, [1] * 100),
}
UNEQUAL = [1, 1, 2, 3, 8], [1] * 5 + [2, 2, 3, 5, 12], [1] * 10 + [2] * 5 + [4, 5, 6, 8, 20]
SEVERAL = {f'{len(s)} + {len(s)} patients, {sum(s)} + {sum(s)} images': (s, s) for s in UNEQUAL}
FIFTY = [1] * 30 + [2] * 10 + [4] * 5 + [10, 10, 15, 20, 30]
THREE = {
    **{f'{n} + {n} + {n}': ([1] * n,) * 3 for n in (5, 10, 20, 60)},
    '8 + 20 + 60': ([1] * 8, [1] * 20, [1] * 60),
    **{f'3 x {len(s)} patients, 3 x {sum(s)} images': (s,) * 3 for s in UNEQUAL[1:]},
}
#: Where the tables of the page begin; what stands before is kept.
START = '## Area under the curve'
THREE_CLASSES = '## Three classes'
#: What an interval covers and how wide it is.
Coverage = tuple[float, float]


def percentile_bootstrap(metric: Callable, groups: Sequence[int], strata: Sequence) -> Interval:
    """Return the plain percentile interval of 500 resamples, as it was before."""
    random = np.random.default_rng(0)
    member, strata = np.asarray(groups), np.asarray(strata)
    first = {g: strata[np.flatnonzero(member == g)[0]] for g in np.unique(member)}
    counts = np.zeros((500, member.max() + 1))
    for stratum in set(first.values()):
        pool = [g for g, s in first.items() if s == stratum]
        counts[:, pool] = random.multinomial(len(pool), np.full(len(pool), 1 / len(pool)), 500)
    drawn = metric(counts[:, member])
    return Interval(float('nan'), *np.nanpercentile(drawn, [2.5, 97.5]))


def patients_of(sizes: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the class and the patient of each image."""
    groups, classes, start = [], [], 0
    for k, own in enumerate(sizes):
        groups.append(np.repeat(np.arange(start, start + len(own)), own))
        classes.append(np.full(sum(own), k))
        start += len(own)
    return np.concatenate(classes), np.concatenate(groups)


def noise(random: np.random.Generator, groups: np.ndarray, alike: float) -> np.ndarray:
    """Return normal deviates, of which images of a patient share a part of the variance."""
    own = random.standard_normal(len(groups))
    shared = random.standard_normal(groups.max() + 1)[groups]
    return math.sqrt(alike) * shared + math.sqrt(1 - alike) * own


def covered(truth: float, found: Sequence[Interval]) -> Coverage:
    """Return the fraction of intervals with the truth in them, and their mean width."""
    low, high = (np.array([getattr(f, side) for f in found]) for side in ('low', 'high'))
    known = np.isfinite(low)
    if not known.any():
        return math.nan, math.nan
    inside = (low[known] <= truth + 1e-12) & (truth - 1e-12 <= high[known])
    return float(inside.mean()), float((high - low)[known].mean())


def of_auc(sizes: tuple, area: float, spread: float, alike: float, samples: int) -> list[Coverage]:
    """Return the coverage for an area: our interval, and the percentile bootstrap."""
    random = np.random.default_rng(1)
    classes, groups = patients_of(sizes)
    positive = classes == 0
    apart = float(norm.ppf(area)) * math.sqrt(1 + spread**2)
    ours, before = [], []
    for i in range(samples):
        error = noise(random, groups, alike)
        scores = np.where(positive, apart + spread * error, error)
        ours.append(auc_interval(positive, scores, groups))
        if i < samples // 4:
            before.append(
                percentile_bootstrap(
                    lambda w, s=scores: auc(positive, s, w), groups, classes.tolist()
                )
            )
    return [covered(area, ours), covered(area, before)]


def of_proportion(sizes: Sequence[int], rate: float, alike: float, samples: int) -> list[Coverage]:
    """Return the coverage for accuracy, sensitivity or specificity, and of Wilson's interval."""
    random = np.random.default_rng(2)
    _, groups = patients_of([sizes])
    ours, before = [], []
    for _ in range(samples):
        right = noise(random, groups, alike) < norm.ppf(rate)
        ours.append(proportion_interval(right, groups))
        before.append(wilson_interval(float(right.mean()), len(sizes)))
    return [covered(rate, ours), covered(rate, before)]


def of_several(
    sizes: Sequence[Sequence[int]], apart: float, alike: float, samples: int
) -> dict[str, Coverage]:
    """Return coverage of what is computed of three classes: macro AUC and what thresholds give."""
    truths = true_values(apart, [sum(own) for own in sizes])
    random = np.random.default_rng(3)
    classes, groups = patients_of(sizes)
    inside = classes[:, None] == np.arange(3)
    found: dict[str, list[Interval]] = {name: [] for name in truths}

    def drawn(metric: Callable) -> list[Interval]:
        return bootstrap(metric, groups.tolist(), classes.tolist(), times=1000)

    for i in range(samples):
        scores, other = (
            apart * inside + np.column_stack([noise(random, groups, alike) for _ in range(3)])
            for _ in range(2)
        )
        predicted = scores.argmax(axis=1)
        found['macro AUC'].append(macro_auc_interval(inside, scores, groups))
        rates = [
            proportion_interval(predicted[own] == k, groups[own])
            for k in range(3)
            for own in [classes == k]
        ]
        found['balanced accuracy'].append(balanced_accuracy_interval(rates))
        harmonic = [f1_interval(classes == k, predicted == k, groups) for k in range(3)]
        found['F1 of the first class'].append(harmonic[0])
        found['mean F1'].append(mean_f1_interval(harmonic))
        if i < samples // 5:  # the bootstrap is slow
            found['difference of two macro AUCs'] += drawn(
                lambda w, a=scores, b=other: macro_auc(classes, a, w) - macro_auc(classes, b, w)
            )
    return {name: covered(truths[name], found[name]) for name in truths}


def true_values(apart: float, images: Sequence[int]) -> dict[str, float]:
    """Return the true values, from 200,000 images a class in the proportions of the set."""
    random = np.random.default_rng(4)
    classes = np.repeat(np.arange(3), 200_000)
    scores = apart * (classes[:, None] == np.arange(3)) + random.standard_normal((600_000, 3))
    weights = (np.asarray(images) / sum(images))[classes]
    confusion = confusion_matrix(classes, scores.argmax(axis=1), 3, weights)
    return {
        'macro AUC': float(macro_auc(classes, scores)),
        'balanced accuracy': float(sensitivity(confusion).mean()),
        'F1 of the first class': float(f1(confusion)[0]),
        'mean F1': float(macro_f1(confusion)),
        'difference of two macro AUCs': 0.0,
    }


def cell(*found: Coverage) -> str:
    """Return coverage in per cent and mean width, of the worst of several."""
    rate, width = min(found)
    return '-' if math.isnan(rate) else f'{100 * rate:.1f} ({width:.2f})'


def page(samples: int) -> str:
    """Return the tables of the page."""
    lines = [
        START,
        '',
        '| set | true area | ours | percentile bootstrap, as before |',
        '| --- | ---: | ---: | ---: |',
    ]
    for sets, alikes in ((ONE_EACH, (0.0,)), (SEVERAL, (0.0, 0.5, 0.95))):
        for name, sizes in sets.items():
            for area in (0.7, 0.8, 0.9, 0.97):
                runs = [
                    of_auc(sizes, area, spread, alike, samples)
                    for spread in (1.0, 2.0)
                    for alike in alikes
                ]
                ours, before = zip(*runs, strict=True)
                lines.append(f'| {name} | {area} | {cell(*ours)} | {cell(*before)} |')
    lines += [
        '',
        '## Accuracy, sensitivity, specificity, precision',
        '',
        '| set | true proportion | ours | Wilson by patients, as before |',
        '| --- | ---: | ---: | ---: |',
    ]
    alone = {f'{n} patients, {n} images': [1] * n for n in (5, 10, 20, 100)}
    several = {f'{len(s)} patients, {sum(s)} images': s for s in (*UNEQUAL, FIFTY)}
    for sets, alikes in ((alone, (0.0,)), (several, (0.0, 0.5, 1.0))):
        for name, own in sets.items():
            for rate in (0.7, 0.9, 0.97):
                runs = [of_proportion(own, rate, alike, samples) for alike in alikes]
                ours, before = zip(*runs, strict=True)
                lines.append(f'| {name} | {rate} | {cell(*ours)} | {cell(*before)} |')
    return '\n'.join(lines) + '\n\n' + of_three_classes(samples)


def of_three_classes(samples: int) -> str:
    """Return the part of the page about three classes."""
    lines = [THREE_CLASSES, '']
    started = False
    for name, sizes in THREE.items():
        for apart in (0.8, 2.0):
            alikes = (0.0,) if max(sizes[0]) == 1 else (0.0, 0.7)
            runs = [of_several(sizes, apart, alike, samples // 2) for alike in alikes]
            if not started:
                lines += [
                    '| set | separation | ' + ' | '.join(runs[0]) + ' |',
                    '| --- | ---: |' + ' ---: |' * len(runs[0]),
                ]
                started = True
            cells = ' | '.join(cell(*(run[metric] for run in runs)) for metric in runs[0])
            lines.append(f'| {name} | {apart} | {cells} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--samples', type=int, default=1000, help='sets of each kind')
    parser.add_argument('--out', type=Path, default=Path('docs/intervals.md'))
    parser.add_argument('--three', action='store_true', help='only the part on three classes')
    arguments = parser.parse_args()
    start, make = (THREE_CLASSES, of_three_classes) if arguments.three else (START, page)
    text = arguments.out.read_text(encoding='utf-8').split(start)[0]
    arguments.out.write_text(text + make(arguments.samples), encoding='utf-8')


if __name__ == '__main__':
    main()
