"""What training costs, as ratios that are measured in one run.

    NAPARI_CXR_DATA=... python benchmarks/training_speed.py [PART]...

* frozen: thirty epochs with a frozen backbone over one pass of the same images through the
  same backbone, and with two augmented views of each image over two such passes.
* tuning: full fine-tuning of ResNet-18 at 224 x 224 from a folder of JPEGs, in images per
  second of the training passes, over a plain loop on the same files: ImageFolder,
  DataLoader with 0 and with 2 workers (the better counts), torchvision's v2 transforms
  (Resize, RandomAffine, ColorJitter, Normalize), single precision, contiguous. Decoding counts
  on both sides: the plain loop does it in each pass, ours once, a twentieth of which counts as
  part of each pass. All have the threads that torch takes by itself.
* changes: changing a batch of 32 images over changing each with torchvision's v2.
* memory: the peak memory of a process that trains on n and on 4n images (Linux).
* cuda: images per second against the card's own rate of bfloat16 matrix products.

What is compared takes turns, and medians count: machines are shared. Where a ratio is also
given in processor time, that is what this process used, whatever else the machine did.
"""

from __future__ import annotations

import argparse
import inspect
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from ratios import note_ratio
from torch import nn

from napari_cxr import networks
from napari_cxr.checkpoint import Card, save
from napari_cxr.inference.cpu import keep_freed_memory
from napari_cxr.training import EpochDone, Recipe, TrainingFinished, TrainingStarted, index, train
from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.data_preparation import prepare
from napari_cxr.training.image_operations import to_input
from napari_cxr.training.optimization import autocast, precision_of
from napari_cxr.training.splits import splits_of

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INPUT = {'height': 224, 'width': 224, 'channels': 3, 'mean': list(MEAN), 'std': list(STD)}
#: The same strength as the plain loop's RandomAffine and ColorJitter below.
AUGMENTATION = {
    'rotation': 10.0,
    'shear': 4.0,
    'zoom': 0.1,
    'shift': 0.05,
    'multiply': 0.2,
    'contrast': 0.2,
}
#: Multiplications of ResNet-18's forward pass for one image of 224 x 224 (He et al. 2015).
RESNET18 = 1.82e9


def recipe_of(**entries) -> Recipe:
    """Return a recipe for ResNet-18 with what a benchmark changes."""
    plain = {'name': 'timed', 'network': 'resnet18', 'batch': 16, 'input': INPUT}
    return Recipe.from_dict(plain | entries)


def real_images(root: Path, each: int) -> Path:
    """Copy so many JPEGs of each class of cxr3 into a folder of their own."""
    source = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    for folder in sorted(f for f in source.iterdir() if f.is_dir()):
        (root / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:each]:
            shutil.copy(path, root / folder.name)
    return root


def noise_images(root: Path, each: int) -> Path:
    """Write so many JPEGs of noise for each of two classes."""
    random = np.random.default_rng(0)
    for label in ('left', 'right'):
        (root / label).mkdir(parents=True)
        for i in range(each):
            coarse = random.integers(0, 256, (16, 16)).astype(np.uint8)
            picture = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)
            picture.save(root / label / f'{i}.jpg')
    return root


def epochs_of(events: Iterator) -> Iterator[float]:
    """Take a run's epochs one at a time; yield the seconds of each, validation left out."""
    started = last = 0.0
    for event in events:
        if isinstance(event, TrainingStarted):
            started = time.perf_counter()
        elif isinstance(event, EpochDone):
            yield last - started
            started = time.perf_counter()
        last = time.perf_counter()


# -- frozen ---------------------------------------------------------------------------------


