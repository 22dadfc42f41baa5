"""Scoring a folder, against its parts and against two other programs.

    [PYTHONPATH=...] [NAPARI_CXR_DATA=...] python benchmarks/folder_speed.py [PART]...
        [--each FILES] [--jpegs FILES] [--rounds N] [--files DIR] [--network NAME]
        [--backend NAME] [--precision float32|bfloat16]

Files are generated radiographs of 2500 x 2048 pixels and 12 bits, as many of each of four
transfer syntaxes (uncompressed, RLE, JPEG-LS, JPEG 2000), all of them different; and JPEGs of
the test data. The network is DenseNet-121 with random weights, one channel, 224 x 224, and 18
classes, which costs what trained weights cost.

* parts: the time of a run over (decoding + network core-seconds) / cores. The core-seconds are
  of one process that does nothing but read the files and make them the network's input, and
  of one that does nothing but run the network on the same backend on as many batches, in one
  thread each.
* xrv: torchxrayvision's documented script, one image at a time (needs torchxrayvision).
* loader: a torch DataLoader with a worker for each core, pydicom or Pillow, Pillow's resampling,
  batches of 8, the network as torch runs it.
* jpeg: all three on JPEGs.

Every contender is a process of its own; its start, until the first file is about to be read
(the model is loaded, decoders have answered, the network is on its backend, for which it is
converted once), is printed apart. What is compared
takes turns, and medians count. The machine may be busy with other things: besides the time by
the clock, each line gives it with the cores' time that others used taken off (`alone`), from
/proc/stat, so Linux only; ratios are of that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ratios import note_ratio

SHAPE = (2500, 2048)
CLASSES = 18
BATCH = 8
#: As `napari-cxr score` takes them.
BACKEND = os.environ.get('NAPARI_CXR_BENCHMARK_BACKEND', '')
PRECISION: Any = os.environ.get('NAPARI_CXR_BENCHMARK_PRECISION', 'auto')
CORES = len(os.sched_getaffinity(0))
TICK = os.sysconf('SC_CLK_TCK')
#: NumPy's threads in a part would count as core-seconds what they spend waiting for each other.
ONE_THREAD = {
    part: dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
    for part in ('decoding', 'network')
}


#: Peers in words, and what they should take as a multiple of ours.
_PEERS = {'xrv': "torchxrayvision's script", 'loader': 'a DataLoader with a worker for each core'}
_AIMS = {('DICOM', 'xrv'): '>= 8'}


def main() -> None:
    """Do what the command line says."""
    if len(sys.argv) > 1 and sys.argv[1] in CONTENDERS:
        warnings.simplefilter('ignore')
        print(json.dumps(CONTENDERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='*', default=['parts', 'xrv', 'loader', 'jpeg'])
    parser.add_argument('--each', type=int, default=10, help='files of a transfer syntax')
    parser.add_argument('--jpegs', type=int, default=600)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--files', type=Path, help='where to keep the generated files')
    parser.add_argument('--network', default='densenet121')
    parser.add_argument('--backend', default='')
    parser.add_argument('--precision', default='auto')
    options = parser.parse_args()
    # Contenders are processes of their own.
    os.environ['NAPARI_CXR_BENCHMARK_BACKEND'] = options.backend
    os.environ['NAPARI_CXR_BENCHMARK_PRECISION'] = options.precision
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.files or Path(temporary)
        model = Path(temporary) / 'model.safetensors'
        write_model(model, options.network)
        generated = folder / f'dicom-{options.each}'
        if set(options.parts) - {'jpeg'} and not generated.is_dir():
            write_files(generated, options.each)
        others = [name for name in ('xrv', 'loader') if name in options.parts]
        if set(options.parts) - {'jpeg'}:
            compare('DICOM', generated, model, ['ours', *others], options.rounds)
        if 'jpeg' in options.parts:
            jpegs = Path(temporary) / 'jpeg'
            link_jpegs(jpegs, options.jpegs)
            compare('JPEG', jpegs, model, ['ours', 'xrv', 'loader'], options.rounds)


def compare(title: str, folder: Path, model: Path, names: list[str], rounds: int) -> None:
    """Let contenders take turns, and print what they took."""
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name in [*names, 'decoding', 'network']:
            done = subprocess.run(
                [sys.executable, __file__, name, str(folder), str(model)],
                stdout=subprocess.PIPE,
                # On a busy machine torch's threads would turn in circles for others' cores.
                env={**os.environ, 'OMP_WAIT_POLICY': 'PASSIVE', **ONE_THREAD.get(name, {})},
                check=False,
            )
            if done.returncode == 0:
                taken = json.loads(done.stdout.splitlines()[-1])
                print(f'{title} {name}: {taken}', file=sys.stderr, flush=True)
                found.setdefault(name, []).append(taken)
    count = len(list(folder.iterdir()))
    print(f'{title}: {count} files, {CORES} cores, {rounds} rounds')
    medians = {
        name: {key: statistics.median(one[key] for one in every) for key in every[0]}
        for name, every in found.items()
    }
    for name, one in medians.items():
        print(
            f'  {name:9} {one["wall"]:7.2f} s by the clock, {one["alone"]:7.2f} s alone, '
            f'{one["core"]:7.2f} core-seconds; start {one["start"]:.1f} s'
        )
    own = [one['alone'] for one in found['ours']]
    parts = [
        (a['core'] + b['core']) / CORES
        for a, b in zip(found['decoding'], found['network'], strict=True)
    ]
    what = f'a folder of {title} files'
    ratios = [a / b for a, b in zip(own, parts, strict=True)]
    note_ratio(what, 'decoding and network core-seconds / cores', ratios, '<= 1.15')
    for name in names[1:]:
        if name in found and len(found[name]) == rounds:
            ratios = [one['alone'] / a for one, a in zip(found[name], own, strict=True)]
            note_ratio(f'{_PEERS[name]} on {what}', 'ours', ratios, _AIMS.get((title, name), ''))
        else:
            print(f'  {name}: not measured, see above')


def score_ours(folder: Path, model: Path) -> dict[str, float]:
    """Score as `napari-cxr score` does, from decoders that are ready."""
    began = time.perf_counter()
    from napari_cxr import scoring
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.workers.decoder_pool import DecoderPool

    decoders = DecoderPool()
    decoders.start(CORES)
    classifier = Classifier.load(model, 'cpu')
    for worker in decoders._workers:
        worker.call('ready')
    children = [worker.pid for worker in decoders._workers]
    items = scoring.list_items([folder])
    with tempfile.TemporaryDirectory() as out:
        settings = scoring.ScoringSettings(backend=BACKEND, precision=PRECISION)
        events = scoring.score(items, classifier, Path(out) / 't.csv', decoders.prepare, settings)
        for event in events:
            if isinstance(event, scoring.ScoringStarted):
                break
        with measured(time.perf_counter() - began, children) as found:
            for _ in events:
                pass
    decoders.close()
    return found


def score_by_xrv(folder: Path, model: Path) -> dict[str, float]:
    """Score by the script in torchxrayvision's README, and its reader of DICOM."""
    began = time.perf_counter()
    import skimage.io
    import torch
    import torchvision
    import torchxrayvision as xrv

    network = xrv.models.DenseNet(num_classes=CLASSES, in_channels=1).eval()
    transform = torchvision.transforms.Compose(
        [xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)]
    )
    start = time.perf_counter() - began
    with measured(start, [], one_by_one=True) as found, torch.no_grad():
        for path in sorted(folder.iterdir()):
            if path.suffix == '.dcm':
                image = xrv.utils.read_xray_dcm(path)
            else:
                image = xrv.datasets.normalize(skimage.io.imread(path), 255)
                image = image.mean(2) if image.ndim == 3 else image
            network(torch.from_numpy(transform(image[None].astype(np.float32)))[None])
    return found


