"""Make the tables of docs/bundled-model.md out of the folders of runs.

    python scripts/sources_left_out_table.py RUNS

RUNS holds `bundled` and `resnet18`, runs of the recipes `bundled-lung-texture` and
`resnet18-sources-left-out`, and `tried`, the sweep `sources-left-out`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from marked_tables import fill

DOCS = Path(__file__).parents[1] / 'docs'
BASELINES = ('format only', 'format and grey levels')
CLASSES = ('covid19', 'normal', 'pneumonia')
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('runs', type=Path)
    options = parser.parse_args()
    found = read(options.runs)
    tables = {
        'folds': folds(found),
        'classes': classes(found['bundled']),
        'sources': sources(found['bundled']),
        'tried': tried(found),
    }
    fill(DOCS / 'bundled-model.md', tables, Path(__file__).name)


def read(runs: Path) -> Figures:
    """Return what the folds of all runs reached, by run and fold."""
    sweep = sorted(path.parent for path in (runs / 'tried').glob('*/recipe.toml'))
    return {
        'bundled': of_run(runs / 'bundled'),
        'resnet18': of_run(runs / 'resnet18'),
        'tried': {path.name: of_run(path) for path in sweep},
    }


def of_run(folder: Path) -> Figures:
    """Return of the measured figures of each fold of a run what the tables show."""
    found = {}
    for path in sorted(folder.glob('without-*/result.json')):
        metrics = json.loads(path.read_text(encoding='utf-8'))['metrics']
        found[path.parent.name] = {
            'model': {source: shown(of) for source, of in metrics['model'].items()},
            'baselines': {
                kind: {source: shown(of) for source, of in sources.items()}
                for kind, sources in metrics['baselines'].items()
            },
            'differences': {
                kind: {'all': shown(sources['all'])}
                for kind, sources in metrics.get('differences', {}).items()
            },
        }
    return found


def shown(figures: Figures) -> Figures:
    """Return of a source's figures those that a table shows."""
    kept = ('images', 'accuracy', 'balanced_accuracy', 'macro_auc', 'pairs')
    classes = {label: {'auc': of['auc']} for label, of in figures.get('classes', {}).items()}
    out = {name: figures[name] for name in kept if name in figures}
    return out | ({'classes': classes} if classes else {})


def folds(found: Figures) -> str:
    """Compare the bundled model with a ResNet-18 and with the baselines, fold by fold."""
    rows = []
    for name, metrics in found['bundled'].items():
        rows.append([
            left_out(name),
            metrics['model']['all']['images'],
            cell(metrics['model']['all']['macro_auc']),
            cell(found['resnet18'][name]['model']['all']['macro_auc']),
            *(cell(metrics['baselines'][kind]['all']['macro_auc']) for kind in BASELINES),
            cell(least(metrics['differences'])),
        ])  # fmt: skip
    rows.append([
        'mean', '',
        mean(found['bundled'], macro), mean(found['resnet18'], macro),
        *(mean(found['bundled'], macro, kind) for kind in BASELINES), '',
    ])  # fmt: skip
    head = ['left out', 'images', 'bundled', 'ResNet-18', *BASELINES, 'bundled − better baseline']
    return markdown(head, rows)


def classes(run: Figures) -> str:
    """Give the area of each class against the rest, and of pairs inside one source."""
    pairs = sorted({pair for metrics in run.values() for pair in pairs_of(metrics)})
    rows = [
        [
            left_out(name),
            *(cell(metrics['model']['all']['classes'][label]['auc']) for label in CLASSES),
            cell(metrics['model']['all']['balanced_accuracy']),
            *(cell(pairs_of(metrics).get(pair)) for pair in pairs),
        ]
        for name, metrics in run.items()
    ]
    head = ['left out', *(f'{label} against the rest' for label in CLASSES), 'balanced accuracy']
    return markdown([*head, *pairs], rows)


def sources(run: Figures) -> str:
    """Give the share of each source that is called right."""
    rows = []
    for name, metrics in run.items():
        for source, figures in metrics['model'].items():
            if source == 'all':
                continue
            rows.append([
                left_out(name), source, figures['images'], cell(figures['accuracy']),
                *(cell(metrics['baselines'][kind][source]['accuracy']) for kind in BASELINES),
            ])  # fmt: skip
    return markdown(['left out', 'source', 'images', 'accuracy', *BASELINES], rows)


def tried(found: Figures) -> str:
    """Give the macro AUC of everything that was tried, by fold."""
    runs = {'bundled-lung-texture': found['bundled'], **found['tried']}
    runs |= {'resnet18-sources-left-out': found['resnet18']}
    names = list(found['bundled'])
    rows = [
        [name, *(f'{macro(run[fold]):.3f}' if fold in run else 'not run' for fold in names),
         mean(run, macro) if len(run) == len(names) else '']
        for name, run in runs.items()
    ]  # fmt: skip
    rows += [
        [f'baseline: {kind}', *(f'{macro(found["bundled"][fold], kind):.3f}' for fold in names),
         mean(found['bundled'], macro, kind)]
        for kind in BASELINES
    ]  # fmt: skip
    return markdown(['run', *map(left_out, names), 'mean'], rows)


def macro(metrics: Figures, baseline: str = '') -> float:
    """Return the macro AUC of a fold."""
    of = metrics['baselines'][baseline] if baseline else metrics['model']
    return float(of['all']['macro_auc'][0])


def mean(run: Figures, figure: Any, *options: str) -> str:
    values = [figure(metrics, *options) for metrics in run.values()]
    return f'{sum(values) / len(values):.3f}'


def least(differences: Figures) -> list[float]:
    """Return the smaller of the differences from the two baselines."""
    found = [differences[kind]['all']['macro_auc'] for kind in BASELINES]
    return min(found, key=lambda interval: interval[0])


def pairs_of(metrics: Figures) -> dict[str, list[float]]:
    """Return the areas of pairs of classes inside one source, by words."""
    return {
        f'{pair} in {source}': interval
        for source, figures in metrics['model'].items()
        if source != 'all'
        for pair, interval in figures.get('pairs', {}).items()
    }


def left_out(fold: str) -> str:
    return fold.removeprefix('without-').replace('-', ', ')


def cell(interval: list[float] | None) -> str:
    if not interval or interval[0] is None:
        return ''
    value, low, high = interval
    return f'{value:.3f} [{low:.3f}, {high:.3f}]'


def markdown(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


if __name__ == '__main__':
    main()
