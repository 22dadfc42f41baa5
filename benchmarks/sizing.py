"""What scoring a million studies takes: processor time, disk, and what a Dask cluster adds.

    OMP_NUM_THREADS=1 python benchmarks/sizing.py [--model NAME|FILE] [--files N] [--no-cluster]

Processor time of one thread, so other jobs on the machine hardly touch the figures. Files are
generated, 2500 x 3000 pixels, 12 bits (JPEG: 8), in several transfer syntaxes.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import imageio.v3 as iio
import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from ratios import note_figure

from napari_cxr import samples
from napari_cxr.inference.classifier import Classifier
from napari_cxr.scoring import ScoringSettings, list_items, score, table_writer
from napari_cxr.scoring.cluster.worker_tasks import ClusterJob
from napari_cxr.scoring.image_preparation import PrepareOptions, prepare_here, prepare_image
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.table_reader import read_rows

SHAPE = (3000, 2500)
SYNTAXES = {
    'uncompressed': ExplicitVRLittleEndian,
    'RLE': RLELossless,
    'JPEG-LS lossless': JPEGLSLossless,
    'JPEG 2000 lossless': JPEG2000Lossless,
}
BATCH, PIECE, TASKS, ROWS = 8, 64, 500, 50_000
#: As long as paths in archives tend to be.
PATH = '/archive/2026/11/21/1.2.826.0.1.3680043.8.498.{number:039}.dcm'


def main() -> None:
    """Print the figures."""
    given = _arguments()
    classifier = Classifier.load(given.model, 'cpu')
    print(f'processor time per image, one thread; model {classifier.card.name}')
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in _write(Path(folder), given.files).items():
            for words, wanted in (
                ('read and prepare', PrepareOptions(classifier.preprocessing)),
                ('with lungs and picture', _all_of(classifier)),
            ):
                took = _seconds(lambda path, wanted=wanted: prepare_image(path, wanted), paths)
                size = median(path.stat().st_size for path in paths) / 1e6
                note_figure(
                    f'{name}, {size:.1f} MB a file: {words}', 'ms of a core', [1000 * took]
                )
        images = _images(classifier)
        took = 1000 * _seconds(classifier.logits, [images] * 12) / BATCH
        what = f'network of {classifier.card.name}, batches of {BATCH}, {classifier.backend.title}'
        note_figure(what, 'ms of a core', [took])
        run, row = _scored(Path(folder), classifier)
        _disk(Path(folder), run, row)
    if given.cluster:
        _cluster(row)


def _write(folder: Path, count: int) -> dict[str, list[Path]]:
    pictures = [samples.phantom(SHAPE, seed=i) for i in range(count)]
    found: dict[str, list[Path]] = {}
    for name, syntax in SYNTAXES.items():
        found[name] = [folder / f'{i}-{name}.dcm' for i in range(count)]
        for path, picture in zip(found[name], pictures, strict=True):
            pixels = np.rint(picture * 4095).astype(np.uint16)
            samples.write_phantom_dicom(path, pixels=pixels, transfer_syntax=syntax)
    found['JPEG, 8 bits'] = [folder / f'{i}.jpg' for i in range(count)]
    for path, picture in zip(found['JPEG, 8 bits'], pictures, strict=True):
        iio.imwrite(path, np.rint(picture * 255).astype(np.uint8), quality=92)
    return found


def _all_of(classifier: Classifier) -> PrepareOptions:
    return PrepareOptions(classifier.preprocessing, lungs=True, picture=True)


def _images(classifier: Classifier) -> np.ndarray:
    fit = classifier.preprocessing
    return np.random.default_rng(0).random((BATCH, fit.height, fit.width), dtype=np.float32)


def _seconds(do: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """Return the median processor time of a call; the first one, which loads things, is extra."""
    do(arguments[0])
    taken = []
    for argument in arguments:
        begun = time.thread_time()
        do(argument)
        taken.append(time.thread_time() - begun)
    return median(taken)


def _scored(folder: Path, classifier: Classifier) -> tuple[ScoringRun, ScoreRow]:
    items = list_items([next(folder.glob('0-*.dcm'))])
    list(
        score(items, classifier, folder / 'one.jsonl', prepare_here, ScoringSettings(batch=BATCH))
    )
    run, rows = read_rows(folder / 'one.jsonl')
    return run, next(rows)


def _rows(row: ScoreRow, count: int) -> list[ScoreRow]:
    random = np.random.default_rng(0).dirichlet(np.ones(len(row.probabilities)), count)
    return [
        replace(row, number=i, path=PATH.format(number=i), probabilities=tuple(p))
        for i, p in enumerate(random.tolist())
    ]


def _disk(folder: Path, run: ScoringRun, row: ScoreRow) -> None:
    rows = _rows(row, ROWS)
    lines = sum(len(one.to_json()) + 10 for one in rows)  # with checksum and end of line
    about = f'a row, with a path of {len(rows[0].path)} characters'
    note_figure(f'journal, {about}', 'bytes', [lines / ROWS])
    for ending in ('.csv', '.jsonl', '.parquet'):
        path = folder / f'many{ending}'
        table_writer.write_table(path, rows, run)
        note_figure(f'table {ending}, {about}', 'bytes', [path.stat().st_size / ROWS])


def _reply(rows: str, job: ClusterJob, paths: list[tuple[int, str]]) -> str:
    return rows


def _cluster(row: ScoreRow) -> None:
    """Print what client and scheduler do for a piece, whoever scores it."""
    from distributed import LocalCluster, as_completed

    rows = '\n'.join(one.to_json() for one in _rows(row, PIECE))
    paths = [(i, PATH.format(number=i)) for i in range(PIECE)]
    job = ClusterJob(
        model='m', model_hash='h', version='v', device='cpu', batch=BATCH, total=10**6,
        settings=ScoringSettings(), folder='/archive',
    )  # fmt: skip
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=':0') as cluster,
        cluster.get_client() as client,
    ):
        client.submit(_reply, rows, job, paths, key='first').result()
        begun, waiting = time.process_time(), as_completed(with_results=True)
        for i in range(TASKS):
            waiting.add(client.submit(_reply, rows, job, paths, key=f'piece-{i}', pure=False))
            if i >= 8:
                next(waiting)
        list(waiting)
        took = (time.process_time() - begun) / TASKS
    there = len(pickle.dumps((job, paths)))
    about = f'Dask, a task of {PIECE} files'
    note_figure(f'{about}: scheduler and client', 'ms of a core', [1000 * took])
    note_figure(f'{about}: to the worker', 'kB', [there / 1000])
    note_figure(f'{about}: back', 'kB', [len(rows) / 1000])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='cxr3-resnet10')
    parser.add_argument('--files', type=int, default=4, help='of each transfer syntax')
    parser.add_argument('--no-cluster', dest='cluster', action='store_false')
    return parser.parse_args()


if __name__ == '__main__':
    main()