def score_by_loader(folder: Path, model: Path) -> dict[str, float]:
    """Score with a DataLoader, as one writes it who cares for speed."""
    began = time.perf_counter()
    import torch
    from torch.utils.data import DataLoader

    from napari_cxr.inference.classifier import Classifier

    network = Classifier.load(model, 'cpu').network
    loader = DataLoader(Images(sorted(folder.iterdir())), BATCH, num_workers=CORES)
    start = time.perf_counter() - began
    with measured(start, []) as found, torch.inference_mode():
        for batch in loader:
            network(batch).softmax(1)
    return found


class Images:
    """Files for a DataLoader: centre cut out, resampled, window applied."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> Any:
        import pydicom
        import torch
        from PIL import Image
        from pydicom.pixels import apply_voi_lut

        path = self._paths[place]
        if path.suffix == '.dcm':
            dataset = pydicom.dcmread(path)
            pixels = apply_voi_lut(dataset.pixel_array, dataset).astype(np.float32)
            if dataset.PhotometricInterpretation == 'MONOCHROME1':
                pixels = pixels.max() - pixels
        else:
            pixels = np.asarray(Image.open(path).convert('L'), dtype=np.float32)
        side = min(pixels.shape)
        top, left = ((length - side) // 2 for length in pixels.shape)
        part = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
        small = np.asarray(part.resize((224, 224), Image.Resampling.BILINEAR))
        small = (small - small.min()) / max(float(np.ptp(small)), 1e-6)
        return torch.from_numpy((small - 0.5) / 0.25)[None]


def only_decode(folder: Path, model: Path) -> dict[str, float]:
    """Read the files and make them the network's input, in one process."""
    began = time.perf_counter()
    from napari_cxr.checkpoint import read_card
    from napari_cxr.inference.preprocessing import Preprocessing
    from napari_cxr.scoring.image_preparation import PrepareOptions, prepare_image

    wanted = PrepareOptions(Preprocessing.from_dict(read_card(model).preprocessing))
    paths = sorted(folder.iterdir())
    prepare_image(paths[0], wanted)  # imports, tables
    start = time.perf_counter() - began
    with measured(start, []) as found:
        for path in paths:
            prepare_image(path, wanted)
    return found


