"""How fast each backend runs a network, and what reduced precision does to AUCs.

    python benchmarks/backends.py speed [--models NAME...] [--threads N...] [--batch N]
    NAPARI_CXR_DATA=... python benchmarks/backends.py auc [--each IMAGES]

* speed: images per second, and the ratio to plain torch. The backends take turns on the same
  batch in one process, and medians count. Bundled models have their weights, others random
  ones: the time is the same.
* auc: the AUC of each class against the rest for the bundled models, on all images of cxr3, or
  so many of each class, on every backend; and by how much it moves from plain torch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from napari_cxr import image_files, networks
from napari_cxr.checkpoint import Card, Checkpoint
from napari_cxr.inference import Preprocessing
from napari_cxr.inference.backends.backend import BACKENDS, TORCH, Backend, BackendUnavailable
from napari_cxr.inference.backends.exported_network import check_images
from napari_cxr.inference.backends.selection import SelectedBackend, select_backend
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.device import choose_device
from napari_cxr.metrics.classification import auc

BUNDLED = ('cxr3-lung-texture', 'cxr3-resnet10')
STOCK = ('resnet18', 'densenet121', 'resnet50')
ROUNDS = 7


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('part', choices=('speed', 'auc'))
    parser.add_argument('--models', nargs='+', default=[*BUNDLED, *STOCK])
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--each', type=int, default=0, help='images of a class; 0 for all')
    options = parser.parse_args()
    if options.part == 'auc':
        move_of_aucs(options.batch, options.each)
        return
    print('| model | threads | backend | images/s | ratio | largest change of a probability |')
    print('| --- | --- | --- | --- | --- | --- |')
    for name in options.models:
        classifier = classifier_of(name)
        for threads in options.threads:
            torch.set_num_threads(threads)
            speed(name, classifier, threads, options.batch)


def classifier_of(name: str) -> Classifier:
    """Return a bundled model, or a network with random weights."""
    if name in BUNDLED:
        return Classifier.load(name, 'cpu')
    torch.manual_seed(0)
    card = Card(
        name=name,
        title='Random weights',
        architecture=name,
        labels=('a', 'b', 'c'),
        channels=1,
        preprocessing=Preprocessing(224, 224).to_dict(),
    )
    state = networks.create(name, 3, 1).state_dict()
    return Classifier(Checkpoint(card, state), choose_device('cpu'))


def available(classifier: Classifier, batch: int) -> list[SelectedBackend]:
    """Return the backends of this machine that can run a model, plain torch first."""
    found = []
    for backend in sorted(BACKENDS, key=lambda one: one != TORCH):
        try:
            found.append(select_backend(classifier, backend.name, backend.precision, batch=batch))
        except BackendUnavailable as error:
            print(f'<!-- {classifier.card.name}, {backend.title}: {error} -->', flush=True)
    return found


def speed(name: str, classifier: Classifier, threads: int, batch: int) -> None:
    """Print the lines of one model."""
    size = classifier.preprocessing.height, classifier.preprocessing.width
    images = np.resize(check_images(*size), (batch, *size))
    x = classifier.preprocessing.normalise(images)
    backends = available(classifier, batch)
    times: dict[Backend, list[float]] = {one.backend: [] for one in backends}
    given: dict[Backend, np.ndarray] = {}
    for _ in range(ROUNDS):
        for one in backends:
            begun = time.perf_counter()
            logits = one.network.logits(x)
            times[one.backend].append(time.perf_counter() - begun)
            given[one.backend] = classifier.probabilities(logits)
    plain = statistics.median(times[TORCH])
    for backend, taken in times.items():
        took = statistics.median(taken)
        moved = np.abs(given[backend] - given[TORCH]).max()
        print(
            f'| {name} | {threads} | {backend.title} | {batch / took:.1f} | {plain / took:.2f} '
            f'| {moved:.1g} |',
            flush=True,
        )


def move_of_aucs(batch: int, each: int) -> None:
    """Print AUCs of the bundled models on each backend."""
    root = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    for name in BUNDLED:
        classifier = Classifier.load(name, 'cpu')
        paths = [
            (k, path)
            for k, label in enumerate(classifier.labels)
            for path in sorted((root / label).glob('*.jp*g'))[: each or None]
        ]
        backends = available(classifier, batch)
        found: dict[Backend, list[np.ndarray]] = {one.backend: [] for one in backends}
        labels: list[int] = []
        for start in range(0, len(paths), batch):
            part = paths[start : start + batch]
            images = [classifier.prepare(image_files.read(path)).image for _, path in part]
            x = classifier.preprocessing.normalise(np.stack(images))
            labels += [k for k, _ in part]
            for one in backends:
                found[one.backend].append(classifier.probabilities(one.network.logits(x)))
        print(f'{name}, {len(labels)} images')
        plain = np.concatenate(found[TORCH])
        for backend, batches in found.items():
            scores = np.concatenate(batches)
            aucs, before = (
                [float(auc(np.array(labels) == k, s[:, k])) for k in range(s.shape[1])]
                for s in (scores, plain)
            )
            moved = np.abs(np.array(aucs) - before).max()
            print(
                f'  {backend.title:31} AUC {" ".join(f"{a:.5f}" for a in aucs)}  moved by up to '
                f'{moved:.2g}; probabilities by up to {np.abs(scores - plain).max():.2g}; '
                f'{(scores.argmax(1) != plain.argmax(1)).sum()} other labels',
                flush=True,
            )


if __name__ == '__main__':
    main()