def frozen(made: Path, each: int = 40, epochs: int = 30, views: int = 2, rounds: int = 3) -> None:
    """Time epochs with a frozen backbone against passes through it."""
    dataset = index(real_images(made / 'frozen', each))
    model = made / 'backbone.safetensors'
    torch.manual_seed(0)
    network = networks.create('resnet18', 3, 3)
    card = Card(
        name='backbone',
        title='Random weights',
        architecture='resnet18',
        labels=dataset.labels,
        channels=3,
        preprocessing=recipe_of().input.to_dict(),
    )
    save(model, network.state_dict(), card)
    plain = recipe_of(
        epochs=epochs, batch=32, weights=str(model), freeze={'up_to': 'everything'},
        precision='float32',
    )  # fmt: skip
    several = plain.with_changes({'freeze.views': views, 'augmentation': AUGMENTATION})
    halves = [
        one_pass(network, dataset, plain, 1)[0]
        / one_pass(network, dataset, plain.with_changes({'precision': 'bfloat16'}), 1)[0]
        for _ in range(rounds)
    ]
    what = 'the pass with a frozen backbone, images a second in bfloat16'
    note_ratio(what, 'in single precision', halves, '>= 2.5')
    for name, recipe, passes in (('no augmentation', plain, 1), ('views', several, views)):
        ratios, later, bares = [], [], []
        for number in range(rounds):
            bare = one_pass(network, dataset, recipe, passes)
            began, ends = now(), []
            for event in train(dataset, recipe, made / f'{name} {number}', 'cpu'):
                if isinstance(event, TrainingStarted):
                    began = now()
                elif isinstance(event, EpochDone):
                    ends.append(now())
            bares.append((bare + one_pass(network, dataset, recipe, passes)) / 2)
            ratios.append((ends[-1] - began) / bares[-1])
            later.append((ends[-1] - ends[passes - 1]) / (epochs - passes))
        wall, own = np.median(ratios, axis=0)
        note_ratio(
            f'{epochs} epochs with a frozen backbone, {name}',
            f'{passes} pass(es) through it',
            [w for w, _ in ratios],
            '<= 1.2',
        )
        print(
            f'frozen, {name}, {len(dataset.samples)} images: {epochs} epochs over {passes} '
            f'pass(es) of {np.median(bares, axis=0)[1]:.1f} s: {wall:.2f}, in processor time '
            f'{own:.2f} (each: {", ".join(f"{w:.2f} and {o:.2f}" for w, o in ratios)}); an epoch '
            f'after the first {passes}: {1000 * np.median(later, axis=0)[1]:.0f} ms',
            flush=True,
        )


def now() -> np.ndarray:
    """Return the seconds of the clock on the wall, and those that this process computed."""
    return np.array([time.perf_counter(), time.process_time()])


