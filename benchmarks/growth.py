"""How the cost of a listing and of scoring grows with the number of paths.

    python benchmarks/growth.py [listing] [score] [dask] [--paths N...] [--listed N...]
        [--shared N] [--workers N...] [--at FOLDER] [--kill]

Paths are hard links to a few generated JPEGs, each path with its own name, in folders of 1,000.
The pictures and the network are small, so that what grows is not hidden behind decoding.

* listing: seconds and memory of a process that lists so many paths.
* score: each run is `napari-cxr score` as a process of its own, with two decoders: rows a second
  and processor time of a row between two numbers of paths, so that the start counts in neither,
  and the peak memory of the main process and of any decoder. Linux only.
* dask: the same command with the workers of a Dask cluster on this machine, one thread each,
  over the command without one. Each worker has a decoder beside it.
* --kill: the largest run of `score` once more, stopped by SIGINT and later by SIGKILL, gone on
  with --resume: its table must have the same bytes.

With --at the paths stay in that folder, and what was measured there is not measured again: a
run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from ratios import note_figure, note_ratio

PICTURES = 40
SIDE = 64

#: Lists a folder; prints seconds of the processor, and the memory that it took, in bytes.
LISTING = """
import resource, sys, time
from napari_cxr.scoring import list_items
from napari_cxr.scoring.scoring_inputs import listing_fingerprint
def peak(): return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, begun = peak(), time.process_time()
listing_fingerprint(list_items([sys.argv[1]]))
print(time.process_time() - begun, peak() - before)
"""


@dataclass
class Run:
    """What a run took: peak memory in MiB, seconds, and processor time of all processes."""

    main: float = 0.0
    own: float = 0.0
    decoder: float = 0.0
    seconds: float = 0.0
    core: float = 0.0


class Workplace:
    """The folder of the paths, and what was measured there.

    Parameters
    ----------
    root : Path
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._file = root / 'measured.json'
        self.measured = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._pictures = make_pictures(root / 'pictures')
        self.model = make_model(root / 'small.safetensors')

    def paths(self, count: int) -> Path:
        """Return a folder with so many paths."""
        folder = self.root / f'{count}'
        if not folder.exists():
            make_links(self.root / f'{count} begun', self._pictures, count)
            (self.root / f'{count} begun').rename(folder)
        return folder

    def once(self, name: str, measure) -> list[float]:
        """Measure, unless that was done before."""
        if name not in self.measured:
            self.measured[name] = measure()
            self._file.write_text(json.dumps(self.measured))
        return self.measured[name]


def main() -> None:
    """Print the figures."""
    parts = {'listing': listing, 'score': scoring, 'dask': dask}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='*', help=f'{", ".join(parts)}; all by default')
    parser.add_argument('--listed', type=int, nargs='+', default=[100_000, 1_000_000])
    parser.add_argument('--paths', type=int, nargs='+', default=[1000, 10_000, 100_000])
    parser.add_argument('--shared', type=int, default=10_000, help='paths for the cluster')
    parser.add_argument('--workers', type=int, nargs='+', default=[1, 2, 4])
    parser.add_argument('--at', type=Path, help='a folder in which paths and figures stay')
    parser.add_argument('--kill', action='store_true')
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f'there is no part {", ".join(sorted(unknown))}')
    with tempfile.TemporaryDirectory() as temporary:
        root = options.at or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        place = Workplace(root)
        for name in options.parts or parts:
            parts[name](place, options)
        if options.kill:
            count = max(options.paths)
            out = root / f'{count}.csv'
            if not out.exists():
                score(place.model, place.paths(count), out)
            same = killed(place.model, place.paths(count), root / 'killed.csv')
            print('stopped, killed and resumed:', end=' ')
            print('the same' if same == out.read_bytes() else 'NOT the same')


