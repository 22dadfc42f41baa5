"""What reading and fitting one radiograph costs beside another checkout of napari-cxr.

    OMP_NUM_THREADS=1 python benchmarks/reading.py --other CHECKOUT [--rounds N]

A generated radiograph of 2500 x 2048 pixels and 12 bits, in four transfer syntaxes: decoded in
full, as a viewer shows it, and at the part of its size that a network of 224 x 224 takes; and
fitted to that network. Each checkout is a process of its own, with the same interpreter, and
they take turns; processor time of one thread, so other jobs hardly touch it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from ratios import note_ratio

from napari_cxr import samples

HERE = Path(__file__).parents[1]
SHAPE = (2500, 2048)
SYNTAXES = {
    'uncompressed': ExplicitVRLittleEndian,
    'RLE': RLELossless,
    'JPEG-LS': JPEGLSLossless,
    'JPEG 2000': JPEG2000Lossless,
}
#: How many times as fast as the other checkout.
_AIMS = {'JPEG-LS': '>= 1.3', 'JPEG 2000': '>= 5'}

#: Reads a path from each line; prints seconds of reading for a network, and of fitting.
_CHILD = """
import inspect, sys, time
from napari_cxr import dicom
from napari_cxr.inference.preprocessing import Preprocessing
fit = Preprocessing(224, 224)
more = {}
if 'least' in inspect.signature(dicom.read).parameters:
    more['least'] = fit.least_decoded
for line in sys.stdin:
    begun = time.thread_time()
    radiograph = dicom.read(line.strip(), **more)
    read = time.thread_time()
    fit.apply(radiograph)
    print(read - begun, time.thread_time() - read, flush=True)
"""


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--other', type=Path, required=True)
    parser.add_argument('--rounds', type=int, default=7)
    options = parser.parse_args()
    pixels = np.rint(samples.phantom(SHAPE, seed=1) * 4095).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        readers = [reader(HERE), reader(options.other.resolve())]
        fitting = []
        for name, syntax in SYNTAXES.items():
            path = Path(folder) / f'{name}.dcm'
            samples.write_phantom_dicom(path, pixels=pixels, transfer_syntax=syntax)
            for one in readers:  # the first time loads things
                seconds(one, path)
            rounds = np.array([[seconds(r, path) for r in readers] for _ in range(options.rounds)])
            ours, theirs = np.median(rounds, axis=0)
            print(f'{name}: reading {1000 * ours[0]:.0f} and {1000 * theirs[0]:.0f} ms', end='')
            print(f', fitting {1000 * ours[1]:.1f} and {1000 * theirs[1]:.1f} ms')
            note_ratio(
                f'reading {name}, the other checkout',
                'this one',
                (rounds[:, 1, 0] / rounds[:, 0, 0]).tolist(),
                _AIMS.get(name, ''),
            )
            if name != 'JPEG 2000':  # of which less is decoded, so that less is fitted
                fitting += (rounds[:, 1, 1] / rounds[:, 0, 1]).tolist()
        note_ratio('fitting all pixels, the other checkout', 'this one', fitting, '>= 2')
        for one in readers:
            one.communicate()


def reader(checkout: Path) -> subprocess.Popen:
    """Start a process that reads files with the code of a checkout."""
    env = os.environ | {'PYTHONPATH': str(checkout / 'src')}
    command = [sys.executable, '-c', _CHILD]
    return subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=env)


def seconds(process: subprocess.Popen, path: Path) -> list[float]:
    """Let a process read a file and fit it; return what each took."""
    process.stdin.write(f'{path}\n')
    process.stdin.flush()
    return [float(word) for word in process.stdout.readline().split()]


if __name__ == '__main__':
    main()
