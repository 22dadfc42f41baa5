"""What classifying one radiograph costs, part by part, on images of three sizes.

    python benchmarks/one_image.py [MODEL]

Medians of 15 rounds on generated radiographs, one after the other in one process, and each
part's share of the whole. The last line of a size is how many times the bare pass of the
network, once and without anything else, `predict` takes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from ratios import note_ratio

from napari_cxr import lungs, samples
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.cpu import keep_freed_memory
from napari_cxr.lungs import frontal_check
from napari_cxr.networks.bundled_networks import FlipAveraged
from napari_cxr.radiograph import Radiograph

ROUNDS = 15
SHAPES = ((2500, 2000), (1024, 1024), (512, 512))


def main() -> None:
    """Print a table for each size."""
    keep_freed_memory()  # as the worker and the command line do
    classifier = Classifier.load(sys.argv[1] if len(sys.argv) > 1 else 'cxr-opacity', 'cpu')
    for shape in SHAPES:
        print(f'{shape[1]} x {shape[0]} pixels, {torch.get_num_threads()} threads')
        measure(classifier, shape)


def measure(classifier: Classifier, shape: tuple[int, int]) -> None:
    """Print the table of one size."""
    radiographs = [Radiograph.from_array(samples.phantom(shape, seed=i)) for i in range(3)]
    fields = [lungs.find_lungs(radiograph) for radiograph in radiographs]
    fit = classifier.preprocessing
    network = torch.nn.Sequential(*bare(classifier))
    x = torch.rand(1, fit.channels, fit.height, fit.width)

    def once(_: int) -> object:
        with torch.inference_mode():
            return network(x)

    parts: dict[str, Callable[[int], object]] = {
        'whole: predict': lambda i: classifier.predict([radiographs[i]]),
        'the lung field': lambda i: lungs.find_lungs(radiographs[i]),
        'is it a frontal radiograph': lambda i: frontal_check.check_frontal(
            radiographs[i], fields[i]
        ),
        'preparing, lungs known': lambda i: fit.apply(radiographs[i], field=fields[i]),
        'bare pass of the network': once,
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    for round_ in range(ROUNDS + 1):
        for name, part in parts.items():
            begun = time.perf_counter()
            part(round_ % len(radiographs))
            times[name].append(1000 * (time.perf_counter() - begun))
    whole = median(times['whole: predict'][1:])
    for name, values in times.items():
        took = median(values[1:])  # the first one loads weights
        print(f'{name:28} {took:6.1f} ms  {took / whole:5.0%}')
    ratios = [
        a / b
        for a, b in zip(
            times['whole: predict'][1:], times['bare pass of the network'][1:], strict=True
        )
    ]
    what = f'predict, {shape[1]} x {shape[0]}'
    note_ratio(what, 'a bare pass of the network', ratios, '<= 4')


def bare(classifier: Classifier) -> list[torch.nn.Module]:
    """Return the stages as they see an image once, without its mirror image."""
    stages = classifier.network.stages.values()
    return [stage.inner if isinstance(stage, FlipAveraged) else stage for stage in stages]


if __name__ == '__main__':
    main()
