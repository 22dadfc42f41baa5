"""What scoring takes of memory on few and on many paths, and whether a killed run ends alike.

    python benchmarks/folder_memory.py [--paths N...] [--kill]

Paths are links to a few generated JPEGs, each path with its own name, in folders of 1,000. Each
run is `napari-cxr score` as a process of its own, with two decoders. What grows is what the
listing, the journal's index and the table's writing keep of each path. Linux only.

* memory: the peak of the main process, of it what is no file (VmHWM and RssAnon's peak), and the
  highest peak of any decoder, for each number of paths, and the bytes that each further path
  costs.
* --kill: the largest run once more, stopped by SIGINT and later by SIGKILL, gone on with
  --resume: its table must have the same bytes.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np

PICTURES = 40
MODEL = 'cxr3-resnet10'


@dataclass
class Peaks:
    """Peak memory in MiB, and seconds."""

    main: float = 0.0
    own: float = 0.0
    decoder: float = 0.0
    seconds: float = 0.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--paths', type=int, nargs='+', default=[1000, 20_000])
    parser.add_argument('--kill', action='store_true')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        pictures = make_pictures(root / 'pictures')
        # Converting the network takes memory of its own, once.
        score(make_links(root / 'first', pictures, 1000), root / 'first.csv')
        found = {}
        for count in options.paths:
            folder = make_links(root / f'{count}', pictures, count)
            found[count] = peaks = score(folder, root / f'{count}.csv')
            print(
                f'{count:6} paths: main process {peaks.main:.0f} MiB, of it no file '
                f'{peaks.own:.0f}; a decoder {peaks.decoder:.0f}; {peaks.seconds:.0f} s',
                flush=True,
            )
        few, many = min(found), max(found)
        if many > few:
            grown = (found[many].own - found[few].own) * 2**20 / (many - few)
            print(f'each further path: {grown:.0f} bytes')
        if options.kill:
            same = killed(root / f'{many}', root / 'killed.csv')
            whole = (root / f'{many}.csv').read_bytes()
            print('stopped, killed and resumed:', 'the same' if same == whole else 'NOT the same')


def make_pictures(folder: Path) -> list[Path]:
    """Write a few different pictures."""
    folder.mkdir()
    for i in range(PICTURES):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32), np.uint8)
        iio.imwrite(folder / f'{i}.jpg', np.kron(pixels, np.ones((4, 4), np.uint8)))
    return sorted(folder.iterdir())


def make_links(folder: Path, pictures: list[Path], count: int) -> Path:
    """Make so many paths."""
    for i in range(count):
        part = folder / f'{i // 1000:03}'
        if i % 1000 == 0:
            part.mkdir(parents=True)
        (part / f'{i:06}.jpg').symlink_to(pictures[i % len(pictures)])
    return folder


def command(folder: Path, out: Path, *more: str) -> list[str]:
    """Return the words of a run."""
    words = [sys.executable, '-m', 'napari_cxr.cli', 'score', str(folder), '--out', str(out)]
    return [*words, '--model', MODEL, '--device', 'cpu', '--workers', '2', *more]


def score(folder: Path, out: Path, *more: str) -> Peaks:
    """Run to the end and watch the memory."""
    peaks, began = Peaks(), time.monotonic()
    with subprocess.Popen(command(folder, out, *more), stdout=subprocess.DEVNULL) as going:
        while going.poll() is None:
            status = memory_of(going.pid)
            peaks.main = max(peaks.main, status.get('VmHWM', 0))
            peaks.own = max(peaks.own, status.get('RssAnon', 0))
            for child in children_of(going.pid):
                peaks.decoder = max(peaks.decoder, memory_of(child).get('VmHWM', 0))
            time.sleep(0.05)
    if going.returncode:
        raise SystemExit(f'the run ended with {going.returncode}')
    peaks.seconds = time.monotonic() - began
    return peaks


def killed(folder: Path, out: Path) -> bytes:
    """Stop a run by Ctrl-C, kill the next, finish the third; return the table."""
    for number, share in ((signal.SIGINT, 0.3), (signal.SIGKILL, 0.6)):
        more = ['--resume'] if out.exists() else []
        with subprocess.Popen(command(folder, out, *more), stdout=subprocess.DEVNULL) as going:
            while rows_in(out) < share * len(list(folder.rglob('*.jpg'))):
                if going.poll() is not None:
                    raise SystemExit('the run ended by itself')
                time.sleep(0.2)
            going.send_signal(number)
    score(folder, out, '--resume')
    return out.read_bytes()


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
