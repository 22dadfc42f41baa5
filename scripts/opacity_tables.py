"""Put the figures of the opacity model into its page.

python scripts/opacity_tables.py RUN

RUN is the folder of scripts/opacity_model.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from marked_tables import fill

PAGE = Path(__file__).parents[1] / 'docs' / 'opacity-model.md'
BESIDE = ('projection only', 'format only', 'format and grey levels', 'lungs blanked')
ROWS = {
    'kermany to nih': 'Kermany alone, judged by NIH',
    'nih to kermany': 'NIH alone, judged by Kermany',
    'nih by patient': 'NIH, by patients left out',
}


def main() -> None:
    """Fill all tables."""
    figures = json.loads((Path(sys.argv[1]) / 'figures.json').read_text(encoding='utf-8'))
    tables = {
        'rows': held_out(figures['rows']),
        'differences': differences(figures['rows']),
        'inside': inside(figures['inside kermany']),
        'looked': looked(figures['looked']),
        'chosen': chosen(figures),
        'decisions': decisions(figures['decisions']),
        'tried': tried(figures['rows']),
        'looks': looks(figures['looks']),
    }
    fill(PAGE, tables, Path(__file__).name)


def held_out(rows: dict[str, Any]) -> str:
    """Return areas within projection, of the model and of what sees no lungs."""
    table = [['learnt from, judged by', 'images', 'model', *BESIDE]]
    for name, title in ROWS.items():
        own = rows[name]
        cells = [f'{_short(own["model"]["auc_within"])}; {_short(own["model"]["auc"])}']
        cells += [f'{own[b]["auc_within"][0]:.2f}; {own[b]["auc"][0]:.2f}' for b in BESIDE]
        table.append([title, str(own['images']), *cells])
    return _drawn(table)


def differences(rows: dict[str, Any]) -> str:
    """Return how much better the model is than each, on the same resamples."""
    table = [['learnt from, judged by', *BESIDE]]
    for name, title in ROWS.items():
        cells = [_short(rows[name][b]['difference_within'], 3) for b in BESIDE]
        table.append([title, *cells])
    return _drawn(table)


def inside(found: dict[str, float]) -> str:
    """Return what patients left out within Kermany show."""
    seen, blanked = found['lungs seen'], found['lungs blanked']
    return (
        f"Kermany's own cross-validation is not a result and is not among the rows: a head on the "
        f'frozen network reaches {seen:.3f} there, and {blanked:.3f} with both lungs blanked, '
        'because children with and without pneumonia were not photographed alike.'
    )


def looked(found: dict[str, dict[str, float]]) -> str:
    """Return how much of the heatmap lies in the lungs."""
    table = [['cells', 'images', 'in the lungs', 'if even', 'images with more than that']]
    for name, own in found.items():
        table.append(
            [name, str(int(own['images'])), *(f'{own[k]:.0%}' for k in ('share', 'even', 'more'))]
        )
    return _drawn(table)


def chosen(figures: dict[str, Any]) -> str:
    """Return what was chosen where."""
    table = [['chosen inside', 'configuration']]
    for name, title in (
        ('kermany to nih', 'Kermany'),
        ('nih to kermany', 'NIH'),
        ('nih by patient', 'NIH, each of five folds'),
    ):
        names = list(dict.fromkeys(figures['rows'][name]['chosen'].split('; ')))
        table.append([title, '<br>'.join(names)])
    table.append(['both (this is shipped)', figures['shipped']])
    return _drawn(table)


def decisions(found: dict[str, Any]) -> str:
    """Return what the shipped thresholds and the band give on patients left out."""
    table = [
        [
            'source',
            'area within projection',
            *(f'{p}: sensitivity / specificity' for p in found['points']),
            'answered',
            'sensitivity / specificity of answers',
        ],
    ]
    for source, own in found['sources'].items():
        band = own['band']
        table.append(
            [
                source,
                _short(own['model']['auc_within']),
                *(f'{a["sensitivity"]:.2f} / {a["specificity"]:.2f}' for a in own['at'].values()),
                f'{band["answered"]:.0%}',
                f'{band["sensitivity"]:.2f} / {band["specificity"]:.2f}',
            ]
        )
    text = _drawn(table)
    points = ', '.join(f'{value:.3f} ({name})' for name, value in found['points'].items())
    low, high = found['band']
    moved = '; '.join(
        f'{name}: sensitivity {a["sensitivity"]:.2f}, specificity {a["specificity"]:.2f}'
        for name, a in found['transferred'].items()
    )
    return (
        f'{text}\n\nThresholds: {points}; "cannot say" between {low:.3f} and {high:.3f}. '
        f'A threshold that is chosen in one source and used in the other gives: {moved}.'
    )


def tried(rows: dict[str, Any]) -> str:
    """Return every configuration on every row: area within projection, and in all."""
    table = [['configuration', *ROWS.values()]]
    for name in rows['nih to kermany']['tried']:
        cells = [rows[row]['tried'][name] for row in ROWS]
        table.append([name, *(f'{within:.3f}; {whole:.3f}' for whole, within in cells)])
    return _drawn(table)


def looks(counted: dict[str, dict[str, int]]) -> str:
    """Return how often each set was looked at."""
    table = [['images', 'to choose', 'to report']]
    table += [[name, str(n['choose']), str(n['report'])] for name, n in counted.items()]
    return _drawn(table)


def _short(figure: list[float], digits: int = 2) -> str:
    value, low, high = figure
    return f'{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]'


def _drawn(table: list[list[str]]) -> str:
    lines = [f'| {" | ".join(row)} |' for row in table]
    return '\n'.join([lines[0], '| --- ' * len(table[0]) + '|', *lines[1:]])


if __name__ == '__main__':
    main()
