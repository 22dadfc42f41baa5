"""Run the sweeps `transfer` and `transfer-covid19`, and make their part of docs/papers.md.

    python scripts/transfer.py CXR3 RUNS

CXR3 is the folder that `NAPARI_CXR_DATA` has by that name. For each source that has both
normal and pneumonia a table is written into RUNS: its training and validation images are
learnt from, and judged are its test images and those of the other source, of which nothing
was seen. The runs of the sweep `transfer` follow on each table, then those of
`transfer-covid19` on all sources; started again on the same folder it goes on where it
stopped. With --only-read tables and figure are made from the runs that are there.
"""

from __future__ import annotations

import argparse
import csv
import json
from contextlib import closing
from pathlib import Path
from typing import Any

from marked_tables import fill
from transfer_curves import PAPERS, drawing

from napari_cxr.training.sweep import find, sweep
from napari_cxr.training.training_events import RunsDone
from napari_cxr.workers.decoder_pool import DecoderPool

DOCS = Path(__file__).parents[1] / 'docs'
SOURCES = ('kermany', 'nih')
STARTS = {'scratch': 'from scratch', 'frozen': 'frozen', 'tuned': 'fine-tuned'}
BASELINES = ('format only', 'format and grey levels')
Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('cxr3', type=Path)
    parser.add_argument('runs', type=Path)
    parser.add_argument('--only-read', action='store_true', help='run nothing')
    options = parser.parse_args()
    if not options.only_read:
        for source in SOURCES:
            images = table_of(options.cxr3, source, options.runs)
            run_all('transfer', images, options.runs / source)
        run_all('transfer-covid19', options.cxr3, options.runs / 'covid19')
    found = {source: read('transfer', options.runs / source) for source in SOURCES}
    found['covid19'] = read('transfer-covid19', options.runs / 'covid19')
    fill(
        DOCS / 'papers.md',
        {'transfer': table(found), 'curves': curves(found)},
        Path(__file__).name,
    )
    (DOCS / 'images' / 'transfer.svg').write_text(
        drawing({source: found[source] for source in SOURCES if found[source]}), encoding='utf-8'
    )


def table_of(cxr3: Path, source: str, out: Path) -> Path:
    """Write the table of which one source is learnt from, and both are judged."""
    with (cxr3 / 'manifest.csv').open(newline='', encoding='utf-8') as file:
        rows = [row for row in csv.DictReader(file) if row['source'] in SOURCES]
    rows = [row for row in rows if row['source'] == source or row['split'] == 'test']
    out.mkdir(parents=True, exist_ok=True)
    path = out / f'{source}.csv'
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, 'path': str((cxr3 / row['path']).resolve())} for row in rows)
    return path


def run_all(name: str, images: Path, out: Path) -> None:
    """Do the runs of a sweep, or what is left of them."""
    events = sweep(images, find(name), out, 'cpu', read=DecoderPool(), resume=out.is_dir())
    with closing(events):
        for event in events:
            if isinstance(event, RunsDone):
                done = f'{out.name}: {event.done} of {event.total}'
                print(done, event.row['run'], event.row['status'], flush=True)


def read(name: str, folder: Path) -> Found:
    """Return of each finished run, and of each finished fold, what tables and figure need."""
    found = {}
    for run in find(name).runs:
        for path in sorted((folder / run.name).rglob('result.json')):
            found[path.parent.relative_to(folder).as_posix()] = read_one(path.parent)
    return found


def read_one(folder: Path) -> Found:
    result = json.loads((folder / 'result.json').read_text(encoding='utf-8'))
    metrics = result['metrics']
    with (folder / 'metrics.csv').open(newline='', encoding='utf-8') as file:
        epochs = list(csv.DictReader(file))
    return {
        'split': f'{metrics["measured_on"]}, {metrics["split"]}',
        'best_epoch': result['best_epoch'],
        'minutes': round(sum(float(epoch['seconds']) for epoch in epochs) / 60, 2),
        'validation': [round(float(epoch['val_macro_auc']), 4) for epoch in epochs],
        'images': {at: of['images'] for at, of in metrics['model'].items()},
        'auc': areas(metrics['model']),
        'baselines': {name: areas(by) for name, by in metrics['baselines'].items()},
        'above': {name: areas(by) for name, by in metrics['differences'].items()},
    }


