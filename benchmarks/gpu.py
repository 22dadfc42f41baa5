"""What a GPU does with our networks, as shares of what it can do; at most eight minutes.

    python benchmarks/gpu.py [--device cuda|cpu] [--minutes M] [--networks NAME...]

It needs nothing but the package and a card: weights are random, images are drawn.

* The card's own rates: products of bfloat16 matrices, and copies within its memory.
* scores: CUDA gives the CPU's probabilities, of the bundled models on drawn radiographs and of
  the networks below on noise, to .001 in single precision.
* memory: a batch that does not fit is halved until it does, and the scores stay the same.
* For each network (ResNet-50, VGG16, DenseNet-121 at 224 x 224, in bfloat16, channels last):
  forward, images a second of the bare network on images that lie on the device; scoring, of
  `Classifier.logits`, which takes them from the computer's memory; training, full fine-tuning
  by `train` on images that stay on the device, in its later epochs.

Two shares stand beside each rate. Matrix: the multiplications and additions of convolutions and
products (three times as many for training), over the rate of matrix products. Copy: each module
reading its input and writing its output once (three times for training), over the rate of
copies. The greater one says what the network is bound by; their distance from 1 is what is left.

On a CPU (`--device cpu`) all is small and says nothing of speed: it shows that the script runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from napari_cxr import networks, samples
from napari_cxr.checkpoint import Card, Checkpoint
from napari_cxr.inference import Preprocessing
from napari_cxr.inference.backends.selection import select_backend
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.device import choose_device
from napari_cxr.radiograph import Radiograph
from napari_cxr.training import EpochDone, Recipe, TrainingStarted, index, train

NETWORKS = ('resnet50', 'vgg16', 'densenet121')
BUNDLED = ('cxr-opacity', 'cxr3-resnet10', 'cxr3-lung-texture')
#: The most that a probability may differ between devices.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Parameters
    ----------
    device : str
        'cpu', 'cuda' or 'cuda:N'.
    ends : float
        When to have finished, by the clock of `time.monotonic`.
    batch, images, epochs : int
        Images of a batch; images of each of two classes; epochs of a training run.
    side : int
        Rows and columns of an image.
    matrix, copied : int
        Rows of a square matrix; bytes of a copy.
    seconds : float
        How long to repeat what is timed, at least.
    """

    device: str
    ends: float
    batch: int
    images: int
    epochs: int
    side: int
    matrix: int
    copied: int
    seconds: float

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device.startswith('cuda')

    def synchronise(self) -> None:
        """Wait until the device has done what it was asked for."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.ends - time.monotonic()

    def rate(self, run: Callable[[], Any], amount: float) -> float:
        """Return how much a second, the median of repetitions, after two that do not count."""
        for _ in range(2):
            run()
        self.synchronise()
        rates, until = [], time.perf_counter() + self.seconds
        while len(rates) < 3 or time.perf_counter() < until:
            begun = time.perf_counter()
            run()
            self.synchronise()
            rates.append(amount / (time.perf_counter() - begun))
        return statistics.median(rates)


def main() -> None:
    """Measure, print as it comes, and end with status 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--minutes', type=float, default=8.0)
    parser.add_argument('--networks', nargs='+', default=list(NETWORKS))
    given = parser.parse_args()
    if given.device.startswith('cuda') and not torch.cuda.is_available():
        sys.exit('torch finds no GPU of NVIDIA here: nothing was measured.')
    plan = plan_for(given.device, time.monotonic() + 60 * given.minutes)
    print(f'{device_name(plan)}, torch {torch.__version__}', flush=True)
    wrong = [*compare_scores(plan), *fill_memory(plan)]
    matrix, copies = matrix_rate(plan), copy_rate(plan)
    print(f'matrix products {matrix / 1e12:.1f} TFLOP/s, copies {copies / 1e9:.0f} GB/s')
    print('| network | what | images/s | matrix | copy |')
    print('| --- | --- | --- | --- | --- |', flush=True)
    took = 0.0
    for name in given.networks:
        if plan.left() < 1.2 * took:
            print(f'<!-- no time was left for {name} -->')
            continue
        begun = time.monotonic()
        for what, rate, operations, moved in speeds(name, plan):
            print(
                f'| {name} | {what} | {rate:.1f} | {rate * operations / matrix:.1%} '
                f'| {rate * moved / copies:.1%} |',
                flush=True,
            )
        took = max(took, time.monotonic() - begun)
    print(f'{plan.left():.0f} s were left')
    if wrong:
        sys.exit('\n'.join(wrong))


