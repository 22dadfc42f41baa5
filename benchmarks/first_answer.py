"""What the first answer costs in time and memory, beside another checkout of napari-cxr.

    python benchmarks/first_answer.py --other CHECKOUT [--rounds N] [--quick]

Commands run in both checkouts, one after the other, with the same interpreter: `classify` of one
generated radiograph, `recipes` and `models`. Then the processes behind the docks: one that has
classified and one that has scored a file, both alive. Time is by the clock and in processor time,
children included; memory is the greatest sum of what the processes of a command hold (RSS, so
pages that several share count for each). Medians; ratios are this checkout over the other. Linux
only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from ratios import note_ratio

from napari_cxr import samples

HERE = Path(__file__).parents[1]

#: Of time and memory, by command.
_AIMS = {'classify FILE': ('<= 0.35', '<= 0.3'), 'recipes': ('<= 0.1', '')}

#: What the processes behind the docks hold after a click and a scored folder, in megabytes.
_WORKERS = """
import sys, pathlib
from napari_cxr import image_files
from napari_cxr.checkpoint import catalog
from napari_cxr.workers.worker_process import WorkerProcess
film, out = sys.argv[1:]
try:
    import napari_cxr.workers.model_worker
    role = 'inference'
except ImportError:
    role = 'torch'
model = {'model': catalog.default(), 'device': 'cpu'}
clicked, scorer = WorkerProcess(role), WorkerProcess(role, grace=5, background=True)
clicked.call('classify', radiograph=image_files.read(film), **model)
score = {'paths': [film], 'labels': None, 'out': out, 'settings': {}, 'workers': 1}
for event in scorer.run('score', **score, **model):
    pass
def held(pid):
    return int(pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1]) / 256
print(held(clicked.pid) + held(scorer.pid))
clicked.close(), scorer.close()
"""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--other', type=Path, required=True)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--quick', action='store_true', help='classify only')
    options = parser.parse_args()
    checkouts = (HERE, options.other.resolve())
    with tempfile.TemporaryDirectory() as folder:
        film = samples.write_phantom_dicom(Path(folder) / 'film.dcm', shape=(2500, 2048), seed=1)
        commands = {'classify FILE': ['classify', str(film)]}
        if not options.quick:
            commands |= {'recipes': ['recipes'], 'models': ['models']}
        print('| command | seconds | ratio | processor seconds | ratio | MB | ratio |')
        print('| --- | --- | --- | --- | --- | --- | --- |')
        for name, words in commands.items():
            found: dict[Path, list[tuple[float, float, float]]] = {one: [] for one in checkouts}
            for round_ in range(options.rounds + 1):
                for one in checkouts:
                    taken = cost(one, words)
                    if round_:  # the first fills caches of the disk
                        found[one].append(taken)
            own, other = (
                [median(values) for values in zip(*found[one], strict=True)] for one in checkouts
            )
            cells = [
                f'{a:.2f}, {b:.2f} | {a / b:.2f}' if b < 100 else f'{a:.0f}, {b:.0f} | {a / b:.2f}'
                for a, b in zip(own, other, strict=True)
            ]
            print(f'| {name} | {" | ".join(cells)} |', flush=True)
            seconds, _, memory = (
                [a / b for a, b in zip(mine, theirs, strict=True)]
                for mine, theirs in zip(
                    *(zip(*found[one], strict=True) for one in checkouts), strict=True
                )
            )
            aims = _AIMS.get(name, ('', ''))
            note_ratio(f'{name}, time', 'the other checkout', seconds, aims[0])
            note_ratio(f'{name}, memory', 'the other checkout', memory, aims[1])
        if not options.quick:
            own_mb, other_mb = (workers(one, film, Path(folder)) for one in checkouts)
            note_ratio(
                'memory of the processes behind the docks', 'the other checkout',
                [own_mb / other_mb], '<= 0.4',
            )  # fmt: skip
            print(
                f'after a click and a scored folder both processes hold {own_mb:.0f} and '
                f'{other_mb:.0f} MB: {own_mb / other_mb:.2f}'
            )


def cost(checkout: Path, words: list[str]) -> tuple[float, float, float]:
    """Return seconds, processor seconds and megabytes of one command."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, '-m', 'napari_cxr', *words],
        env=environment(checkout),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most, done = [0.0], threading.Event()
    watcher = threading.Thread(target=watch, args=(process.pid, most, done))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f'{checkout}: {words} ended with status {process.returncode}')
    return taken, usage.ru_utime + usage.ru_stime, most[0]


def watch(pid: int, most: list[float], done: threading.Event) -> None:
    """Keep the greatest sum of what a process and its descendants hold, in megabytes."""
    while not done.wait(0.05):
        most[0] = max(most[0], sum(map(held, family(pid))))


def family(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    for one in found:
        try:
            text = Path(f'/proc/{one}/task/{one}/children').read_text()
        except OSError:
            continue
        found += map(int, text.split())
    return found


def held(pid: int) -> float:
    """Return the megabytes of a process, pages that others share included."""
    try:
        pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    except (OSError, IndexError):  # it has ended
        return 0.0
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def workers(checkout: Path, film: Path, folder: Path) -> float:
    """Return the megabytes that the processes behind the docks hold."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        done = subprocess.run(
            [sys.executable, '-c', _WORKERS, str(film), f'{out}/scores.csv'],
            env=environment(checkout),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    return float(done.stdout)


def environment(checkout: Path) -> dict[str, str]:
    """Return the environment in which a checkout is the package that is imported."""
    return {**os.environ, 'PYTHONPATH': str(checkout / 'src')}


if __name__ == '__main__':
    main()
