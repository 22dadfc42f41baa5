"""How long a person waits for the first row of a folder, beside torchxrayvision's script.

    python benchmarks/first_row.py [--rounds N]

Both are whole processes, from their start to the first result: `napari-cxr score` until its
journal holds a row, and torchxrayvision's documented script until it has the first image's
probabilities. The folder holds generated JPEGs of 1024 x 1024. `first time` has an empty cache
folder, so that nothing of an earlier run helps; `later` has the one of the run before. The models
are those that each comes with: `cxr-opacity`, and a DenseNet-121 with random weights, which costs
what trained ones cost. Needs torchxrayvision.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from ratios import note_ratio

from napari_cxr import samples

_SCRIPT = """
import sys
import numpy as np, skimage.io, torch, torchvision
import torchxrayvision as xrv
network = xrv.models.DenseNet(num_classes=18, in_channels=1).eval()
transform = torchvision.transforms.Compose(
    [xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)]
)
image = xrv.datasets.normalize(skimage.io.imread(sys.argv[1]), 255)
with torch.no_grad():
    print(network(torch.from_numpy(transform(image[None].astype(np.float32)))[None]).shape)
"""


def main() -> None:
    """Take turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=5)
    rounds = parser.parse_args().rounds
    first, later = [], []
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / 'images'
        images.mkdir()
        for i in range(40):
            picture = (255 * samples.phantom((1024, 1024), seed=i % 4)).astype(np.uint8)
            iio.imwrite(images / f'{i:02}.jpg', picture)
        for number in range(rounds + 1):
            script = by_script(images / '00.jpg')
            cache = Path(temporary) / f'cache-{number}'
            own = [until_first_row(images, Path(temporary) / f'{number}{k}', cache) for k in 'ab']
            if number:  # the first round fills the disk's cache
                first.append(own[0] / script)
                later.append(own[1] / script)
            print(f'first row {own[0]:.2f} s, later {own[1]:.2f} s, script {script:.2f} s')
    over = "torchxrayvision's script until its first result"
    note_ratio('score until the first row, first time', over, first, '<= 0.5')
    note_ratio('score until the first row, later', over, later, '<= 0.5')


def by_script(image: Path) -> float:
    """Return the seconds until the script has its first result."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, '-c', _SCRIPT, str(image)], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def until_first_row(images: Path, out: Path, cache: Path) -> float:
    """Return the seconds until the journal of a run holds a row."""
    out.mkdir()
    journal = out / 'scores.csv.journal'
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, '-m', 'napari_cxr', 'score', images, '--out', out / 'scores.csv'],
        env=os.environ | {'NAPARI_CXR_CACHE': str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            # Its first line says what the run is; the next ones are rows.
            if journal.exists() and journal.read_bytes().count(b'\n') > 1:
                return time.perf_counter() - began
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


if __name__ == '__main__':
    main()