def plan_for(device: str, ends: float) -> Plan:
    """Return how much a device is asked to do."""
    if device.startswith('cuda'):
        return Plan(device, ends, 256, 1024, 6, 224, 8192, 1 << 30, 2.0)
    return Plan(device, ends, 2, 8, 2, 64, 256, 1 << 22, 0.05)


def device_name(plan: Plan) -> str:
    """Return the name of the card."""
    return torch.cuda.get_device_name(plan.device) if plan.is_cuda else 'CPU'


def matrix_rate(plan: Plan) -> float:
    """Return operations a second in products of bfloat16 matrices."""
    side = plan.matrix
    a, b = (torch.randn(side, side, device=plan.device).bfloat16() for _ in range(2))
    return plan.rate(lambda: a @ b, 2 * side**3)


def copy_rate(plan: Plan) -> float:
    """Return bytes a second that are read and written in copies within the device's memory."""
    a = torch.zeros(plan.copied, dtype=torch.uint8, device=plan.device)
    b = torch.empty_like(a)
    return plan.rate(lambda: b.copy_(a), 2 * plan.copied)


# -- the same scores ------------------------------------------------------------------------


def compare_scores(plan: Plan) -> Iterator[str]:
    """Print how far scores are from those of the CPU; yield what is wrong."""
    for name in BUNDLED:
        images = [drawn(seed) for seed in range(4)]
        here, there = (
            np.array([one.probabilities for one in in_torch(name, device).predict(images)])
            for device in ('cpu', plan.device)
        )
        yield from _compare(f'{name}, drawn radiographs', here, there)
    for name in NETWORKS[: 3 if plan.is_cuda else 1]:
        noise = np.random.default_rng(0).random((4, plan.side, plan.side), dtype=np.float32)
        here, there = (
            one.probabilities(one.logits(noise)[0])
            for one in (untrained(name, device, plan.side) for device in ('cpu', plan.device))
        )
        yield from _compare(f'{name}, noise', here, there)


def _compare(what: str, here: np.ndarray, there: np.ndarray) -> Iterator[str]:
    change = float(np.abs(here - there).max())
    print(f'scores of {what}: up to {change:.1e} from the CPU', flush=True)
    if not change <= TOLERANCE:
        yield f'{what}: {change} from the CPU, more than {TOLERANCE}'


def drawn(seed: int) -> Radiograph:
    """Return a drawn radiograph."""
    opacity = ('left', 'right', 'both', None)[seed % 4]
    pixels = samples.phantom((512, 448), seed, opacity=opacity)
    return Radiograph.from_array(np.rint(pixels * 255).astype(np.uint8))


def in_torch(name: str, device: str) -> Classifier:
    """Return a bundled model in plain torch, so that it is the devices that are compared."""
    return Classifier.load(name, device, 'torch')


def untrained(name: str, device: str, side: int) -> Classifier:
    """Return a network with random weights; the time is that of trained ones."""
    torch.manual_seed(0)
    card = Card(
        name=name,
        title='Random weights',
        architecture=name,
        labels=('a', 'b', 'c'),
        channels=3,
        preprocessing=Preprocessing(
            side, side, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3
        ).to_dict(),
    )
    state = networks.create(name, 3, 3).state_dict()
    classifier = Classifier(Checkpoint(card, state), choose_device(device))
    classifier.use()
    return classifier


# -- memory ---------------------------------------------------------------------------------