def only_run(folder: Path, model: Path) -> dict[str, float]:
    """Run the network on as many batches, in one process and one thread."""
    began = time.perf_counter()
    import torch

    from napari_cxr.inference.backends.exported_network import check_images
    from napari_cxr.inference.backends.selection import select_backend
    from napari_cxr.inference.classifier import Classifier

    torch.set_num_threads(1)
    classifier = Classifier.load(model, 'cpu')
    left = len(list(folder.iterdir()))
    selected = select_backend(classifier, BACKEND, PRECISION, batch=BATCH)
    classifier.use(selected.backend, selected.network)
    size = classifier.preprocessing.height, classifier.preprocessing.width
    images = np.resize(check_images(*size), (BATCH, *size))
    classifier.logits(images)
    start = time.perf_counter() - began
    with measured(start, []) as found:
        while left > 0:
            classifier.logits(images[: min(BATCH, left)])
            left -= BATCH
    print(f'the network runs on {selected.backend.title}', file=sys.stderr)
    return found


CONTENDERS: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    'ours': score_ours,
    'xrv': score_by_xrv,
    'loader': score_by_loader,
    'decoding': only_decode,
    'network': only_run,
}


@contextmanager
def measured(
    start: float, children: list[int | None], *, one_by_one: bool = False
) -> Iterator[dict[str, float]]:
    """Fill in what is done inside: by the clock, in core-seconds, and as if alone.

    Where one thing is done after the other in one thread, a core that is free is of no use:
    then what is taken off is the time that this thread waited for a core.
    """
    found = {'start': start}
    began, used, busy = time.perf_counter(), core_seconds(children), machine_seconds()
    waited = seconds_without_core()
    yield found
    found['wall'] = time.perf_counter() - began
    found['core'] = core_seconds(children) - used
    others = max(0.0, machine_seconds() - busy - found['core'])
    waited = seconds_without_core() - waited
    found['alone'] = found['wall'] - (waited if one_by_one else others / CORES)


def core_seconds(children: list[int | None]) -> float:
    """Return what this process, its ended children and some living ones have used."""
    times = os.times()
    total = times.user + times.system + times.children_user + times.children_system
    for pid in children:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def seconds_without_core() -> float:
    """Return for how long this thread could have run and had no core."""
    return int(Path('/proc/thread-self/schedstat').read_text().split()[1]) / 1e9


def machine_seconds() -> float:
    """Return what all processes have used of the processor."""
    fields = Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft = map(int, fields[:7])
    return (user + nice + system + irq + soft) / TICK


def write_model(path: Path, network: str) -> None:
    """Write the network with random weights."""
    from napari_cxr import networks
    from napari_cxr.checkpoint import Card, save
    from napari_cxr.inference import Preprocessing

    card = Card(
        name=network,
        title='Random weights, for speed',
        architecture=network,
        labels=tuple(f'finding {k}' for k in range(CLASSES)),
        channels=1,
        preprocessing=Preprocessing(224, 224).to_dict(),
        multilabel=True,
    )
    save(path, networks.create(network, CLASSES, 1).state_dict(), card)


def write_files(folder: Path, each: int) -> None:
    """Write as many radiographs of each transfer syntax, all of them different."""
    from pydicom import uid

    from napari_cxr.samples import phantom, write_phantom_dicom

    syntaxes = {
        'uncompressed': uid.ExplicitVRLittleEndian,
        'rle': uid.RLELossless,
        'jpegls': uid.JPEGLSLossless,
        'jpeg2000': uid.JPEG2000Lossless,
    }
    folder.mkdir(parents=True)
    half = (SHAPE[0] // 2, SHAPE[1] // 2)  # a phantom of full size takes seconds
    for k in range(each):
        clean = phantom(half, seed=k % 5).repeat(2, 0).repeat(2, 1) * 3900
        for j, (name, syntax) in enumerate(syntaxes.items()):
            noise = np.random.default_rng([k, j]).normal(0, 12, SHAPE)
            pixels = np.clip(clean + noise, 0, 4095).astype(np.uint16)
            path = folder / f'{k:03}-{name}.dcm'
            write_phantom_dicom(path, pixels=pixels, seed=k, transfer_syntax=syntax)


def link_jpegs(folder: Path, count: int) -> None:
    """Link to JPEGs of the test data."""
    folder.mkdir()
    found = sorted(Path(os.environ['NAPARI_CXR_DATA'], 'cxr3').rglob('*.jpg'))
    for i, path in enumerate(found[:: max(1, len(found) // count)][:count]):
        (folder / f'{i:04}.jpg').symlink_to(path)


if __name__ == '__main__':
    main()