def areas(by_source: Found) -> Found:
    """Return the areas with their intervals of those sources that have both classes."""
    found = {at: of.get('macro_auc') for at, of in by_source.items()}
    return {at: area for at, area in found.items() if area and area[0] is not None}


def table(found: Found) -> str:
    """Return the areas under the curve on test images, in the source and on the other one."""
    learnt_from = [source for source in SOURCES if found[source]]
    where = [(learnt, judged) for learnt in learnt_from for judged in (learnt, other(learnt))]
    any_run = {learnt: next(iter(found[learnt].values())) for learnt in learnt_from}
    names = [
        f'{learnt}, judged on {"itself" if judged == learnt else judged} '
        f'({any_run[learnt]["images"][judged]})'
        for learnt, judged in where
    ]
    rows: list[list[str]] = []
    for paper in PAPERS:
        for start, words in STARTS.items():
            runs = {learnt: found[learnt].get(f'{paper}-{start}') for learnt in SOURCES}
            cells = [result(runs[learnt], judged) for learnt, judged in where]
            done = [str(len(run['validation'])) for run in runs.values() if run]
            rows.append([PAPERS[paper], words, ', '.join(dict.fromkeys(done)), *cells])
    for name in BASELINES:
        cells = [shown(any_run[learnt]['baselines'][name][judged]) for learnt, judged in where]
        rows.append(['no anatomy', name, '', *cells])
    return markdown(['recipe', 'start', 'epochs', *names], rows)


def curves(found: Found) -> str:
    """Return start, slope and asymptote of the validation curves in numbers."""
    rows = []
    for paper in PAPERS:
        for start, words in STARTS.items():
            cells = []
            for source in SOURCES:
                run = found[source].get(f'{paper}-{start}')
                values = run['validation'] if run else []
                cells += promised(values) if len(values) > 2 else ['–'] * 3
            rows.append([PAPERS[paper], words, *cells])
    names = [f'{source}: {what}' for source in SOURCES for what in ('start', 'slope', 'end')]
    return markdown(['recipe', 'start', *names], rows)


def covid19(found: Found) -> str:
    """Return the areas of COVID-19 against the rest, all sources mixed and sources left out."""
    runs = found['covid19']
    folds = {'': 'nova-frozen', **{
        name.partition('/')[2]: name for name in runs if name.startswith('nova-frozen-left-out/')
    }}  # fmt: skip
    head = ['recipe', 'start', 'epochs']
    for fold, run in folds.items():
        words = fold.removeprefix('without-').replace('-', ' and ')
        where = f'{words}, left out' if fold else 'all sources mixed'
        head.append(f'{where} ({runs[run]["images"]["all"]})')
    rows = []
    for paper, start in (name.split('-') for name in runs if name.count('-') == 1):
        names = [f'{paper}-{start}{f"-left-out/{fold}" if fold else ""}' for fold in folds]
        epochs = str(len(runs[names[0]]['validation']))
        cells = [result(runs.get(name), 'all') for name in names]
        rows.append([PAPERS[paper], STARTS[start], epochs, *cells])
    for name in BASELINES:
        cells = [shown(runs[run]['baselines'][name]['all']) for run in folds.values()]
        rows.append(['no anatomy', name, '', *cells])
    return markdown(head, rows)


def promised(values: list[float]) -> list[str]:
    """Return the area after one epoch, what each of the next two adds, and the last two's mean."""
    slope = f'{(values[2] - values[0]) / 2:+.3f}'.replace('0.', '.', 1)
    return [bare(values[0]), slope, bare(sum(values[-2:]) / 2)]


def result(run: Found | None, judged: str) -> str:
    """Return a run's area, bold where it is above both baselines on the same images."""
    if run is None:
        return 'not run'
    least = min(run['above'][name][judged][1] for name in BASELINES)
    text = shown(run['auc'][judged])
    return f'**{text}**' if least > 0 else text


def other(source: str) -> str:
    return next(name for name in SOURCES if name != source)


def shown(interval: list[float]) -> str:
    value, low, high = map(bare, interval)
    return f'{value} [{low}, {high}]'


def bare(value: float) -> str:
    return f'{value:.3f}'.removeprefix('0')


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


if __name__ == '__main__':
    main()