def fill_memory(plan: Plan) -> Iterator[str]:
    """Let a batch run out of memory; yield what is wrong."""
    classifier = untrained('resnet18', plan.device, plan.side)
    count = 512 if plan.is_cuda else 8
    images = np.random.default_rng(1).random((count, plan.side, plan.side), dtype=np.float32)
    expected = np.concatenate([classifier.logits(part)[0] for part in np.split(images, 8)])
    with little_memory(plan, classifier, count):
        logits, fitted = classifier.logits(images)
    change = float(
        np.abs(classifier.probabilities(logits) - classifier.probabilities(expected)).max()
    )
    print(f'memory: of {count} images {fitted} ran at once; scores moved by up to {change:.1e}')
    if not 0 < fitted < count or count % fitted or (count // fitted) & (count // fitted - 1):
        yield f'memory: the batch of {count} became {fitted}, which is not a half, a quarter …'
    if not change <= TOLERANCE:
        yield f'memory: scores moved by {change}'


@contextmanager
def little_memory(plan: Plan, classifier: Classifier, count: int) -> Iterator[None]:
    """Limit the memory of the device to what half of the images take.

    The CPU has no such limit: there the network raises what torch raises on a GPU.
    """
    if not plan.is_cuda:

        def refuse(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if len(inputs[0]) > count // 4:
                raise torch.OutOfMemoryError('pretended by the benchmark')

        hook = classifier.network.register_forward_pre_hook(refuse)
        try:
            yield
        finally:
            hook.remove()
        return
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(plan.device)
    classifier.logits(np.zeros((count // 2, plan.side, plan.side), np.float32))
    needed = torch.cuda.max_memory_reserved(plan.device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(plan.device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1.2 * needed / total), plan.device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, plan.device)
        torch.cuda.empty_cache()


# -- speed ----------------------------------------------------------------------------------


def speeds(name: str, plan: Plan) -> Iterator[tuple[str, float, float, float]]:
    """Yield what is timed of a network, images a second, operations and bytes of an image."""
    operations, moved = work_of(name, plan.side)
    yield 'forward', forward_rate(name, plan), operations, moved
    yield 'scoring', scoring_rate(name, plan), operations, moved
    if plan.is_cuda:
        torch.cuda.empty_cache()
    yield 'training', training_rate(name, plan), 3 * operations, 3 * moved


def work_of(name: str, side: int) -> tuple[float, float]:
    """Return operations and bytes in bfloat16 of one image's forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    network = networks.create(name, 3, 3).eval()
    moved = [0]

    def count(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        for one in (*inputs, output):
            if isinstance(one, Tensor):
                moved[0] += 2 * one.numel()

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side))
    return float(counter.get_total_flops()), float(moved[0])


def forward_rate(name: str, plan: Plan) -> float:
    """Return images a second of the bare network."""
    network = networks.create(name, 3, 3).eval().to(plan.device, torch.bfloat16)
    network = network.to(memory_format=torch.channels_last)
    x = torch.randn(plan.batch, 3, plan.side, plan.side, device=plan.device, dtype=torch.bfloat16)
    x = x.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> None:
        network(x)

    return plan.rate(run, plan.batch)


def scoring_rate(name: str, plan: Plan) -> float:
    """Return images a second of what scores folders, in bfloat16 where the device has it."""
    classifier = untrained(name, plan.device, plan.side)
    precision = 'bfloat16' if plan.is_cuda else 'float32'
    backend = '' if plan.is_cuda else 'torch'
    selected = select_backend(classifier, backend, precision, batch=plan.batch)
    classifier.use(selected.backend, selected.network)
    images = np.random.default_rng(2).random((plan.batch, plan.side, plan.side), dtype=np.float32)
    return plan.rate(lambda: classifier.logits(images), plan.batch)


def training_rate(name: str, plan: Plan) -> float:
    """Return images a second of full fine-tuning, once images lie on the device."""
    recipe = Recipe.from_dict(
        {
            'name': 'timed',
            'network': name,
            'batch': min(plan.batch, 128),
            'epochs': plan.epochs,
            'precision': 'bfloat16' if plan.is_cuda else 'float32',
            'input': {
                'height': plan.side,
                'width': plan.side,
                'channels': 3,
                'mean': [0.485, 0.456, 0.406],
                'std': [0.229, 0.224, 0.225],
            },
            'augmentation': {'rotation': 10.0, 'zoom': 0.1, 'shift': 0.05},
        }
    )
    with tempfile.TemporaryDirectory() as made:
        os.environ['NAPARI_CXR_CACHE'] = str(Path(made) / 'cache')
        dataset = index(noise_images(Path(made) / 'images', plan.images))
        events = train(dataset, recipe, Path(made) / 'run', plan.device)
        began = last = 0.0
        images, seconds = 0, []
        for event in events:
            now = time.perf_counter()
            if isinstance(event, TrainingStarted):
                images, began = sum(event.counts['train'].values()), now
            elif isinstance(event, EpochDone):
                seconds.append(last - began)
                began = now
            last = now
    # In the first epoch images are read from the disk and kernels are chosen.
    return images / statistics.median(seconds[1:])


def noise_images(root: Path, each: int) -> Path:
    """Write so many pictures of coarse noise for each of two classes."""
    random = np.random.default_rng(0)
    for label in ('left', 'right'):
        (root / label).mkdir(parents=True)
        for number in range(each):
            coarse = random.integers(0, 256, (16, 16)).astype(np.uint8)
            picture = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)
            picture.save(root / label / f'{number}.jpg')
    return root


if __name__ == '__main__':
    main()
