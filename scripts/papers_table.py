"""Make the tables of docs/papers.md out of the folders of runs.

    python scripts/papers_table.py RUNS

RUNS holds `zhong`, `detl-step1`, `detl-step2` (in folds), `detl-step2-given` (with the
table's splits) and `nova-custom-cnn`, each as `napari-cxr train` left it, and `short`, as
scripts/run_every_recipe.py left it.
"""

from __future__ import annotations

import argparse
import csv
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from marked_tables import fill

from napari_cxr.training.run_table import run_row

DOCS = Path(__file__).parents[1] / 'docs'
RUNS = ('zhong', 'detl-step1', 'detl-step2', 'detl-step2-given', 'nova-custom-cnn')
METRICS = ('accuracy', 'balanced_accuracy', 'macro_auc', 'keras_auc')
BASELINES = ('format only', 'format and grey levels')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('runs', type=Path)
    options = parser.parse_args()
    runs = [result(options.runs / name) for name in RUNS if there(options.runs / name)]
    tables = {
        'earnest': earnest(runs),
        'confusion': confusions(runs),
        'short': short(short_runs(options.runs / 'short' / 'table.csv')),
    }
    fill(DOCS / 'papers.md', tables, Path(__file__).name)


def there(folder: Path) -> bool:
    """Whether a run has ended."""
    return any((folder / name).is_file() for name in ('result.json', 'summary.json'))


def result(folder: Path) -> dict[str, Any]:
    """Return what the tables need of one run, or of its folds together."""
    folds = (folder / 'summary.json').is_file()
    found = json.loads((folder / ('summary.json' if folds else 'result.json')).read_text('utf-8'))
    metrics = found['metrics']
    recipe = tomllib.loads((folder / 'recipe.toml').read_text('utf-8'))
    row = run_row(folder)
    sets = {'model': metrics['model'], **metrics['baselines']}
    return {
        'run': folder.name,
        'paper': recipe['paper'],
        'network': recipe['network'],
        'parameters': row['parameters'],
        'folds': recipe['split']['folds'] if folds else 0,
        'epochs': recipe['epochs'] if folds else row['epochs'],
        'minutes_per_epoch': round(row['minutes_per_epoch'], 2),
        'split': metrics['split'],
        'measured_on': metrics['measured_on'],
        'most_frequent_class': metrics['most_frequent_class'],
        'labels': list(metrics['model']['all']['classes']),
        'confusion': metrics['model']['all']['confusion'],
        'sources': {
            source: {
                'images': figures['images'],
                **{
                    name: {figure: by.get(source, {}).get(figure) for figure in METRICS}
                    for name, by in sets.items()
                },
            }
            for source, figures in metrics['model'].items()
        },
        'classes': {
            label: {name: of[name] for name in ('sensitivity', 'precision', 'auc')}
            for label, of in metrics['model']['all']['classes'].items()
        },
    }


def short_runs(table: Path) -> list[dict[str, Any]]:
    """Return how many runs of each recipe and sweep ended, and how."""
    if not table.is_file():
        return []
    groups: dict[str, list[dict[str, str]]] = {}
    with table.open(newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            kind, _, rest = row['run'].partition(' ')
            name = f'recipe {rest}' if kind == 'recipe' else f'sweep {kind}'
            groups.setdefault(name, []).append(row)
    return [
        {
            'name': name,
            'runs': len(rows),
            'networks': sorted({row['network'] for row in rows}),
            'ended': dict(Counter(row['status'] for row in rows)),
        }
        for name, rows in groups.items()
    ]


def earnest(runs: list[dict[str, Any]]) -> str:
    """Return the table of metrics by source, beside the baselines."""
    lines = [
        '| run | epochs | source | images | accuracy | baselines | macro AUC | baselines |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for run in runs:
        epochs = f'{run["epochs"]} x {run["folds"]} folds' if run['folds'] else run['epochs']
        for source, found in run['sources'].items():
            whole = source == 'all'
            cells = [
                f'**{run["run"]}**' if whole else '',
                epochs if whole else '',
                source,
                found['images'],
                *(
                    cell
                    for figure in ('accuracy', 'macro_auc')
                    for cell in (
                        shown(found['model'][figure]),
                        ' · '.join(shown(found[name][figure], bare=True) for name in BASELINES),
                    )
                ),
            ]
            lines.append(f'| {" | ".join(map(str, cells))} |')
    return '\n'.join(lines)


def confusions(runs: list[dict[str, Any]]) -> str:
    """Return a table for each run: rows are the true classes."""
    blocks = []
    for run in runs:
        labels = run['labels']
        names = (
            f'{run["run"]}: true class, then predicted',
            *labels,
            'sensitivity',
            'precision',
            'AUC',
        )
        lines = [
            f'| {" | ".join(names)} |',
            f'|{" --- |" * (len(labels) + 4)}',
        ]
        for label, row in zip(labels, run['confusion'], strict=True):
            figures = run['classes'][label]
            cells = [label, *row, *map(shown, (figures[n] for n in figures))]
            lines.append(f'| {" | ".join(map(str, cells))} |')
        blocks.append('\n'.join(lines))
    return '\n\n'.join(blocks)


def short(groups: list[dict[str, Any]]) -> str:
    """Return the table of runs that prove that recipes work."""
    lines = ['| recipe or sweep | runs | networks | ended |', '| --- | --- | --- | --- |']
    for group in groups:
        ended = ', '.join(f'{count} {status}' for status, count in group['ended'].items())
        networks = ', '.join(group['networks'])
        lines.append(f'| {group["name"]} | {group["runs"]} | {networks} | {ended} |')
    return '\n'.join(lines)


def shown(figure: list[float | None] | None, *, bare: bool = False) -> str:
    """Return a metric with its interval as .xxx [.xxx, .xxx]; a dash if it is undefined."""
    if not figure or figure[0] is None:
        return '–'
    value, low, high = (None if part is None else f'{part:.3f}'.lstrip('0') for part in figure)
    return f'{value}' if bare or low is None else f'{value} [{low}, {high}]'


if __name__ == '__main__':
    main()