def listing(place: Workplace, options: argparse.Namespace) -> None:
    """List few paths and many."""
    found = {}
    for count in sorted(options.listed):
        command = [sys.executable, '-c', LISTING, str(place.paths(count))]

        def run(command=command) -> list[float]:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return [float(word) for word in done.stdout.split()]

        found[count] = place.once(f'listing {count}', run)
    few, many = min(found), max(found)
    (seconds, taken), (before, _) = found[many], found[few]
    note_figure(f'listing {many:,} paths', 's of a core', [seconds])
    note_figure(f'memory of a path in a listing of {many:,}', 'bytes', [taken / many])
    if few < many:
        ratio = seconds / many / (before / few)
        note_ratio(f'a path of {many:,}', f'a path of {few:,}', [ratio], '<= 1.2')


def scoring(place: Workplace, options: argparse.Namespace) -> None:
    """Score few paths and many."""
    # Converting the network takes memory of its own, once.
    place.once(
        'first', lambda: asdict(score(place.model, place.paths(100), place.root / 'first.csv'))
    )
    found = {}
    for count in sorted(options.paths):
        out = place.root / f'{count}.csv'

        def run(count=count, out=out) -> dict[str, float]:
            remove_table(out)
            return asdict(score(place.model, place.paths(count), out))

        found[count] = peaks = Run(**place.once(f'score {count}', run))
        print(
            f'{count:6} paths: main process {peaks.main:.0f} MiB, of it no file '
            f'{peaks.own:.0f}; a decoder {peaks.decoder:.0f}; {peaks.seconds:.0f} s',
            flush=True,
        )
    costs = []
    for few, many in pairwise(sorted(found)):
        rate = (many - few) / (found[many].seconds - found[few].seconds)
        costs.append(1000 * (found[many].core - found[few].core) / (many - few))
        note_figure(f'score, from {few:,} to {many:,} paths', 'rows a second', [rate])
        note_figure(f'a row, from {few:,} to {many:,} paths', 'ms of a core', [costs[-1]])
    few, many = min(found), max(found)
    note_figure(f'memory of the main process, {many:,} paths', 'MiB', [found[many].own])
    note_figure(f'memory of a decoder, {many:,} paths', 'MiB', [found[many].decoder])
    if few < many:
        grown = (found[many].own - found[few].own) * 2**20 / (many - few)
        note_figure('memory of each further path', 'bytes', [grown])
        ratio = found[many].decoder / found[few].decoder
        note_ratio(f'a decoder, {many:,} paths', f'{few:,} paths', [ratio], '<= 1.1')
    if len(costs) > 1:
        note_ratio(
            'a row of the last step', 'a row of the first', [costs[-1] / costs[0]], '<= 1.1'
        )


def dask(place: Workplace, options: argparse.Namespace) -> None:
    """Score with clusters of some sizes, and without one."""
    few, many = options.shared // 10, options.shared
    rates = {}
    for workers in (0, *options.workers):
        seconds = []
        for count in (few, many):
            name = f'dask {workers} {count}'

            def run(workers=workers, count=count, name=name) -> float:
                out = place.root / f'{name}.csv'
                remove_table(out)
                return on_cluster(place.model, place.paths(count), out, workers)

            seconds.append(place.once(name, run))
        rates[workers] = (many - few) / (seconds[1] - seconds[0])
        what = f'{workers} workers' if workers else 'no cluster'
        print(f'{what}: {rates[workers]:.1f} rows a second', flush=True)
    note_figure(f'no cluster, {many:,} paths', 'rows a second', [rates[0]])
    for workers in options.workers:
        one = 'worker' if workers == 1 else 'workers'
        note_ratio(
            f'rows a second with {workers} Dask {one}', 'no cluster', [rates[workers] / rates[0]]
        )


def on_cluster(model: Path, folder: Path, out: Path, workers: int) -> float:
    """Return the seconds of a run with so many workers, or without a cluster."""
    if not workers:
        return score(model, folder, out).seconds
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=':0', silence_logs=50
    ) as cluster:
        words = command(model, folder, out, '--scheduler', cluster.scheduler_address, workers=1)
        begun = time.monotonic()
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - begun


