"""Run every shipped recipe, and every run of every sweep, to its end on a handful of images.

It proves that they work, and measures nothing: a few images a class, small inputs, one or two
epochs, and instead of ImageNet's weights those of a network that had as short a run from
random ones. `docs/papers.md` says which runs were made in earnest.

    python scripts/run_every_recipe.py ../shared/data /tmp/runs

DATA holds `cxr3` (three classes) and `kermany224` (two). Started again on the same folder,
it goes on where it stopped. OUT/table.csv has a line for each run.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from contextlib import closing
from pathlib import Path

from napari_cxr.training import Recipe, index, run_table, train
from napari_cxr.training import recipe as recipes
from napari_cxr.training.sweep import Sweep, SweepRun, find, names, sweep
from napari_cxr.training.training_events import RunsDone
from napari_cxr.workers.decoder_pool import DecoderPool

#: Networks that flatten their last map are built for one size, and keep it.
OF_ONE_SIZE = ('nova_cnn', 'zhong_cnn', 'detl_cnn')
WEIGHTS = ('best.safetensors', 'last.safetensors', 'state.safetensors')


class Trial:
    """Short runs below one folder, with the weights that they begin with."""

    def __init__(self, data: Path, out: Path, size: int, limit: int) -> None:
        self.out, self.size = out, size
        self.read = DecoderPool()
        names = ('cxr3', 'kermany224')
        self.tables = {name: few_of(data / name, out / f'{name}.csv', limit) for name in names}

    def shortened(self, recipe: Recipe) -> Recipe:
        """Return a recipe for a handful of images, which freezes and thaws as it did."""
        thaws = bool(recipe.freeze.thaw_after)
        changes = {
            'epochs': 1 + thaws,
            'batch': 4,
            'data.duplicates': False,
            'freeze.thaw_after': int(thaws),
            'freeze.views': min(recipe.freeze.views, 2),
            'schedule.warm_up': 0.0,
            'split.fold': int(recipe.split.method == 'k-fold'),
        }
        if recipe.schedule.name == 'stages':
            changes |= {'epochs': 3, 'schedule.after': [1, 2]}
        if not recipe.network.startswith(OF_ONE_SIZE):
            changes |= {'input.height': self.size, 'input.width': self.size}
        if recipe.weights == 'pretrained':
            changes['weights'] = str(self.beginning(recipe))
        elif recipe.weights == 'detl-step1':
            changes['weights'] = str(self.out / 'recipes' / 'detl-step1' / 'best.safetensors')
        return recipe.with_changes(changes)

    def beginning(self, recipe: Recipe) -> Path:
        """Return weights for a network's stages, out of a short run from random ones."""
        name = f'{recipe.network}-{recipe.input.channels}'
        folder = self.out / 'beginnings' / name
        if not (folder / 'result.json').is_file():
            entries = {
                'name': name,
                'network': recipe.network,
                'epochs': 1,
                'batch': 4,
                'input': {
                    'height': self.size,
                    'width': self.size,
                    'channels': recipe.input.channels,
                    'mean': list(recipe.input.mean),
                    'std': list(recipe.input.std),
                },
                'head': {'kind': 'average'},
                'data': {'duplicates': False},
            }
            self.run(Recipe.from_dict(entries), folder)
        return folder / 'best.safetensors'

    def source(self, recipe: Recipe) -> Path:
        """Return the images that a recipe is for: those of the paper, as far as we have them."""
        two = recipe.paper.startswith('Sagar') or recipe.name == 'detl-step1'
        return self.tables['kermany224' if two else 'cxr3']

    def run(self, recipe: Recipe, folder: Path) -> None:
        """Do one run, or what is left of it."""
        source = self.source(recipe)
        begun = (folder / 'recipe.toml').is_file()
        for _ in train(
            index(source, recipe.data), recipe, folder, 'cpu', read=self.read, resume=begun
        ):
            pass

    def recipes(self) -> list[dict[str, object]]:
        """Run every recipe; return the rows of the table."""
        rows = []
        for name in recipes.names():
            folder = self.out / 'recipes' / name
            if not list(folder.glob('**/result.json')):
                self.run(self.shortened(recipes.find(name)), folder)
            rows.append(run_table.run_row(folder, f'recipe {name}'))
            print(name, rows[-1]['status'], flush=True)
        return rows

    def sweep(self, name: str) -> list[dict[str, object]]:
        """Do every run of a sweep; return the rows of the table."""
        whole = find(name)
        short = tuple(SweepRun(run.name, self.shortened(run.recipe)) for run in whole.runs)
        plan = dataclasses.replace(whole, base=self.shortened(whole.base), runs=short)
        if plan.search is not None:
            plan = dataclasses.replace(plan, search=dataclasses.replace(plan.search, trials=3))
        folder = self.out / 'sweeps' / name
        resume = (folder / 'sweep.toml').is_file()
        if resume:
            plan = Sweep.from_toml((folder / 'sweep.toml').read_text('utf-8'))
        rows = []
        source = self.source(plan.base)
        with closing(sweep(source, plan, folder, 'cpu', read=self.read, resume=resume)) as events:
            for event in events:
                # A fold of a run is told in the same way; only the run has all of them.
                if isinstance(event, RunsDone) and event.run == folder.name:
                    rows.append(event.row | {'run': f'{name} {event.row["run"]}'})
                    print(rows[-1]['run'], event.row['status'], event.row.get('reason', ''))
                    sys.stdout.flush()
                    for path in (folder / str(event.row['run'])).rglob('*.safetensors'):
                        if path.name != WEIGHTS[0]:
                            path.unlink()
        return rows


def few_of(folder: Path, table: Path, limit: int) -> Path:
    """Write a table of the first images of each class and split, and return it."""
    taken: dict[tuple[str, str], int] = {}
    with (folder / 'manifest.csv').open(newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        rows = []
        for row in reader:
            key = row['label'], row['split']
            taken[key] = taken.get(key, 0) + 1
            if taken[key] <= limit:
                rows.append(row | {'path': str((folder / row['path']).resolve())})
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(rows)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--size', type=int, default=96, help='side of the input in pixels')
    parser.add_argument('--limit', type=int, default=6, help='images a class and split')
    options = parser.parse_args()
    trial = Trial(options.data, options.out, options.size, options.limit)
    rows = trial.recipes()
    for name in names():
        rows += trial.sweep(name)
        run_table.write_run_table(rows, options.out / 'table.csv')
    trial.read.close()
    failed = [row['run'] for row in rows if row['status'] not in ('finished', 'given up')]
    print(f'{len(rows)} runs, {len(failed)} not finished', *failed, sep='\n')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