def one_pass(network, dataset, recipe: Recipe, passes: int) -> np.ndarray:
    """Time the training images `passes` times, and the validation images once; see `now`."""
    events = prepare(dataset, recipe, None, 'bare')
    while True:
        try:
            next(events)
        except StopIteration as end:
            material = end.value
            break
    split = splits_of(material.dataset, recipe.split, recipe.seed)[0][1]
    network.eval().to(memory_format=torch.channels_last)
    started = now()
    with torch.no_grad():
        for places, often in ((split.train, passes), (split.val, 1)):
            for view in range(often):
                for part in np.array_split(places, -(-len(places) // recipe.batch)):
                    x = torch.from_numpy(material.images(part))[:, None].float() / 255
                    if recipe.augmentation.changes and places is split.train:
                        x = augment(x, draw(recipe.augmentation, 0, view, part.tolist()))
                    device, kind = x.device, precision_of(recipe.precision, x.device)
                    with autocast(None if places is split.val else kind, device):
                        network(to_input(x, recipe.input))
    return now() - started


# -- tuning ---------------------------------------------------------------------------------


#: Epochs over which reading the images counts; what a recipe has if it does not say it.
EPOCHS = Recipe('usual', 'resnet18').epochs

#: The contenders: ours by its precision, or the plain loop by its number of workers.
CONTENDERS = {
    'ours': 'auto',
    'ours, float32': 'float32',
    'plain, 0 workers': 0,
    'plain, 2 workers': 2,
}


def tuning(made: Path, each: int = 43, rounds: int = 5) -> None:
    """Time passes of full fine-tuning against those of plain loops on the same files.

    Each contender is a process of its own, and computes only when it is its turn.
    """
    folder = real_images(made / 'tuning', each)
    going: dict[str, subprocess.Popen] = {}
    rates: dict[str, list[float]] = {}
    with ExitStack() as stack:
        for number, name in enumerate(CONTENDERS):
            out = made / f'contender {number}'
            words = [sys.executable, __file__, '--contender', name, str(folder), str(out)]
            env = os.environ | {'NAPARI_CXR_CACHE': str(made / f'cache {number}')}
            process = subprocess.Popen(
                [*words, str(rounds + 1)], stdin=-1, stdout=-1, text=True, env=env
            )
            going[name] = stack.enter_context(process)
            stack.callback(process.kill)
            images, reading = map(float, turn(process))
            print(f'{name}: {images:.0f} images a pass, reading them once took {reading:.1f} s')
            rates[name] = []
            turn(process)  # the first pass warms up
            process.reading, process.images = reading, images
        for _ in range(rounds):
            for name, process in going.items():
                (seconds,) = map(float, turn(process))
                rates[name].append(process.images / (seconds + process.reading / EPOCHS))
    for name, found in rates.items():
        print(f'tuning, {name}: {statistics.median(found):.1f} images/s')
    best = max((n for n in rates if n.startswith('plain')), key=lambda n: np.median(rates[n]))
    for name in ('ours', 'ours, float32'):
        note_ratio(
            f'images a second of full fine-tuning, {name}',
            f'an ImageFolder loop ({best})',
            [a / b for a, b in zip(rates[name], rates[best], strict=True)],
            '>= 1.4' if 'float32' in name else '',
        )


def turn(process: subprocess.Popen) -> list[str]:
    """Let a contender go on; return the words of what it says then."""
    process.stdin.write('go\n')
    process.stdin.flush()
    return process.stdout.readline().split()


def contender(name: str, folder: str, out: str, epochs: str) -> None:
    """Be one of the contenders: at each turn say seconds; first images, and seconds of reading."""
    own = CONTENDERS[name]
    if isinstance(own, int):
        images, reading = len(index(folder).samples), 0.0  # it decodes within each pass
        sys.stdin.readline()
        passes = plain_loop(Path(folder), own, int(epochs))
    else:
        keep_freed_memory()  # as `napari-cxr train` and the docks' workers do
        recipe = recipe_of(
            epochs=int(epochs), precision=own, augmentation=AUGMENTATION,
            split={'method': 'holdout', 'val': 0.1, 'test': 0.1},
        )  # fmt: skip
        sys.stdin.readline()
        began = time.perf_counter()
        events = train(index(folder), recipe, out, 'cpu')
        first = next(event for event in events if isinstance(event, TrainingStarted))
        reading = time.perf_counter() - began
        images = sum(first.counts['train'].values())
        passes = epochs_of(_after(first, events))
    print(images, reading, flush=True)
    for _ in sys.stdin:
        print(next(passes), flush=True)


def _after(first, events: Iterator) -> Iterator:
    yield first
    yield from events


def plain_loop(folder: Path, workers: int, epochs: int) -> Iterator[float]:
    """Train as tutorials do; yield the seconds of each pass."""
    from torchvision import models
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import InterpolationMode, v2

    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((224, 224), antialias=True),
            v2.RandomAffine(
                10, (0.05, 0.05), (1 / 1.1, 1.1), 4, interpolation=InterpolationMode.BILINEAR
            ),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    loader = torch.utils.data.DataLoader(
        ImageFolder(folder, transform), batch_size=16, shuffle=True, num_workers=workers
    )
    network = models.resnet18(num_classes=3).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(epochs):
        started = time.perf_counter()
        for x, y in loader:
            loss = nn.functional.cross_entropy(network(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        yield time.perf_counter() - started


# -- changes --------------------------------------------------------------------------------


def changes(made: Path, each: int = 32, rounds: int = 9) -> None:
    """Time the changes of a batch against torchvision's, image by image."""
    from torchvision.transforms import InterpolationMode, v2

    one = v2.Compose(
        [
            v2.RandomAffine(
                10, (0.05, 0.05), (1 / 1.1, 1.1), 4, interpolation=InterpolationMode.BILINEAR
            ),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )
    recipe = recipe_of(augmentation=AUGMENTATION).augmentation
    images = torch.rand(each, 1, 224, 224)
    ours, theirs = [], []
    for number in range(rounds + 1):
        started = time.perf_counter()
        augment(images, draw(recipe, 0, number, range(each)))
        between = time.perf_counter()
        torch.stack([one(image) for image in images])
        if number:  # the first one warms up
            ours.append(1000 * (between - started) / each)
            theirs.append(1000 * (time.perf_counter() - between) / each)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    note_ratio("torchvision's augmentation, image by image", 'ours, by batch', ratios)
    ratio = statistics.median(ratios)
    print(
        f'changes, grey images of 224 x 224: {statistics.median(ours):.2f} ms an image, '
        f'torchvision {statistics.median(theirs):.2f} ms, ratio {ratio:.2f}'
    )


# -- memory ---------------------------------------------------------------------------------


def memory(made: Path, each: int = 150) -> None:
    """Compare the peak memory of processes that train on n and on 4n images."""
    found = []
    for times in (1, 4):
        folder = noise_images(made / f'memory{times}', each * times)
        command = [sys.executable, __file__, '--child', str(folder), str(made / f'out{times}')]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, anonymous = map(float, done.stdout.split()[-2:])
        found.append(anonymous)
        print(
            f'memory, {2 * each * times} images of 224 x 224: '
            f'peak {peak:.0f} MB, of it not of files {anonymous:.0f} MB'
        )
    # What the further images would take, were they all kept.
    kept = 2 * each * 3 * 224 * 224 / 1e6
    print(f'memory: {found[1] - found[0]:+.0f} MB for images that are {kept:.0f} MB')


def child(folder: str, out: str) -> None:
    """Train for an epoch and print the peaks of this process' memory, in megabytes."""
    recipe = recipe_of(
        epochs=1, network='resnet10', input={'height': 224, 'width': 224},
        data={'duplicates': False}, split={'method': 'holdout'},
    )  # fmt: skip
    anonymous = 0.0
    for event in train(index(folder), recipe, out, 'cpu'):
        if not isinstance(event, TrainingFinished):
            anonymous = max(anonymous, _status('RssAnon'))
    print(_status('VmHWM'), anonymous)


def _status(entry: str) -> float:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(entry))


# -- cuda -----------------------------------------------------------------------------------


def cuda(made: Path, each: int = 512, batch: int = 256) -> None:
    """Relate images per second to the card's rate of matrix products."""
    if not torch.cuda.is_available():
        print('cuda: torch found no card, not measured')
        return
    size = 8192
    a, b = (torch.randn(size, size, device='cuda', dtype=torch.bfloat16) for _ in range(2))
    rates = []
    for _ in range(10):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(10):
            a @ b
        torch.cuda.synchronize()
        rates.append(10 * 2 * size**3 / (time.perf_counter() - started))
    rate = statistics.median(rates)
    dataset = index(noise_images(made / 'cuda', each))
    recipe = recipe_of(epochs=6, batch=batch, augmentation=AUGMENTATION)
    speeds = []
    images = 0
    events = train(dataset, recipe, made / 'on cuda', 'cuda')
    begun = next(event for event in events if isinstance(event, TrainingStarted))
    images = sum(begun.counts['train'].values())
    for number, seconds in enumerate(epochs_of(_after(begun, events))):
        if number:
            speeds.append(images / seconds)
    speed = statistics.median(speeds)
    # Two operations a multiplication, and the backward pass costs two forward ones.
    share = speed * 3 * 2 * RESNET18 / rate
    print(
        f'cuda, {torch.cuda.get_device_name()}: {speed:.0f} images/s, '
        f'{rate / 1e12:.0f} TFLOP/s in matrix products, {share:.1%} of it used'
    )


def main() -> None:
    """Run what was asked for; everything by default."""
    parts = {
        'frozen': frozen,
        'tuning': tuning,
        'changes': changes,
        'memory': memory,
        'cuda': cuda,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('parts', nargs='*', help=f'{", ".join(parts)}; all by default')
    parser.add_argument('--each', type=int, help='images a class, instead of the usual number')
    parser.add_argument('--rounds', type=int, help='how often, instead of the usual number')
    parser.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    parser.add_argument('--contender', nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        contender(*given.contender)
        return
    if given.child:
        child(*given.child)
        return
    print(f'{torch.get_num_threads()} thread(s), torch {torch.__version__}', flush=True)
    for name in given.parts or parts:
        with tempfile.TemporaryDirectory() as made:
            # Decoding is part of what is timed, or taken off it; never a gift of an earlier run.
            os.environ['NAPARI_CXR_CACHE'] = str(Path(made) / 'cache')
            known = inspect.signature(parts[name]).parameters
            changed = {'each': given.each, 'rounds': given.rounds}
            parts[name](Path(made), **{k: v for k, v in changed.items() if v and k in known})


if __name__ == '__main__':
    main()