def make_pictures(folder: Path) -> list[Path]:
    """Write a few different pictures."""
    folder.mkdir(exist_ok=True)
    for i in range(PICTURES):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32), np.uint8)
        iio.imwrite(folder / f'{i}.jpg', np.kron(pixels, np.ones((4, 4), np.uint8)))
    return sorted(folder.iterdir())


def make_model(path: Path) -> Path:
    """Write a small network with random weights."""
    if not path.exists():
        import torch

        from napari_cxr import networks
        from napari_cxr.checkpoint import Card, save
        from napari_cxr.inference import Preprocessing

        torch.manual_seed(0)
        card = Card(
            name='small',
            title='Random weights',
            architecture='resnet10',
            labels=('a', 'b', 'c'),
            channels=1,
            preprocessing=Preprocessing(SIDE, SIDE).to_dict(),
        )
        save(path, networks.create('resnet10', 3, 1).state_dict(), card)
    return path


def make_links(folder: Path, pictures: list[Path], count: int) -> Path:
    """Make so many paths."""
    for i in range(count):
        part = folder / f'{i // 1000:03}'
        if i % 1000 == 0:
            part.mkdir(parents=True)
        os.link(pictures[i % len(pictures)], part / f'{i:06}.jpg')
    return folder


def command(model: Path, folder: Path, out: Path, *more: str, workers: int = 2) -> list[str]:
    """Return the words of a run with so many decoders."""
    words = [sys.executable, '-m', 'napari_cxr.cli', 'score', str(folder), '--out', str(out)]
    return [*words, '--model', str(model), '--device', 'cpu', '--workers', str(workers), *more]


def score(model: Path, folder: Path, out: Path, *more: str) -> Run:
    """Run to the end and watch the memory."""
    peaks, began, before = Run(), time.monotonic(), children_time()
    with subprocess.Popen(command(model, folder, out, *more), stdout=subprocess.DEVNULL) as going:
        while going.poll() is None:
            status = memory_of(going.pid)
            peaks.main = max(peaks.main, status.get('VmHWM', 0))
            peaks.own = max(peaks.own, status.get('RssAnon', 0))
            for child in children_of(going.pid):
                peaks.decoder = max(peaks.decoder, memory_of(child).get('VmHWM', 0))
            time.sleep(0.2)
    if going.returncode:
        raise SystemExit(f'the run ended with {going.returncode}')
    peaks.seconds = time.monotonic() - began
    peaks.core = children_time() - before
    return peaks


def killed(model: Path, folder: Path, out: Path) -> bytes:
    """Stop a run by Ctrl-C, kill the next, finish the third; return the table."""
    for number, share in ((signal.SIGINT, 0.3), (signal.SIGKILL, 0.6)):
        more = ['--resume'] if out.exists() else []
        with subprocess.Popen(
            command(model, folder, out, *more), stdout=subprocess.DEVNULL
        ) as going:
            while rows_in(out) < share * len(list(folder.rglob('*.jpg'))):
                if going.poll() is not None:
                    raise SystemExit('the run ended by itself')
                time.sleep(0.2)
            going.send_signal(number)
    score(model, folder, out, '--resume')
    return out.read_bytes()


def remove_table(out: Path) -> None:
    """Remove a table and its journal."""
    for old in (out, out.with_name(f'{out.name}.journal')):
        old.unlink(missing_ok=True)


def children_time() -> float:
    """Return the seconds of the processor of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows_in(out: Path) -> int:
    """Return how many rows a journal has."""
    journal = out.with_name(f'{out.name}.journal')
    return journal.read_bytes().count(b'\n') - 1 if journal.exists() else 0


def memory_of(pid: int) -> dict[str, float]:
    """Return the system's figures of a process, in MiB."""
    try:
        lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    except OSError:  # it has just ended
        return {}
    pairs = (line.split() for line in lines if line.endswith(' kB'))
    return {name.rstrip(':'): int(value) / 1024 for name, value, _ in pairs}


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                fields = Path(f'/proc/{entry}/stat').read_text().rpartition(')')[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry))
    return found


if __name__ == '__main__':
    main()
